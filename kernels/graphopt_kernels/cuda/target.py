"""Numba's CUDA target, which has no types that a checker could read."""

from __future__ import annotations

from typing import Any

from numba import config as _config
from numba import cuda as _cuda

cuda: Any = _cuda
"""`numba.cuda`: of the package numba-cuda, or the simulator."""
simulated: bool = bool(getattr(_config, "ENABLE_CUDASIM", False))
"""Whether kernels run on the simulator here."""
