"""Applications that fit, of operators for which onnx ships no case of one node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx

_ML, _MS = "ai.onnx.ml", "com.microsoft"


def EXAMPLES() -> list[tuple[str, onnx.ModelProto, Mapping[str, Any]]]:  # noqa: N802
    return []
