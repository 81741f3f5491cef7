"""The guard pages guard: one byte beyond an array ends a process that reads it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.walls import guarded, guarded_before

READ = """
import ctypes
import numpy as np
from tests.walls import guarded, guarded_before
array = {wall}(np.arange(3, dtype=np.float32))
ctypes.string_at(array.ctypes.data + {offset}, 1)
"""


@pytest.mark.parametrize("wall", [guarded, guarded_before])
@pytest.mark.parametrize("shape", [(3,), (0, 2), (), (2048,), (3, 5)])
def test_a_guarded_array_holds_what_it_was_made_of(wall: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    made = wall(array)
    assert made.flags.c_contiguous
    assert made.flags.aligned
    np.testing.assert_array_equal(made, array)


@pytest.mark.parametrize(
    ("wall", "offset", "dies"),
    [("guarded", 11, False), ("guarded", 12, True), ("guarded_before", 0, False), ("guarded_before", -1, True)],
)
def test_one_byte_beyond_it_nobody_may_read(wall: str, offset: int, dies: bool):
    code = READ.format(wall=wall, offset=offset)
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, check=False)
    assert done.returncode == (-signal.SIGSEGV if dies else 0), done.stderr
