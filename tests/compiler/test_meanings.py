"""Operators that nobody knows: refused all at once, with what to do; known when a package registers them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

import graphopt
from graphopt.errors import CompileError, GraphoptError
from graphopt.ops import table
from graphopt_kernels.targets import host_targets

MODULE = """
import numpy as np
from graphopt.ops.table import meaning

@meaning("Twice", domain="test.entry")
def twice(call):
    return (call.inputs[0] * 2,)
"""


def model(*nodes: tuple[str, str]) -> ModelProto:
    """Operators (domain, name) after each other."""
    made = [
        helper.make_node(op, [f"v{i}"], [f"v{i + 1}"], name=f"n{i}", domain=domain)
        for i, (domain, op) in enumerate(nodes)
    ]
    x = helper.make_tensor_value_info("v0", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph(made, "g", [x], [helper.make_value_info(f"v{len(nodes)}", onnx.TypeProto())])
    domains = dict.fromkeys(["", *(domain for domain, _ in nodes)])
    opsets = [helper.make_opsetid(domain, 1 if domain else 17) for domain in domains]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[EntryPoint]]:
    """The entry points that are found, which a test may add to; what they register is forgotten again."""
    found: list[EntryPoint] = []

    def entry_points(*, group: str) -> list[EntryPoint]:
        return found if group == table.ENTRY_POINTS else []

    assert table.meaning_of("Relu") is not None  # our own are registered before the table is copied
    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(table, "_meanings", dict(vars(table)["_meanings"]))
    vars(table)["_load_others"].cache_clear()
    yield found
    vars(table)["_load_others"].cache_clear()
    sys.modules.pop("entry_module", None)


def compiled(source: ModelProto) -> graphopt.Compiled:
    return graphopt.compile(source, targets=host_targets()[:1], threads=1, check=False)


def test_all_unknown_operators_are_named_at_once_with_what_to_do(registered: list[EntryPoint]) -> None:
    source = model(("com.example", "Frob"), ("", "Relu"), ("com.example", "Bar"), ("com.example", "Frob"))
    with pytest.raises(CompileError) as caught:
        compiled(source)
    said = str(caught.value)
    assert said.startswith("graphopt cannot compute com.example::Frob (node 'n0') and com.example::Bar (node 'n2'): ")
    assert "entry point of 'graphopt.operators' (docs/custom-operators.md)" in said
    assert "\n" not in said


def test_many_unknown_operators_are_counted(registered: list[EntryPoint]) -> None:
    with pytest.raises(CompileError, match=r"Op7 \(node 'n7'\) and 4 more: "):
        compiled(model(*(("com.example", f"Op{i}") for i in range(12))))


def test_a_layout_of_one_processor_is_refused_with_the_level_to_write_at(registered: list[EntryPoint]) -> None:
    with pytest.raises(CompileError, match="ORT_ENABLE_EXTENDED"):
        compiled(model(("com.microsoft.nchwc", "ReorderInput"), ("com.microsoft.nchwc", "Conv")))


def test_optimising_keeps_what_nobody_knows() -> None:
    kept = graphopt.optimize(model(("com.example", "Frob"), ("", "Relu")))
    assert [node.op_type for node in kept.graph.node] == ["Frob", "Relu"]


def test_a_package_registers_a_meaning(registered: list[EntryPoint], tmp_path: Path) -> None:
    (tmp_path / "entry_module.py").write_text(MODULE)
    registered.append(EntryPoint("mine", "entry_module", table.ENTRY_POINTS))
    (y,) = compiled(model(("test.entry", "Twice"), ("", "Relu")))({"v0": np.array([1, -2, 3], np.float32)}).values()
    assert y.tolist() == [2, 0, 6]


def test_packages_are_asked_only_for_operators_that_nobody_knows(registered: list[EntryPoint]) -> None:
    registered.append(EntryPoint("broken", "no_such_module", table.ENTRY_POINTS))
    (y,) = compiled(model(("", "Relu"), ("com.microsoft", "Gelu")))({"v0": np.zeros(1, np.float32)}).values()
    assert y.tolist() == [0]


@pytest.mark.parametrize("content", ["import no_such_module", "raise RuntimeError('boom')", MODULE + MODULE])
def test_a_package_that_cannot_be_loaded_is_named(content: str, registered: list[EntryPoint], tmp_path: Path) -> None:
    (tmp_path / "entry_module.py").write_text(content)
    registered.append(EntryPoint("mine", "entry_module", table.ENTRY_POINTS))
    with pytest.raises(
        GraphoptError, match=r"^the operators of 'entry_module' .*'mine' of graphopt\.operators.* cannot be"
    ):
        compiled(model(("test.entry", "Twice")))
