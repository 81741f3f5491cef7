"""What a launch says it touches is true: it touches no more, and no more is ever allowed than there is."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphopt_kernels.abi import KernelSpec, Launch, Operand, Ref
from graphopt_kernels.reach.hold import KERNELS, hold, reach_of
from tests.kernels.launches import Case, every_case, run
from tests.walls import guarded, guarded_before

Wall = Callable[[np.ndarray], np.ndarray]
ROOT = Path(__file__).parents[2]
CPU = ROOT / "kernels" / "graphopt_kernels" / "cpu"
ALTERED = int(os.environ.get("GRAPHOPT_HOSTILE", "300"))
NUMBERS = (0, 1, -1, 2**31, 2**53, 2**62, -(2**62))


def test_every_kernel_that_is_launched_states_what_it_touches() -> None:
    assert {launch.spec.family for case in every_case() for launch in case.bind().launches} == KERNELS


@pytest.mark.parametrize("wall", [guarded, guarded_before])
def test_a_launch_touches_what_it_states_and_no_more(wall: Wall) -> None:
    for case in every_case():
        for team in (1, 3):
            call = case.bind(wall=wall)
            run(call, team)
            assert not call.memory.cell.any()


def test_an_operand_that_is_one_byte_short_is_refused() -> None:
    for case in every_case():
        for launch in case.bind().launches:
            for reach in reach_of(launch):
                ref = launch.fields[reach.field]
                if not isinstance(ref, Ref) or reach.low == reach.high:
                    continue
                short = Ref(ref.buffer, ref.offset, ref.begin, ref.offset + reach.high - 1)
                late = Ref(ref.buffer, ref.offset, ref.offset + reach.low + 1, ref.end)
                for changed in (short, late):
                    with pytest.raises(ValueError, match="would touch the bytes"):
                        hold([with_field(launch, reach.field, changed)], [])


def with_field(launch: Launch, place: int, value: int | Ref) -> Launch:
    """The launch with one field replaced."""
    return replace(launch, fields=(*launch.fields[:place], value, *launch.fields[place + 1 :]))


def test_what_nobody_states_is_refused() -> None:
    ref = Ref.to(0, 0, 64)
    copy = KernelSpec.of("copy", size=4)
    with pytest.raises(ValueError, match="nobody states what the kernel 'run' touches"):
        hold([Launch(KernelSpec.of("run", part="loop"), (ref,))], [])
    with pytest.raises(ValueError, match="nobody states what copy touches through field 1"):
        hold([Launch(copy, (ref, ref, 2, 0, 4, 1, 0, 1, 0, 0))], [])
    with pytest.raises(ValueError, match="would touch memory through field 1, no address"):
        hold([Launch(copy, (ref, 4096, 0, 0, 4, 1, 1, 1, 0, 0))], [])
    with pytest.raises(ValueError, match="more than 64 bits hold"):
        hold([Launch(copy, (ref, 2**63, 2, 0, 4, 1, 0, 1, 0, 0))], [])
    with pytest.raises(ValueError, match="a block of copy has 9 words where its code reads 10"):
        hold([Launch(copy, (ref, ref, 0, 0, 4, 1, 1, 1, 0))], [])


def test_an_output_that_is_not_written_in_full_is_refused() -> None:
    copy, output = KernelSpec.of("copy", size=4), Operand(np.dtype(np.float32), (16,), Ref.to(0, 0, 64))
    hold([Launch(copy, (output.ref, 7, 2, 0, 16, 1, 0, 1, 0, 0))], [output])
    late = [Launch(copy, (output.ref.moved(4), 7, 2, 0, 15, 1, 0, 1, 0, 0))]
    for launches in ([], late, [Launch(copy, (output.ref, 7, 2, 0, 15, 1, 0, 1, 0, 0))]):
        with pytest.raises(ValueError, match=r"an output of shape \[16\] would not be written in full"):
            hold(launches, [output])


def test_every_kernel_in_its_folder_is_stated_or_no_kernel() -> None:
    made = {path.stem for path in CPU.glob("*.py") if "\ndef core(" in path.read_text(encoding="utf-8")}
    assert made - KERNELS == {"roof", "run"}, "bench/roofline.py and the run loop are no operators"


def altered(seed: int) -> tuple[Case, int, Launch]:
    """A case with one whole number of one launch replaced: the case, which launch, and what it became."""
    choice = random.Random(seed)
    case = choice.choice(every_case())
    launches = case.bind().launches
    place = choice.randrange(len(launches))
    launch = launches[place]
    numbered = [i for i, x in enumerate(launch.fields) if isinstance(x, int)]
    spot = choice.choice(numbered)
    old = launch.fields[spot]
    assert isinstance(old, int)
    others = [x for x in launch.fields if isinstance(x, int)]
    new = choice.choice((*NUMBERS, old + 1, old - 1, 2 * old, -old, choice.choice(others)))
    return case, place, with_field(launch, spot, new)


def run_altered(seeds: range) -> int:
    """Run what is not refused of altered launches; how many that were."""
    ran = 0
    for seed in seeds:
        case, place, launch = altered(seed)
        wall = (guarded, guarded_before)[seed % 2]
        call = case.bind(wall=wall)
        launches = [*call.launches[:place], launch, *call.launches[place + 1 :]]
        try:
            hold(launches, [])
        except ValueError:
            continue
        print(seed, case, launch, flush=True)
        run(replace(call, launches=launches), team=2)
        ran += 1
    return ran


def test_a_launch_with_any_other_number_is_refused_or_touches_what_it_states() -> None:
    code = f"from tests.kernels.test_reach import run_altered; print('ran', run_altered(range({ALTERED})))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60 + ALTERED
    )
    last = "\n".join(done.stdout.splitlines()[-1:])
    assert done.returncode == 0, f"{last}\n{done.stderr[-2000:]}"
    assert int(last.split()[1]) > ALTERED // 20
