"""What is in the distribution, and that the files which say how to build and test it agree."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import graphopt

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as `pip install .` builds it."""
    built = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"])
    return zipfile.ZipFile(next(iter(built)))


def test_the_wheel_holds_every_file_of_the_three_packages(wheel: zipfile.ZipFile) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "graphopt", "kernels/graphopt_kernels", "governance/graphopt_governance"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    expected = {line.removeprefix("kernels/").removeprefix("governance/") for line in tracked.stdout.splitlines()}
    assert expected - set(wheel.namelist()) == set()


def test_the_wheel_holds_nothing_beside_the_three_packages(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"graphopt", "graphopt_kernels", "graphopt_governance", f"graphopt-{graphopt.__version__}.dist-info"}


def test_each_package_tells_type_checkers_that_it_is_typed(wheel: zipfile.ZipFile) -> None:
    assert {f"{package}/py.typed" for package in ("graphopt", "graphopt_kernels", "graphopt_governance")} <= set(
        wheel.namelist()
    )


def test_the_wheel_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    name = f"graphopt-{graphopt.__version__}.dist-info/licenses/LICENSE"
    assert b"Apache License" in wheel.read(name)


def test_the_public_names_are_there() -> None:
    for name in graphopt.__all__:
        assert getattr(graphopt, name) is not None


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = graphopt.nothing
