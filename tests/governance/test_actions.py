"""From an unsigned bundle to an approved one and back, as the command line does it: one sentence for each refusal."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graphopt.bundle import Signature, read_manifest, save_manifest, write_manifest
from graphopt.errors import BundleError, RefusedError
from graphopt_governance import actions
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.gate import ChainGate, FederationRefusedError
from graphopt_governance.home import Home
from graphopt_governance.keys.signing_key import load_signing_key
from graphopt_governance.verdict.verify import Code

from .conftest import make_bundle


def approve(bundle: Path, model: str | None = None) -> actions.Anchored:
    actions.sign(bundle)
    return actions.anchor(bundle, model)


def first_code(bundle: Path) -> Code:
    return actions.verify(bundle).reasons[0].code


def test_a_bundle_is_signed_anchored_admitted_revoked_and_refused(bundle: Path, home: Home):
    digest = read_manifest(bundle).digest.hex()
    assert actions.sign(bundle).digest == digest
    anchored = actions.anchor(bundle)
    assert (anchored.digest, anchored.version, anchored.already) == (digest, 1, False)
    verdict = actions.verify(bundle)
    assert verdict.approved
    assert verdict.exit_code == 0
    assert f"block {anchored.block}" in verdict.sentence
    ChainGate.default().admit(read_manifest(bundle))

    withdrawn = actions.revoke(bundle, "wrong on dark images")
    verdict = actions.verify(bundle)
    assert verdict.exit_code == 15
    assert f"revoked by the federation in block {withdrawn.block} (" in verdict.sentence
    assert "wrong on dark images" in verdict.sentence
    with pytest.raises(FederationRefusedError, match="wrong on dark images"):
        ChainGate.default().admit(read_manifest(bundle))
    json.dumps([anchored.to_json(), withdrawn.to_json(), verdict.to_json()])


def test_keys_and_ledger_are_made_once_and_belong_to_their_owner_alone(bundle: Path, home: Home):
    approve(bundle)
    kept = {path: path.read_bytes() for path in (home.signing_key, home.member_key)}
    assert {path.stat().st_mode & 0o777 for path in (*kept, home.ledger)} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (home.folder, home.member_key.parent)} == {0o700}
    actions.sign(bundle)
    assert {path: path.read_bytes() for path in kept} == kept


def test_verifying_makes_nothing(bundle: Path, home: Home):
    verdict = actions.verify(bundle)
    assert [reason.code for reason in verdict.reasons] == [Code.UNSIGNED, Code.NOT_ANCHORED]
    assert not home.folder.exists()


def test_an_unsigned_bundle_is_not_anchored(bundle: Path, home: Home):
    with pytest.raises(RefusedError, match="not signed"):
        actions.anchor(bundle)


def test_each_refusal_has_its_own_sentence_and_exit_code(bundle: Path, home: Home, tmp_path: Path):
    other = make_bundle(tmp_path / "other", "cd" * 32)
    approve(other)

    assert first_code(bundle) is Code.UNSIGNED
    actions.sign(bundle)
    assert first_code(bundle) is Code.NOT_ANCHORED
    actions.anchor(bundle)
    assert actions.verify(bundle).approved

    # the other's signature does not hold here
    save_manifest(bundle, read_manifest(bundle).signed(read_manifest(other).signature or Signature(b"", "")))
    assert first_code(bundle) is Code.BAD_SIGNATURE

    stranger = load_signing_key(tmp_path / "stranger" / "key.pem")
    manifest = read_manifest(bundle)
    save_manifest(bundle, manifest.signed(stranger.sign(manifest.pre_authentication)))
    assert first_code(bundle) is Code.UNKNOWN_SIGNER

    actions.sign(bundle)
    (bundle / "weights").write_bytes(bytes(299) + b"\1")
    verdict = actions.verify(bundle)
    assert verdict.reasons[0].code is Code.ALTERED
    assert "weights was altered" in verdict.sentence
    (bundle / "weights").write_bytes(bytes(300))

    actions.revoke(bundle, emergency=True)
    assert first_code(bundle) is Code.SUSPENDED
    actions.revoke(bundle)
    assert first_code(bundle) is Code.REVOKED


def test_a_changed_build_record_is_another_digest_and_not_approved(bundle: Path, home: Home):
    approve(bundle)
    write_manifest(bundle, {"source": {"sha256": "ee" * 32}})
    actions.sign(bundle)
    assert first_code(bundle) is Code.NOT_ANCHORED


def test_anchoring_again_changes_nothing(bundle: Path, home: Home):
    first = approve(bundle)
    again = actions.anchor(bundle)
    assert again.already
    assert again.block == first.block


def test_a_revoked_bundle_is_not_anchored_again(bundle: Path, home: Home):
    approve(bundle)
    actions.revoke(bundle)
    with pytest.raises(RefusedError, match="revoked by the federation"):
        actions.anchor(bundle)
    with pytest.raises(ActionError, match="revoked already"):
        actions.revoke(bundle)


def test_a_newer_version_of_a_named_model_supersedes_and_unnamed_bundles_do_not(
    bundle: Path, home: Home, tmp_path: Path
):
    second, apart = make_bundle(tmp_path / "second", "02" * 32), make_bundle(tmp_path / "apart", "03" * 32)
    assert approve(bundle, "digits").version == 1
    assert approve(apart).version == 1
    assert approve(second, "digits").version == 2
    assert first_code(bundle) is Code.SUPERSEDED
    assert "version 1 of its model, current is version 2" in actions.verify(bundle).sentence
    assert actions.verify(second).approved
    assert actions.verify(apart).approved


def test_an_approval_with_an_end_ends(bundle: Path, home: Home, monkeypatch: pytest.MonkeyPatch):
    actions.sign(bundle)
    end = int(time.time()) + 1000
    with pytest.raises(ActionError, match="expired already"):
        actions.anchor(bundle, expires=1)
    actions.anchor(bundle, expires=end)
    assert actions.verify(bundle).approved
    monkeypatch.setattr(time, "time", lambda: float(end))
    assert first_code(bundle) is Code.EXPIRED


def test_an_altered_bundle_can_still_be_revoked_by_its_digest(bundle: Path, home: Home):
    digest = approve(bundle).digest
    (bundle / "weights").unlink()
    actions.revoke(digest)
    assert actions.verify(make_bundle(bundle)).reasons[0].code is Code.REVOKED


def test_a_reason_too_long_for_the_chain_is_refused(bundle: Path, home: Home):
    approve(bundle)
    with pytest.raises(RefusedError, match="33 bytes"):
        actions.revoke(bundle, "x" * 33)
    assert actions.verify(bundle).approved


def test_a_reason_cannot_steer_the_terminal_of_who_reads_it(bundle: Path, home: Home):
    approve(bundle)
    actions.revoke(bundle, "\x1b[2Jfine\nreally")
    assert actions.verify(bundle).sentence.isprintable()


def test_a_verdict_does_not_rest_on_the_index_of_events(bundle: Path, home: Home):
    approve(bundle)
    with sqlite3.connect(home.ledger, isolation_level=None) as db:
        db.execute("DELETE FROM events")
    db.close()
    assert actions.verify(bundle).approved
    assert "as of block 2" in actions.verify(bundle).sentence
    with pytest.raises(ChainError, match="index"):
        actions.anchor(bundle)
    actions.revoke(bundle, "late")
    with sqlite3.connect(home.ledger, isolation_level=None) as db:
        db.execute("DELETE FROM events")
    db.close()
    assert actions.verify(bundle).sentence == "revoked by the federation"


def test_what_is_no_bundle_is_an_error_and_no_verdict(tmp_path: Path, home: Home):
    with pytest.raises(BundleError, match="no such folder"):
        actions.verify(tmp_path / "absent")
    with pytest.raises(RefusedError, match="nothing to revoke"):
        actions.revoke("ab" * 32)


def test_verifying_loads_no_compiler_and_no_virtual_machine(bundle: Path, home: Home):
    approve(bundle)
    script = (
        "import sys; from graphopt_governance import actions; verdict = actions.verify(sys.argv[1]); "
        "assert verdict.approved, verdict.sentence; "
        "loaded = {'onnx', 'numba', 'llvmlite', 'networkx', 'numpy', 'web3', 'eth'} & sys.modules.keys(); "
        "assert not loaded, loaded"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-W", "error", "-c", script, str(bundle)], env=environment, check=True)
