"""A deployment that only runs must not pay for the compiler's libraries."""

import subprocess
import sys


def loaded_after(statement: str) -> set[str]:
    """The top-level modules a fresh interpreter holds after one statement."""
    script = f"{statement}\nimport sys\nprint(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    path = ":".join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    return set(done.stdout.split())


def test_dtypes_and_dimensions_come_without_networkx():
    assert "networkx" not in loaded_after("from graphopt.ir import DType, TensorType, symbol")
