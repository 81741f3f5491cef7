"""Bundles whose `program` file lies: each number and each text of it replaced, one or two at a time.

    python -m tests.bundle.hostile_programs FOLDER FIRST COUNT

runs altered programs FIRST to FIRST + COUNT - 1 of the bundles in the folder, as `graphopt.load` does without a gate,
with a fixed request, and prints a line before and after each.  The weights, the literals, the arena and the request lie
between pages that nobody may touch, so that code which reaches beyond them ends the process.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphopt.bundle.artifact import PROGRAM, WEIGHTS
from graphopt.errors import GraphoptError
from tests.walls import guarded, guarded_before

MOST_SECONDS = 20
MOST_BYTES = 8 << 30
NUMBERS = (0, 1, 2**31, 2**53 - 1, 2**62, -1)

Model = tuple[Any, dict[str, np.ndarray]]


def models() -> dict[str, Model]:
    """Small models, each with a request: what reads memory in a way of its own."""
    f4, i8 = np.float32, np.int64
    image, weights = np.ones((2, 4, 9, 9), f4), np.full((4, 4, 3, 3), 0.1, f4)
    table, ids = np.ones((6, 5), f4), np.array([[0], [5], [-1]])
    zero = np.array(3, np.uint8)
    return {
        "convolution": model(
            [
                ("Conv", "x w b", "c", {"pads": [1, 1, 1, 1]}),
                ("Add", "c r", "s", {}),
                ("Relu", "s", "y", {}),
                ("Conv", "y d", "z", {"group": 4, "strides": [2, 2]}),
                ("ConvTranspose", "z t", "o", {"strides": [2, 2]}),
            ],
            {"x": image, "r": image},
            {"w": weights, "b": np.ones(4, f4), "d": weights[:, :1], "t": weights[:, :2, :2, :2]},
        ),
        "products": model(
            [
                ("Gemm", "x w b", "h", {"transB": 1}),
                ("Relu", "h", "g", {}),
                ("MatMul", "g v", "m", {}),
                ("Add", "m r", "y", {}),
                ("MatMul", "y z", "o", {}),
            ],
            {"x": np.ones((3, 5), f4), "r": np.ones((3, 7), f4), "z": np.ones((7, 40), f4)},
            {"w": np.ones((6, 5), f4), "b": np.ones(6, f4), "v": np.ones((6, 7), f4)},
        ),
        "indices": model(
            [
                ("Gather", "t i", "g", {"axis": 0}),
                ("ScatterND", "t i u", "s", {}),
                ("GatherElements", "s e", "k", {"axis": 1}),
                ("ScatterElements", "s e k", "o", {"axis": 1}),
                ("GatherND", "o i", "n", {}),
            ],
            {"t": table, "i": ids, "u": np.ones((3, 5), f4), "e": np.array([[0, 4, 1]])},
            {},
            "g n",
        ),
        "windows": model(
            [
                ("MaxPool", "x", "m", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}),
                ("AveragePool", "m", "a", {"kernel_shape": [2, 2]}),
                ("Resize", "a  s", "r", {"mode": "nearest"}),
                ("Pad", "r p", "q", {"mode": "reflect"}),
                ("GlobalAveragePool", "q", "y", {}),
            ],
            {"x": image},
            {"s": np.array([1, 1, 2, 2], f4), "p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
        ),
        "rows": model(
            [
                ("LayerNormalization", "x g b", "l", {}),
                ("Softmax", "l", "s", {"axis": -1}),
                ("ReduceMean", "s", "m", {"axes": [1], "keepdims": 1}),
                ("Sub", "s m", "d", {}),
                ("InstanceNormalization", "d k k", "y", {}),
            ],
            {"x": np.ones((2, 3, 20), f4)},
            {"g": np.ones(20, f4), "b": np.ones(20, f4), "k": np.ones(3, f4)},
        ),
        "bytes": model(
            [
                ("QuantizeLinear", "x s z", "q", {}),
                ("MatMulInteger", "q w z", "m", {}),
                ("Cast", "m", "f", {"to": 1}),
                ("Mul", "f s", "y", {}),
            ],
            {"x": np.ones((3, 5), f4)},
            {"s": np.array(0.1, f4), "z": zero, "w": np.ones((5, 6), np.int8)},
        ),
        "moves": model(
            [
                ("Transpose", "x", "t", {"perm": [0, 2, 1]}),
                ("Concat", "t t", "c", {"axis": 1}),
                ("Slice", "c b e", "s", {}),
                ("Reshape", "s n", "r", {}),
                ("Tile", "r k", "l", {}),
                ("Pad", "l p v", "o", {}),
                ("Split", "o", "y z", {"axis": 1}),
            ],
            {"x": np.ones((2, 6, 4), f4)},
            {
                "b": np.array([0, 1, 0], i8), "e": np.array([2, 7, 6], i8), "n": np.array([2, 36], i8),
                "k": np.array([1, 2], i8), "p": np.array([0, 1, 0, 1], i8), "v": np.array(7, f4),
            },
            "y z",
        ),
        "flow": flow(),
    }  # fmt: skip


def model(
    nodes: Sequence[tuple[str, str, str, dict[str, Any]]],
    request: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
    outputs: str = "",
) -> Model:
    """A chain of nodes; equal sizes of inputs have one name, outputs (the last node's if not said) are of any shape."""
    from onnx import helper, numpy_helper  # on demand: a process that runs programs needs no onnx

    made = [helper.make_node(op, ins.split(" "), outs.split(), op.lower(), **more) for op, ins, outs, more in nodes]
    kinds = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in request.items()}
    graph = helper.make_graph(
        made,
        "hostile",
        [
            helper.make_tensor_value_info(name, kinds[name], [f"of{size}" for size in array.shape])
            for name, array in request.items()
        ],
        [helper.make_tensor_value_info(name, 1, None) for name in (outputs or nodes[-1][2]).split()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), dict(request)


def flow() -> Model:
    """An If in a Loop, over a state that both capture."""
    from onnx import parser

    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    flow (float[N,3] x, int64[1] i) => (float[N,3] y) {
        n = Constant <value_int = 3> ()
        go = Constant <value = bool {1}> ()
        y = Loop (n, go, x) <body = body (int64 k, bool c, float[N,3] s) => (bool d, float[N,3] t) {
            d = Identity (c)
            two = Constant <value_int = 2> ()
            less = Less (k, two)
            t = If (less) <
                then_branch = then () => (float[N,3] p) { w = Gather <axis = 0> (s, i)  p = Add (s, w) },
                else_branch = else () => (float[N,3] q) { q = Softmax <axis = 1> (s) }
            >
        }>
    }
    """
    return parser.parse_model(text), {"x": np.ones((4, 3), np.float32), "i": np.array([2])}


def build(folder: Path) -> None:
    """One bundle for each model, and its request beside it."""
    import graphopt
    from graphopt_kernels.targets import host_targets

    for name, (made, request) in models().items():
        graphopt.compile(made, targets=[host_targets()[0]], check=False).save(folder / name)
        np.savez(folder / f"{name}.npz", **request)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the numbers and texts are."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    if type(document) in (int, str):
        yield path
    for key, value in inner:
        yield from places(value, (*path, key))


def altered(original: bytes, seed: int) -> bytes:
    """The program with one number or text of it replaced, or two."""
    choice = random.Random(seed)
    document = json.loads(original)
    spots = list(places(document))
    for path in choice.sample(spots, 1 if seed % 3 else 2):
        *parents, last = path
        holder = document
        for key in parents:
            holder = holder[key]
        old = holder[last]
        alike = [value for value in (at(document, spot) for spot in spots) if type(value) is type(old)]
        if isinstance(old, int):
            alike = [*NUMBERS, old + 1, old - 1, 2 * old, choice.choice(alike)]
        holder[last] = choice.choice(alike)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def at(document: Any, path: Sequence[Any]) -> Any:
    """What stands at a place."""
    for key in path:
        document = document[key]
    return document


def run(bundle: Path, program: bytes, request: Mapping[str, np.ndarray], wall: Any) -> str:
    """What comes of the bundle with that program: the sentence with which it is refused, or "" when it runs."""
    from graphopt.bundle.open import choose_target
    from graphopt.program import decode
    from graphopt.runtime import Compiled
    from graphopt.runtime.native import Kernels
    from graphopt.runtime.weights import Weights
    from graphopt_kernels.load import open_library

    stored = wall(np.fromfile(bundle / WEIGHTS, np.uint8))
    try:
        image = decode(program)
        if image.nbytes != stored.nbytes:
            return "the weights file has another size"
        target = choose_target(image.targets)
        kernels = Kernels(open_library(bundle / "native" / target / "kernels.so"))
        weights = Weights(image.weights, stored)
        compiled = Compiled(image.programs[image.targets[target]], weights, kernels, None, 2, lambda path: None)
        compiled({name: wall(array) for name, array in request.items()})
    except GraphoptError as error:
        return str(error)
    return ""


def batch(folder: Path, first: int, count: int) -> None:
    """Run some altered programs; a line before each, and one after it with what came of it."""
    import graphopt.runtime.context
    import graphopt.runtime.memory

    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    bundles = sorted(path for path in folder.iterdir() if path.is_dir())
    for seed in range(first, first + count):
        wall = (guarded, guarded_before)[seed % 2]

        def memory(nbytes: int, wall: Any = wall) -> np.ndarray:
            return wall(np.empty(-(-nbytes // 64) * 64, np.uint8))[:nbytes]

        graphopt.runtime.context.aligned_memory = graphopt.runtime.memory.aligned_memory = memory
        bundle = bundles[seed % len(bundles)]
        with np.load(f"{bundle}.npz") as request:
            print("begin", seed, bundle.name, flush=True)
            signal.alarm(MOST_SECONDS)
            said = run(bundle, altered((bundle / PROGRAM).read_bytes(), seed), dict(request), wall)
            signal.alarm(0)
        print("end", seed, json.dumps(said), flush=True)


if __name__ == "__main__":
    batch(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
