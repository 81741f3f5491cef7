"""A bundle's life on the command line: signed, anchored, verified, run, revoked."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from graphopt_governance.chains.where import Where
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import Domain
from tests.cli.command import DIGITS, graphopt, refused


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "digits.bundle"
    assert graphopt("compile", DIGITS, "-o", path, "--no-check").code == 0
    return path


@pytest.fixture
def bundle(compiled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(compiled, tmp_path / "digits.bundle"))


REQUEST = ("--random", 0, "--dim", "N=2")


def test_a_bundle_runs_after_it_was_signed_and_anchored(bundle: Path, tmp_path: Path) -> None:
    assert refused("run", bundle, *REQUEST) == "refused: the bundle is not signed"
    assert graphopt("sign", bundle).code == 0
    assert "not anchored" in refused("run", bundle, *REQUEST)
    anchored = graphopt("anchor", "--yes", bundle, "--json").data
    assert anchored["block"] > 0
    assert "without consensus" in anchored["ledger"]
    verdict = graphopt("verify", bundle, "--json").data
    assert verdict["approved"] is True
    assert verdict["anchored_block"] == anchored["block"]
    assert verdict["digest"] == graphopt("inspect", bundle, "--json").data["bundle"]["digest"]
    ran = graphopt("run", bundle, *REQUEST, "--output", tmp_path / "out.npz", "--json").data
    assert ran["outputs"][0]["type"] == "float32[2, 10]"
    assert np.load(tmp_path / "out.npz")["logits"].shape == (2, 10)


def test_nothing_is_voted_for_unseen(bundle: Path) -> None:
    graphopt("sign", bundle)
    done = graphopt("anchor", bundle, "--model", "digits")
    assert done.code == 2
    _, first, *shown, last = done.err.splitlines()
    assert first == "approve a manifest as a version of a model"
    assert any(bundle_digest(bundle) in line for line in shown)
    assert last == "graphopt: nothing was signed: there is no terminal to ask on; read what is above, then add --yes"
    assert graphopt("verify", bundle).code == 14
    assert graphopt("anchor", bundle, "--model", "digits", "--yes").code == 0
    done = graphopt("revoke", bundle, "--reason", "wrong labels")
    assert (done.code, "reason: wrong labels" in done.err) == (2, True)
    assert graphopt("verify", bundle).code == 0


def bundle_digest(bundle: Path) -> str:
    return graphopt("inspect", bundle, "--json").data["bundle"]["digest"]


def test_a_revoked_bundle_is_refused_with_the_reason(bundle: Path) -> None:
    graphopt("sign", bundle)
    graphopt("anchor", "--yes", bundle)
    assert graphopt("revoke", "--yes", bundle, "--reason", "wrong labels").code == 0
    assert "revoked" in refused("run", bundle, *REQUEST)
    done = graphopt("verify", bundle)
    assert done.code == 15
    assert "wrong labels" in done.err


@pytest.mark.parametrize("name", ["model.onnx", "program", "weights", "manifest.json"])
def test_a_flipped_bit_is_refused(bundle: Path, name: str) -> None:
    graphopt("sign", bundle)
    graphopt("anchor", "--yes", bundle)
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    assert refused("run", bundle, *REQUEST)
    assert graphopt("verify", bundle).code in (10, 12)


def test_without_the_gate_the_bytes_are_still_checked(bundle: Path) -> None:
    done = graphopt("run", bundle, *REQUEST, "--no-gate")
    assert done.code == 0
    assert "nobody was asked" in done.err
    with (bundle / "weights").open("ab") as file:
        file.write(b"\0")
    done = graphopt("run", bundle, *REQUEST, "--no-gate")
    assert done.code == 2
    assert "weights was altered" in done.err


def test_keys_are_made_for_their_owner_alone(bundle: Path, home: Path) -> None:
    graphopt("sign", bundle)
    graphopt("anchor", "--yes", bundle)
    keys = list((home / "keys").iterdir())
    assert sorted(key.name for key in keys) == ["member.json", "sealing.age", "signing.pem"]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_what_is_no_bundle_is_refused_in_one_sentence(tmp_path: Path) -> None:
    for command in ("sign", "anchor", "verify", "revoke", "run"):
        assert "is not a bundle" in refused(command, tmp_path / "none")
        assert "is not a bundle" in refused(command, tmp_path)


def test_an_unsigned_bundle_cannot_be_anchored(bundle: Path) -> None:
    assert "not signed" in refused("anchor", bundle)


def test_nothing_can_be_revoked_where_nothing_was_approved(bundle: Path) -> None:
    assert "there is no federation" in refused("revoke", bundle)


def test_a_chain_that_cannot_be_asked_lets_nothing_run(bundle: Path, home: Path) -> None:
    graphopt("sign", bundle)
    Where(Domain(1, b"\x11" * 20), 1).reached_by(("http://127.0.0.1:1/secret",)).write(Home(home))
    for command in (("anchor", bundle), ("verify", bundle), ("revoke", bundle), ("run", bundle, *REQUEST)):
        sentence = refused(*command, "--chain", "http://127.0.0.1:1/secret")
        assert sentence == "the node at 127.0.0.1:1 does not answer; nothing is approved unasked"
        assert "named by its node's URL" in refused(*command, "--chain", "127.0.0.1:1")


def test_a_request_that_does_not_fit_names_what_was_expected(bundle: Path, tmp_path: Path) -> None:
    gate = "--no-gate"

    def sentence(**arrays: np.ndarray) -> str:
        np.savez(tmp_path / "in.npz", **arrays)  # pyright: ignore[reportArgumentType]
        done = graphopt("run", bundle, "--input", tmp_path / "in.npz", gate)
        assert done.code == 2
        return done.err.splitlines()[-1]

    good = np.zeros((2, 1, 8, 8), np.float32)
    assert "no input 'picture'" in sentence(picture=good)
    assert "expected dtype float32" in sentence(image=good.astype(np.float64))
    assert "expected rank 4" in sentence(image=good[0])
    assert "expected 8 in dimension 2" in sentence(image=good[:, :, :7])
    assert "is missing" in sentence()


def test_run_asks_what_to_run_on(bundle: Path) -> None:
    done = graphopt("run", bundle, "--no-gate")
    assert done.code == 2
    assert "give --input IN.npz, or --random SEED" in done.err


def test_an_output_that_cannot_be_written_is_known_before_the_run(bundle: Path, tmp_path: Path) -> None:
    assert "is a folder" in refused("run", bundle, *REQUEST, "--no-gate", "--output", tmp_path)


def test_a_model_is_measured_beside_onnxruntime() -> None:
    data = graphopt("bench", DIGITS, "--threads", 1, "--seconds", 0, "--json").data
    assert [row["engine"] for row in data["engines"]] == ["graphopt", "onnxruntime"]
    assert all(row["difference"] < 1e-4 for row in data["engines"])
    assert data["inputs"] == "image float32[1, 1, 8, 8]"
