"""com.microsoft's operators, and those that ONNX Runtime has in the standard's own domain, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from graphopt.check import run_call
from graphopt.ops import facts_of
from graphopt.ops.table import Call
from graphopt.testing import assert_operator
from tests.ops.microsoft_cases import DOMAIN, Case, cases

ort = pytest.importorskip("onnxruntime")
CASES = cases()


def by_onnxruntime(case: Case) -> list[Any]:
    """The outputs of ONNX Runtime's CPU provider, without optimisation."""
    given = {f"i{i}": x for i, x in enumerate(case.inputs) if x is not None}
    names = [f"i{i}" if x is not None else "" for i, x in enumerate(case.inputs)]
    outputs = [f"o{i}" for i in range(case.outputs)]
    node = helper.make_node(case.op, names, outputs, domain=case.domain, **case.attributes)
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in given.items()
    ]
    made = [helper.make_value_info(name, onnx.TypeProto()) for name in outputs]
    opsets = [helper.make_opsetid("", 9 if not case.domain else 17), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(helper.make_graph([node], "g", infos, made), opset_imports=opsets, ir_version=8)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, given)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_operator_computes_what_onnxruntime_computes(case: Case) -> None:
    expected = by_onnxruntime(case)
    got = run_call(call_of(case))
    for slot in case.compared or range(case.outputs):
        want, have = expected[slot], got[slot]
        assert have.shape == want.shape
        if want.dtype == object:
            assert have.tolist() == want.tolist()
        elif want.dtype.kind in "iu":
            assert have.dtype == want.dtype
            apart = np.abs(have.astype(int) - want.astype(int))
            assert apart.max(initial=0) <= case.steps
            assert (apart > 0).mean() <= 0.1 if apart.size else True
        else:
            assert have.dtype == want.dtype
            np.testing.assert_allclose(have, want, rtol=case.tolerance, atol=case.tolerance)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_its_shape_rule_gives_the_types_of_the_results(case: Case) -> None:
    """From sizes and elements, as when a request is bound; from open dimensions; from nothing but element types."""
    assert facts_of(case.op, case.domain) is not None
    assert_operator(
        case.op,
        *case.inputs,
        domain=case.domain,
        version=version(case),
        outputs=case.outputs,
        **case.attributes,
    )


def call_of(case: Case) -> Call:
    return Call(case.op, case.domain, version(case), case.attributes, tuple(case.inputs), case.outputs)


def version(case: Case) -> int:
    return 1 if case.domain else 9
