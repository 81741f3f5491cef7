"""`graphopt verify` on the command line: offline, by a stranger's proof, under a policy, by an OpenSSF signature."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graphopt_governance import actions
from graphopt_governance.chains.state_trie import Header
from graphopt_governance.home import Home
from graphopt_governance.verdict.proof import Proof
from tests.cli.command import graphopt, refused
from tests.governance.conftest import make_bundle


@pytest.fixture
def approved(tmp_path: Path) -> Path:
    bundle = make_bundle(tmp_path / "bundle")
    actions.sign(bundle)
    actions.anchor(bundle)
    assert graphopt("verify", bundle).code == 0
    return bundle


def kept(bundle: Path) -> Path:
    (path,) = (path for path in Home.default().proofs.glob("*.json") if not path.name.startswith("floor"))
    return path


def test_offline_a_kept_proof_is_judged_from_within_the_age_that_is_given(approved: Path) -> None:
    told = graphopt("verify", approved, "--offline", "--max-age", "24h", "--json").data
    assert told["approved"] is True
    assert told["basis"].startswith("a proof kept in this home since")
    assert told["proof_age"] < 3600
    assert "--max-age" in refused("verify", approved, "--offline")
    assert "not a duration such as 90s" in refused("verify", approved, "--max-age", "soon")
    document = json.loads(kept(approved).read_bytes())
    kept(approved).write_bytes(
        kept(approved).read_bytes().replace(f'"taken":"{document["taken"]}"'.encode(), b'"taken":"1700000000"')
    )
    stale = graphopt("verify", approved, "--offline", "--max-age", "24h", "--json")
    assert stale.code == 18
    assert stale.data["reasons"][0]["code"] == "stale"


def test_a_strangers_proof_needs_a_checkpoint(approved: Path) -> None:
    proof = kept(approved)
    checkpoint = "0x" + Header.decode(Proof.load(proof).header).digest.hex()
    told = graphopt("verify", approved, "--proof", proof, "--checkpoint", checkpoint, "--json").data
    assert told["approved"] is True
    assert "the checkpoint is 0xaa" in refused("verify", approved, "--proof", proof, "--checkpoint", "aa" * 32)
    assert "is no hash of a block" in refused("verify", approved, "--proof", proof, "--checkpoint", "0xaa")
    assert "needs the hash of a block" in refused("verify", approved, "--proof", proof)


def test_a_policy_is_obeyed_by_verify_and_run(approved: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[bundle]\nlevels = ["approximate"]\n')
    told = graphopt("verify", approved, "--policy", policy, "--json")
    assert (told.code, told.data["reasons"][0]["code"]) == (19, "against-policy")
    assert "against the policy" in refused("run", approved, "--random", 0, "--policy", policy)
    policy.write_text('[bundle]\nlevel = ["approximate"]\n')
    assert "did you mean 'levels'?" in refused("verify", approved, "--policy", policy)


def test_a_signature_and_its_key_go_together(approved: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(actions.public_key())
    assert "go together" in refused("verify", approved, "--signature", approved / "manifest.json")
    key = tmp_path / "key.pem"
    signed = ("verify", approved, "--signature", approved / "manifest.json", "--public-key", key)
    assert "no federation is asked" in refused(*signed, "--offline", "--max-age", "1h")
    told = graphopt(
        "verify", approved, "--signature", approved / "manifest.json", "--public-key", tmp_path / "key.pem", "--json"
    )
    assert told.data["approved"] is True
    assert told.data["files"] == 3
    (approved / "weights").write_bytes(b"other")
    assert (
        graphopt(
            "verify", approved, "--signature", approved / "manifest.json", "--public-key", tmp_path / "key.pem"
        ).code
        == 10
    )
