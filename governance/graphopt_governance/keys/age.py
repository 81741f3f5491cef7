"""The one door to age: pyrage, which is age's Rust implementation and ships no types."""

from __future__ import annotations

from typing import Any


def library() -> Any:
    """The module `pyrage`, loaded when it is first needed."""
    import pyrage

    module: Any = pyrage
    return module
