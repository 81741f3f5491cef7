"""CUDA kernels against the naive twins of the CPU's, on the simulator; and as PTX for compute capability 9.0."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphopt_kernels.chain import chain_of, parse
from graphopt_kernels.cuda.elementwise import elementwise, source
from graphopt_kernels.cuda.matmul import matmul
from graphopt_kernels.cuda.ptx import elementwise_ptx, matmul_ptx, toolkit_missing
from graphopt_kernels.cuda.scalar import FORMULAS, REAL_ONLY
from graphopt_kernels.errors import KernelError
from tests import naive
from tests.kernels.test_elementwise import cases

ROOT = Path(__file__).parents[2]
needs_toolkit = pytest.mark.skipif(bool(toolkit_missing()), reason=toolkit_missing() or "there")


def text_of(inputs: list[str], steps: list[Any], outputs: list[int]) -> str:
    chain = chain_of(inputs, steps, outputs)
    assert chain is not None
    return chain.text


def simulate(
    tmp_path: Path, found: dict[str, tuple[str, list[np.ndarray], list[np.ndarray]]]
) -> dict[str, list[np.ndarray]]:
    """The outputs of each case (kind, inputs, outputs), computed by the simulator."""
    arrays: dict[str, Any] = {}
    for name, (kind, inputs, outputs) in found.items():
        arrays[f"{name}/kind"] = np.array(kind)
        arrays |= {f"{name}/{i}": x for i, x in enumerate(inputs)}
        arrays |= {f"{name}/out/{i}": x for i, x in enumerate(outputs)}
    np.savez(tmp_path / "in.npz", allow_pickle=False, **arrays)
    command = [sys.executable, "-m", "tests.cuda.on_simulator", str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    paths = [str(ROOT), str(ROOT / "kernels"), *sys.path]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": os.pathsep.join(paths)}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    done = np.load(tmp_path / "out.npz")
    return {n: [done[f"{n}/out/{i}"] for i in range(len(outputs))] for n, (_, _, outputs) in found.items()}


def test_matrix_products_of_every_shape_agree_with_the_twin(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    shapes = [(1, 1, 1), (3, 5, 2), (64, 16, 64), (70, 33, 65), (5, 0, 4), (0, 3, 4)]
    found: dict[str, tuple[str, list[np.ndarray], list[np.ndarray]]] = {}
    for m, k, n in shapes:
        a, b = (random.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
        found[f"{m}x{k}x{n}"] = ("matmul", [a, b], [np.full((m, n), 7, np.float32)])
    results = simulate(tmp_path, found)
    for name, (_, (a, b), _) in found.items():
        np.testing.assert_allclose(results[name][0], naive.matmul(a, b), rtol=1e-5, atol=1e-5, err_msg=name)


def test_every_operator_agrees_with_its_twin(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    x = np.abs(random.standard_normal((2, 3, 11)) * 3).astype(np.float32) + np.float32(0.1)
    y, z = (random.standard_normal((3, 1)).astype(np.float32) for _ in range(2))
    chosen = [case for case in cases("float32") if case[0] in FORMULAS]
    assert len(chosen) >= 30
    steps = [(op, attributes, list(range(count))) for op, count, attributes in chosen]
    text = text_of(["float32"] * 3, steps, [3 + i for i in range(len(steps))])
    outputs = [np.zeros(x.shape, step.dtype) for step in parse(text).steps]
    (results,) = simulate(tmp_path, {"all": (text, [x, y, z], outputs)}).values()
    for (op, count, attributes), got in zip(chosen, results, strict=True):
        expected = naive.elementwise(op, *[x, y, z][:count], dtype=got.dtype, **attributes)
        np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), rtol=3e-7, atol=1e-7, err_msg=op)


def test_nan_survives_and_dtypes_mix(tmp_path: Path) -> None:
    x = np.array([np.nan, -1, 0, 5, np.inf], np.float32)
    keep = np.array([True, False, True, True, True])
    steps: list[Any] = [
        ("Clip", {}, [0, np.float32(-0.5), np.float32(3)]),
        ("Relu", {}, [2]),
        ("Where", {}, [1, 3, np.float32(9)]),
        ("Cast", {"to": "int64"}, [1]),
    ]
    text = text_of(["float32", "bool"], steps, [3, 4, 5])
    outputs = [np.zeros(5, np.float32), np.zeros(5, np.float32), np.zeros(5, np.int64)]
    (got,) = simulate(tmp_path, {"mixed": (text, [x, keep], outputs)}).values()
    np.testing.assert_array_equal(got[0], np.array([np.nan, 0, 0, 3, 3], np.float32))
    np.testing.assert_array_equal(got[1], np.array([np.nan, 9, 0, 3, 3], np.float32))
    np.testing.assert_array_equal(got[2], keep.astype(np.int64))


def test_the_source_of_a_kernel_is_one_loop() -> None:
    text = text_of(["float32", "float32"], [("Add", {}, [0, 1]), ("Relu", {}, [2])], [3])
    assert source(text).splitlines()[-3:] == [
        "        v2 = types_float32((v0 + v1))",
        "        v3 = types_float32((0.0 if v2 <= 0 else v2))",
        "        o0[element] = v3",
    ]


def test_what_does_not_fit_is_refused_in_one_sentence() -> None:
    a = np.zeros((2, 3), np.float32)
    with pytest.raises(KernelError, match=r"shapes \(2, 3\) · \(2, 3\) → \(2, 3\) do not fit"):
        matmul(a, a, a)
    with pytest.raises(KernelError, match="b is float64"):
        matmul(a, a.astype(np.float64), a)
    text = text_of(["float32", "float32"], [("Add", {}, [0, 1])], [2])
    with pytest.raises(KernelError, match="does not broadcast"):
        elementwise(text, [a, a.T.copy()], [np.zeros((2, 3), np.float32)])
    with pytest.raises(KernelError, match="the chain has"):
        elementwise(text, [a, a.astype(np.float64)], [a])
    assert "Div" in REAL_ONLY
    with pytest.raises(KernelError, match="Div of int64 has no CUDA kernel"):
        source(text_of(["int64", "int64"], [("Div", {}, [0, 1])], [2]))


@needs_toolkit
def test_both_kernels_compile_for_hopper_without_a_gpu() -> None:
    text = text_of(["float32", "float32"], [("Add", {}, [0, 1]), ("Gelu", {}, [2])], [3])
    for ptx in (matmul_ptx(), elementwise_ptx(text)):
        assert ".target sm_90" in ptx
        assert ".visible .entry" in ptx
    assert ".shared" in matmul_ptx()
    assert "fma.rn.f32" in matmul_ptx()
