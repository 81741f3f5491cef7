"""A bundle whose program lies, and whose manifest agrees with it: refused in a sentence, or it runs and ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import graphopt
from graphopt.bundle import write_manifest
from graphopt.bundle.artifact import PROGRAM
from graphopt.bundle.statement import MANIFEST_NAME
from graphopt.errors import BundleError
from tests.bundle.hostile_programs import altered, build, run
from tests.walls import guarded

COUNT = int(os.environ.get("GRAPHOPT_HOSTILE", "300"))
BATCH = 100
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    build(folder)
    return folder


def outcomes(folder: Path, first: int, count: int) -> Mapping[int, str]:
    """What came of some altered programs: a sentence or nothing; AssertionError where a process ended over one."""
    command = [sys.executable, "-m", "tests.bundle.hostile_programs", str(folder), str(first), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended with {done.returncode} over {lines[-1:]}: {done.stderr[-1500:]}"
    return {int(seed): json.loads(said) for what, seed, said in lines if what == "end"}


def test_the_bundles_run_as_they_are(bundles: Path) -> None:
    for bundle in sorted(path for path in bundles.iterdir() if path.is_dir()):
        with np.load(f"{bundle}.npz") as request:
            assert run(bundle, (bundle / PROGRAM).read_bytes(), dict(request), guarded) == ""


@pytest.mark.parametrize("first", range(0, COUNT, BATCH))
def test_an_altered_program_is_refused_or_runs_and_ends(bundles: Path, first: int) -> None:
    found = outcomes(bundles, first, min(BATCH, COUNT - first))
    assert len(found) == min(BATCH, COUNT - first)
    for seed, said in found.items():
        assert "\n" not in said, seed
    refused = sum(bool(said) for said in found.values())
    assert len(found) > refused > len(found) // 4


def test_a_bundle_is_refused_as_its_program_is(bundles: Path) -> None:
    bundle = bundles / "products"
    original = (bundle / PROGRAM).read_bytes()
    seed = next(seed for seed in range(100) if run(bundle, altered(original, seed), {}, guarded).startswith("program"))
    try:
        (bundle / PROGRAM).write_bytes(altered(original, seed))
        (bundle / MANIFEST_NAME).unlink()
        write_manifest(bundle, {})
        with pytest.raises(BundleError, match="program file"):
            graphopt.load(bundle)
    finally:
        (bundle / PROGRAM).write_bytes(original)
