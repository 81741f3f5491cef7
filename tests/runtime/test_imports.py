"""A deployment that only runs must not pay for the compiler's libraries."""

import subprocess
import sys
from pathlib import Path

import graphopt.compiler

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"


def loaded_after(script: str) -> set[str]:
    """The top-level modules a fresh interpreter holds after a script."""
    script = f"{script}\nimport sys\nprint(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    path = ":".join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    return set(done.stdout.splitlines()[-1].split())


def test_dtypes_and_dimensions_come_without_networkx():
    assert "networkx" not in loaded_after("from graphopt.ir import DType, TensorType, symbol")


def test_loading_a_bundle_imports_no_compiler(tmp_path: Path):
    graphopt.compiler.compile(DIGITS).save(tmp_path / "bundle")
    heavy = {"onnx", "llvmlite", "numba", "networkx", "web3", "hypothesis", "rich", "google", "ml_dtypes"}
    assert not heavy & loaded_after(f"import graphopt; graphopt.load({str(tmp_path / 'bundle')!r})")
