"""How much a model may become by being read: a kilobyte of functions that call each other twice is 2^28 nodes.

What is written costs what it weighs in the file; what calls of functions multiply, and subgraphs in subgraphs, are
counted here, and end in one sentence.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager

from onnx import ModelProto, NodeProto

from graphopt.errors import ModelError

NODES = 40_000
"""Nodes that inlining may add to a small model, and one more for each `_BYTES_A_NODE` of a large one."""
_BYTES_A_NODE = 64
BYTES = 1 << 26
"""Bytes of nodes that inlining may add, and twice those of the model."""
SUBGRAPHS = 2048
SUBGRAPH_DEPTH = 32
"""What protobuf reads goes no deeper either, but functions could."""
CALL_DEPTH = 64


def check_subgraphs(model: ModelProto) -> None:
    """ModelError, before anything is read, when more graphs are written inside nodes than a model may have."""
    left = SUBGRAPHS
    todo: list[Iterable[NodeProto]] = [model.graph.node, *(function.node for function in model.functions)]
    while todo:
        for node in todo.pop():
            for attribute in node.attribute:
                inside = [attribute.g] if attribute.HasField("g") else []
                for graph in (*inside, *attribute.graphs):
                    left -= 1
                    if left < 0:
                        raise ModelError(f"the model has more than {SUBGRAPHS} graphs inside nodes")
                    todo.append(graph.node)


class ReadingBudget:
    """What is left for a model whose message has `size` bytes."""

    def __init__(self, size: int) -> None:
        self._most_nodes = self._nodes = NODES + size // _BYTES_A_NODE
        self._most_bytes = self._bytes = BYTES + 2 * size
        self._subgraphs = SUBGRAPHS
        self._depth = {"subgraphs": 0, "calls": 0}

    def charge(self, nodes: int, nbytes: int, where: str) -> None:
        """Take away what inlining adds; ModelError, naming the node, when that is too much."""
        self._nodes -= nodes
        self._bytes -= nbytes
        if self._nodes < 0:
            raise ModelError(f"{where}: inlining the model's functions gives more than {self._most_nodes} nodes")
        if self._bytes < 0:
            raise ModelError(f"{where}: inlining the model's functions gives more than {self._most_bytes} bytes")

    @contextmanager
    def subgraph(self, where: str) -> Generator[None]:
        """While a graph inside a node is read; ModelError when it is one too many, or too deep."""
        self._subgraphs -= 1
        if self._subgraphs < 0:
            raise ModelError(f"{where}: the model has more than {SUBGRAPHS} graphs inside nodes")
        with self._deeper("subgraphs", SUBGRAPH_DEPTH, f"{where}: graphs are nested more than {SUBGRAPH_DEPTH} deep"):
            yield

    @contextmanager
    def call(self, where: str) -> Generator[None]:
        """While a function is inlined; ModelError when functions call each other too deep."""
        with self._deeper("calls", CALL_DEPTH, f"{where}: functions call each other more than {CALL_DEPTH} deep"):
            yield

    @contextmanager
    def _deeper(self, what: str, most: int, sentence: str) -> Generator[None]:
        if self._depth[what] >= most:
            raise ModelError(sentence)
        self._depth[what] += 1
        try:
            yield
        finally:
            self._depth[what] -= 1
