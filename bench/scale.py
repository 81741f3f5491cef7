"""How the time of the pipeline grows with the nodes of a graph: `python -m bench.scale [nodes ...]`.

The graph has everything that the passes look for, in every tenth node or so: batch normalisations to fuse, constants
to fold, identities, common subexpressions, dead nodes, elementwise chains.  Times are CPU time of one process; the
last column is relative to a fixed piece of Python, so that two machines (or a busy one) can be compared.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from graphopt.compiler import optimize_graph, prepare_for_lowering
from graphopt.ir import Dense, DType, Graph, TensorType, Value

_OPERATORS_A_BLOCK = 13


def model(nodes: int, seed: int = 0) -> Graph:
    """A graph of about this many operators, a chain of blocks; the same arguments give the same graph."""
    random = np.random.default_rng(seed)
    image, number = TensorType(DType.FLOAT32, (1, 4, 8, 8)), TensorType(DType.FLOAT32, ())
    graph = Graph("scale", {"": 21})
    x = graph.add_input("x", image)
    weight = random.standard_normal((4, 4, 1, 1)).astype(np.float32)

    def one(op: str, *inputs: Value, type: TensorType = image) -> Value:
        return graph.add_node(op, inputs, types=[type], name=f"{op}_{len(graph.net)}")[0]

    def constant(array: np.ndarray) -> Value:
        return graph.add_constant(Dense.of(array))

    for _ in range(nodes // _OPERATORS_A_BLOCK):
        statistics = [constant(random.random(4).astype(np.float32) + 0.5) for _ in range(4)]
        convolved = one("Conv", x, constant(weight))
        active = one("Identity", one("Relu", one("BatchNormalization", convolved, *statistics)))
        factor = one("Mul", constant(np.array(2, np.float32)), constant(np.array(3, np.float32)), type=number)
        gated = one("Add", one("Mul", active, one("Sigmoid", active)), x)
        left, right = one("Mul", factor, gated), one("Mul", gated, factor)
        one("Exp", left)  # dead
        x = one("Neg", one("Sub", left, right))
    graph.add_output(x, "y")
    return graph


def main(sizes: list[int]) -> None:
    """Print one row for each size."""
    print(f"{'nodes':>8} {'after':>8} {'optimize s':>11} {'lowering s':>11} {'µs a node':>10} {'relative':>9}")
    for size in sizes:
        graph = model(size)
        before = len(graph)
        start = time.process_time()
        sum(i & 7 for i in range(1_000_000))
        unit = time.process_time() - start
        start = time.process_time()
        report = optimize_graph(graph)
        middle = time.process_time()
        lowered = prepare_for_lowering(graph)
        end = time.process_time()
        each = (middle - start) / before * 1e6
        row = f"{before:8} {lowered.nodes_after:8} {middle - start:11.2f} {end - middle:11.2f} {each:10.1f}"
        print(f"{row} {(middle - start) / unit:9.1f}")
        if size == sizes[-1]:
            for run in (*report.passes, *lowered.passes):
                print(f"    {run.name:30} {run.seconds:7.3f} s {len(run.applied):7} applied")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [1_000, 10_000, 100_000])
