"""Publishing and reusing on the command line: compiled once, approved, and taken by everybody else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.command import DIGITS, graphopt, refused


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A compiled bundle, and the record of how long that took."""
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAPHOPT_HOME", str(folder / "home"))
        assert graphopt("compile", DIGITS, "-o", folder / "b.bundle").code == 0
    return folder / "b.bundle", folder / "home" / "builds"


@pytest.fixture
def bundle(compiled: tuple[Path, Path], home: Path, tmp_path: Path) -> Path:
    shutil.copytree(compiled[1], home / "builds")
    return Path(shutil.copytree(compiled[0], tmp_path / "b.bundle"))


def approve(bundle: Path) -> None:
    assert graphopt("sign", bundle).code == 0
    assert graphopt("anchor", bundle, "--yes").code == 0


def test_a_published_bundle_is_taken_instead_of_compiled(bundle: Path, tmp_path: Path) -> None:
    approve(bundle)
    store, taken = tmp_path / "store", tmp_path / "taken.bundle"
    published = graphopt("publish", bundle, "--store", store, "--json").data
    assert published["files"] > 3
    assert published["compiling"] > 0
    assert graphopt("publish", bundle, "--store", store, "--json").data["files"] == 0

    done = graphopt("compile", DIGITS, "-o", taken, "--from-federation", "--store", store, "--json")
    assert done.err == ""
    assert done.data["from_federation"] is True
    assert done.data["bundle"]["digest"] == published["digest"]
    assert done.data["seconds_there"] == published["compiling"]
    assert 0 < done.data["seconds_here"] < 30
    assert done.data["rewrites_saved"] > 0
    assert done.data["native_calls_saved"] > 0
    assert done.data["seeds_saved"] > 0
    assert graphopt("verify", taken).code == 0
    assert graphopt("run", taken, "--random", 0, "--dim", "N=1").code == 0


def test_where_nothing_can_be_taken_the_model_is_compiled_and_it_is_said_why(bundle: Path, tmp_path: Path) -> None:
    approve(bundle)
    store, other = tmp_path / "store", tmp_path / "other.bundle"
    call = ("compile", DIGITS, "-o", other, "--from-federation", "--store", store)
    done = graphopt(*call, "--json")
    assert done.code == 0
    assert "passed over" in done.err
    assert "does not hold it" in done.err
    assert "compiling" in done.err
    assert "from_federation" not in done.data
    assert done.data["bundle"]["digest"] == graphopt("inspect", bundle, "--json").data["bundle"]["digest"]

    done = graphopt(*call[:-3], "--only-federation", "--store", store, "--level", "exact")
    assert done.code == 2
    assert "no approved bundle of this model with these options can be had" in done.err.splitlines()[-1]


def test_each_refusal_is_one_sentence(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    monkeypatch.delenv("GRAPHOPT_STORE", raising=False)
    assert "no store is named" in refused("publish", bundle)
    assert "no store is named" in refused("compile", DIGITS, "-o", tmp_path / "x", "--from-federation")
    assert "refused: the bundle is not signed" in refused("publish", bundle, "--store", store)
    assert "no kind that fsspec knows" in refused("publish", bundle, "--store", "pigeon://me:secret@roof")
    assert "is no bundle" in refused("compile", DIGITS, "-o", DIGITS, "--from-federation", "--store", store)
    done = graphopt("publish", bundle, "--store", store, "--unapproved")
    assert done.code == 0
    assert "nobody was asked" in done.err
    assert (
        "there is no federation here to seal for"
        in graphopt("publish", bundle, "--store", store, "--unapproved", "--sealed").err
    )
    with (bundle / "weights").open("ab") as file:
        file.write(b"\0")
    done = graphopt("publish", bundle, "--store", store, "--unapproved")
    assert done.code == 2
    assert "weights was altered" in done.err
