"""Teams of threads: every launch is made, in order, by the right members."""

from __future__ import annotations

import ctypes
import threading
import time
from typing import Any

import numpy as np
import pytest

from graphopt_kernels.bind import run
from graphopt_kernels.cache import native
from graphopt_kernels.load import KERNEL, Library
from graphopt_kernels.targets import host_targets
from graphopt_kernels.team import Table, Team

pytestmark = pytest.mark.skipif(not host_targets(), reason="no target for this machine")


@pytest.fixture(scope="module")
def library() -> Library:
    return native(run.SPECS, host_targets()[0])


make_kernel: Any = KERNEL


class Recorder:
    """A kernel in Python that notes its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, int]] = []
        self.kernel = make_kernel(self.note)

    def note(self, block: int, member: int, team: int) -> None:
        self.calls.append((block, member, team))

    @property
    def address(self) -> int:
        return ctypes.cast(self.kernel, ctypes.c_void_p).value or 0


@pytest.mark.parametrize("size", [1, 2, 3])
def test_members_share_a_launch_and_keep_the_order(library: Library, size: int) -> None:
    recorder = Recorder()
    table = Table(
        [
            (recorder.address, 1, False),
            (recorder.address, 2, True),
            (recorder.address, 3, True),
            (recorder.address, 4, False),
        ]
    )
    with Team(library, size) as team:
        for _ in range(3):
            recorder.calls.clear()
            team.run(table)
            assert [block for block, _, _ in recorder.calls] == sorted(block for block, _, _ in recorder.calls)
            assert sorted(recorder.calls) == sorted(
                [(block, member, size) for block in (1, 4) for member in range(size)] + [(2, 0, 1), (3, 0, 1)]
            )


def test_a_team_that_slept_wakes_again(library: Library) -> None:
    recorder = Recorder()
    table = Table([(recorder.address, 0, False)])
    with Team(library, 2) as team:
        for pause in (0.0, 0.05, 0.0, 0.02):
            time.sleep(pause)
            team.run(table)
    assert len(recorder.calls) == 8


def test_closing_a_team_ends_its_threads_and_running_starts_them_anew(library: Library) -> None:
    before = threading.active_count()
    recorder = Recorder()
    table = Table([(recorder.address, 0, False)])
    team = Team(library, 3)
    team.run(table)
    assert threading.active_count() == before + 2
    team.close()
    assert threading.active_count() == before
    team.run(table)
    assert len(recorder.calls) == 6
    del team
    assert threading.active_count() == before


def test_requests_from_several_threads_wait_for_each_other(library: Library) -> None:
    recorders = [Recorder() for _ in range(4)]
    tables = [Table([(r.address, 0, False)] * 5) for r in recorders]
    with Team(library, 2) as team:
        threads = [threading.Thread(target=lambda t=t: [team.run(t) for _ in range(10)]) for t in tables]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [len(r.calls) for r in recorders] == [100] * 4


def test_an_empty_table_is_done_at_once(library: Library) -> None:
    with Team(library, 2) as team:
        team.run(Table([]))


def test_stamps_count_up_from_launch_to_launch(library: Library) -> None:
    recorder = Recorder()
    table = Table([(recorder.address, 0, False)] * 4, stamped=True)
    with Team(library, 2) as team:
        team.run(table)
    assert table.stamps is not None
    assert np.all(np.diff(table.stamps) > 0)


def test_a_team_of_nobody_is_refused(library: Library) -> None:
    with pytest.raises(ValueError, match="at least one thread"):
        Team(library, 0)
