"""Walk three organisations through a model's life: runs every command of docs/federation.md, from nothing, in one go.

    python examples/federation/walk.py

Everything happens in a temporary folder, with an empty kernel cache for each organisation.  What is printed is held
against what the page shows.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.docs.session import commands_of_this_checkout, run  # noqa: E402


def main() -> None:
    """Print each command as it begins, what it printed, and how long all of it took."""
    start = time.perf_counter()

    def tell(text: str) -> None:
        stamp = f"[{time.perf_counter() - start:5.1f} s] " if text.startswith("$ ") else ""
        print(f"{stamp}{text}".rstrip(), flush=True)

    with tempfile.TemporaryDirectory(prefix="graphopt-walk-") as folder:
        work = Path(folder) / "work"
        work.mkdir()
        shutil.copy(ROOT / "examples" / "digits" / "digits.onnx", work)
        environment = commands_of_this_checkout(Path(folder) / "bin", Path(folder) / "home")
        environment.pop("GRAPHOPT_CACHE", None)
        run(ROOT / "docs" / "federation.md", work, environment, tell)
    print(f"three organisations, from nothing to a model that ran and was refused: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
