"""Sealing on the command line: one file for the members, one sentence for everybody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphopt_governance.home import Home
from graphopt_governance.protocol.action import Kind
from tests.cli.command import graphopt, refused
from tests.governance.conftest import make_bundle
from tests.governance.federation import number
from tests.governance.members import approve, decide, found


@pytest.fixture
def owner(home: Path) -> Home:
    return Home(home)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "b.bundle")


def test_a_bundle_is_sealed_opened_and_sealed_again(owner: Home, bundle: Path, tmp_path: Path):
    other = Home(tmp_path / "other")
    chain = found([owner, other])
    approve(bundle, owner)
    sealed = graphopt("seal", bundle, "-o", tmp_path / "b.age", "--json").data
    assert [member["number"] for member in sealed["members"]] == [1, 2]
    done = graphopt("open", tmp_path / "b.age", "-o", tmp_path / "opened", "--json")
    assert done.data["digest"] == sealed["digest"]
    assert done.err == ""
    assert graphopt("verify", tmp_path / "opened").code == 0

    decide(chain, [owner], Kind.REMOVE, subject=number(2))
    done = graphopt("open", tmp_path / "b.age", "-o", tmp_path / "opened", "--json")
    assert "sealed under epoch 1, now is epoch 2" in done.err
    assert done.data["remark"]
    again = graphopt("seal", tmp_path / "b.age", "-o", tmp_path / "c.age", "--json").data
    assert [member["number"] for member in again["members"]] == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.age", "b.bundle", "c.age", "opened", "other"]


def test_each_refusal_is_one_sentence_and_leaves_nothing(owner: Home, bundle: Path, tmp_path: Path):
    target = tmp_path / "opened"
    assert refused("seal", bundle, "-o", tmp_path / "b.age") == "there is no federation here to seal for"
    assert "there is no sealing key" in refused("open", bundle, "-o", target)
    found([owner])
    graphopt("seal", bundle, "-o", tmp_path / "b.age")
    assert "refused: the bundle is not signed" in refused("open", tmp_path / "b.age", "-o", target)
    done = graphopt("open", tmp_path / "b.age", "-o", target, "--no-gate")
    assert done.code == 0
    assert "nobody was asked" in done.err

    assert "no member 7" in refused("seal", bundle, "-o", tmp_path / "c.age", "--to", 7)
    assert "is not a bundle" in refused("seal", tmp_path / "none", "-o", tmp_path / "c.age")
    assert "is no bundle" in refused("open", tmp_path / "b.age", "-o", tmp_path / "b.age")
    (tmp_path / "c.age").write_bytes((tmp_path / "b.age").read_bytes()[:-1])
    approve(bundle, owner)
    assert "was altered or cut short" in refused("open", tmp_path / "c.age", "-o", tmp_path / "new")
    (tmp_path / "c.age").write_bytes(b"age of something")
    assert "is no sealed bundle" in refused("open", tmp_path / "c.age", "-o", tmp_path / "new")
    assert "is no sealed bundle" in refused("open", tmp_path / "absent.age", "-o", tmp_path / "new")
    assert not (tmp_path / "new").exists()
