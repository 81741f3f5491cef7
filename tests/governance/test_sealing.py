"""Sealed bundles: for chosen members alone, whole or not at all, and never believed for being sealed."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from graphopt.bundle import AlteredError, check_files, read_manifest
from graphopt.errors import BundleError, RefusedError
from graphopt_governance.chains.chain import Chain
from graphopt_governance.chains.opening import settle_rotation
from graphopt_governance.decide import governing
from graphopt_governance.decide.rotation import prepare_rotation
from graphopt_governance.errors import DocumentError, SealingError
from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home
from graphopt_governance.keys.age import library
from graphopt_governance.keys.sealing_key import SealingKey, load_sealing_key, opening_keys
from graphopt_governance.protocol.action import Kind, Right
from graphopt_governance.share import sealing
from graphopt_governance.share.sealing import SealNote, open_sealed, seal, seal_again

from .federation import number
from .members import approve, card, decide, found, homes


@pytest.fixture
def owners(tmp_path: Path) -> list[Home]:
    return homes(tmp_path, "north", "east", "west")


@pytest.fixture
def chain(owners: list[Home]) -> Chain:
    return found(owners)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where opened bundles go, in a folder that holds nothing else."""
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox" / "bundle"


def key_of(home: Home) -> SealingKey:
    return load_sealing_key(home.sealing_key)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_member_opens_what_was_sealed_and_it_is_the_same_bundle(
    owners: list[Home], chain: Chain, bundle: Path, target: Path, tmp_path: Path
):
    approve(bundle, owners[0])
    sealed = seal(bundle, tmp_path / "b.age", chain)
    assert sealed.members == (1, 2, 3)
    assert sealed.left_out == ()
    assert sealed.nbytes == (tmp_path / "b.age").stat().st_size
    for owner in owners:
        opened = open_sealed(tmp_path / "b.age", target, [key_of(owner)], ChainGate(chain), chain)
        assert opened.remark == ""
        assert opened.digest == sealed.digest == read_manifest(bundle).digest.hex()
        assert contents(target) == contents(bundle)
        check_files(target, read_manifest(target))
    assert [path.name for path in target.parent.iterdir()] == ["bundle"]


def test_a_stranger_is_refused_in_one_sentence_and_nothing_is_left(
    chain: Chain, bundle: Path, target: Path, tmp_path: Path
):
    seal(bundle, tmp_path / "b.age", chain)
    stranger = load_sealing_key(tmp_path / "stranger.age")
    with pytest.raises(SealingError, match="was not sealed for the key age1"):
        open_sealed(tmp_path / "b.age", target, [stranger], None)
    assert list(target.parent.iterdir()) == []


def test_a_header_with_thousands_of_readers_is_refused_at_once(owners: list[Home], target: Path, tmp_path: Path):
    stanza = b"-> X25519 %s\n%s\n" % ((b"A" * 43,) * 2)
    file = tmp_path / "b.age"
    file.write_bytes(b"age-encryption.org/v1\n" + stanza * 20_000 + b"--- " + b"A" * 43 + b"\n" + bytes(100))
    begin = time.process_time()
    with pytest.raises(SealingError, match=r"its header does not end within 65536 bytes"):
        open_sealed(file, target, [key_of(owners[0])], None)
    # age reads such a header for more than a minute
    assert time.process_time() - begin < 5
    assert list(target.parent.iterdir()) == []


def test_a_removed_member_opens_the_old_file_but_not_what_is_sealed_again(
    owners: list[Home], chain: Chain, bundle: Path, target: Path, tmp_path: Path
):
    approve(bundle, owners[0])
    seal(bundle, tmp_path / "old.age", chain)
    decide(chain, owners[:1], Kind.REMOVE, subject=number(3))
    again = seal_again(tmp_path / "old.age", tmp_path / "new.age", [key_of(owners[1])], chain)
    assert again.members == (1, 2)
    with pytest.raises(SealingError, match="was not sealed for the key"):
        open_sealed(tmp_path / "new.age", target, [key_of(owners[2])], None)
    assert open_sealed(tmp_path / "new.age", target, [key_of(owners[1])], ChainGate(chain), chain).remark == ""

    # revoking a right to read does not reach what was given away before, and opening the old file says so
    opened = open_sealed(tmp_path / "old.age", target, [key_of(owners[2])], ChainGate(chain), chain)
    assert "sealed under epoch 1, now is epoch 2" in opened.remark
    with pytest.raises(SealingError, match="was not sealed for"):
        seal_again(tmp_path / "new.age", tmp_path / "theirs.age", [key_of(owners[2])], chain)
    assert not (tmp_path / "theirs.age").exists()
    assert sorted(path.name for path in tmp_path.iterdir() if "age" in path.name) == ["new.age", "old.age"]


def test_only_members_who_may_decrypt_and_have_a_key_are_sealed_for(
    owners: list[Home], chain: Chain, bundle: Path, tmp_path: Path
):
    reporter, keyless, broken = (card(home) for home in homes(tmp_path, "reporter", "keyless", "broken"))
    for who, rights, sealing_key in (
        (reporter, Right.REPORT, reporter.sealing),
        (keyless, Right.DECRYPT, bytes(32)),
        (broken, Right.DECRYPT, b"\1" + bytes(31)),
    ):
        fields = {"name": who.account, "amount": int(rights), "evidence": who.signing, "sealing": sealing_key}
        decide(chain, owners[:1], Kind.ADMIT, **fields)
    sealed = seal(bundle, tmp_path / "b.age", chain)
    assert sealed.members == (1, 2, 3)
    assert sealed.left_out == ("member 5 has no sealing key", "member 6 has a sealing key that protects nothing")
    for chosen, sentence in ((4, "may not decrypt"), (5, "has no sealing key"), (6, "protects"), (7, "no member 7")):
        with pytest.raises(SealingError, match=sentence):
            seal(bundle, tmp_path / "other.age", chain, [1, chosen])
    assert not (tmp_path / "other.age").exists()


def test_a_file_for_one_member_is_opened_by_that_one_alone(
    owners: list[Home], chain: Chain, bundle: Path, target: Path, tmp_path: Path
):
    assert seal(bundle, tmp_path / "b.age", chain, [2]).members == (2,)
    with pytest.raises(SealingError, match="was not sealed for"):
        open_sealed(tmp_path / "b.age", target, [key_of(owners[0])], None)
    assert open_sealed(tmp_path / "b.age", target, [key_of(owners[1])], None).members == (2,)


def test_what_was_sealed_to_a_key_that_was_rotated_out_still_opens(
    owners: list[Home], chain: Chain, bundle: Path, target: Path, tmp_path: Path
):
    seal(bundle, tmp_path / "old.age", chain)
    before = key_of(owners[1]).recipient
    rotation = prepare_rotation(owners[1], chain)
    governing.relay(rotation.signed(chain), chain)
    settle_rotation(owners[1], chain)
    assert key_of(owners[1]).recipient != before
    seal(bundle, tmp_path / "new.age", chain)
    for name in ("old.age", "new.age"):
        open_sealed(tmp_path / name, target, opening_keys(owners[1]), None)
        shutil.rmtree(target)
    with pytest.raises(SealingError, match="was not sealed for"):
        open_sealed(tmp_path / "old.age", target, [key_of(owners[1])], None)
    # an old key under another passphrase is no reason to refuse what today's opens
    (old,) = owners[1].keys.glob("old-*/sealing.age")
    old.write_bytes(b"age-encryption.org/v1\n")
    open_sealed(tmp_path / "new.age", target, opening_keys(owners[1]), None)


def test_what_nobody_approved_is_opened_only_without_the_gate(
    owners: list[Home], chain: Chain, bundle: Path, target: Path, tmp_path: Path
):
    seal(bundle, tmp_path / "b.age", chain)
    with pytest.raises(RefusedError, match="not signed"):
        open_sealed(tmp_path / "b.age", target, [key_of(owners[0])], ChainGate(chain), chain)
    assert list(target.parent.iterdir()) == []
    open_sealed(tmp_path / "b.age", target, [key_of(owners[0])], None)
    assert contents(target) == contents(bundle)


def test_a_file_from_another_federation_says_so(
    owners: list[Home], chain: Chain, bundle: Path, target: Path, tmp_path: Path
):
    (stranger,) = homes(tmp_path, "stranger")
    approve(bundle, owners[0])
    seal(bundle, tmp_path / "b.age", chain)
    elsewhere = found([stranger])
    opened = open_sealed(tmp_path / "b.age", target, [key_of(owners[0])], ChainGate(chain), elsewhere)
    assert "sealed in another federation" in opened.remark
    assert not opened.here


def test_a_bundle_that_is_not_whole_is_not_sealed(chain: Chain, bundle: Path, tmp_path: Path):
    (bundle / "weights").write_bytes(bytes(299) + b"\1")
    for change in (lambda: None, lambda: (bundle / "weights").write_bytes(bytes(301)), (bundle / "weights").unlink):
        change()
        with pytest.raises(AlteredError, match="weights"):
            seal(bundle, tmp_path / "b.age", chain)
    assert [path.name for path in tmp_path.iterdir() if "age" in path.name] == []


def test_a_file_that_is_not_in_the_manifest_is_not_sealed_along(chain: Chain, bundle: Path, tmp_path: Path):
    (bundle / "notes.txt").write_text("for us alone")
    with pytest.raises(AlteredError, match=r"notes\.txt is in the bundle but not in its manifest"):
        seal(bundle, tmp_path / "b.age", chain)


def test_a_place_that_is_taken_is_not_overwritten(
    owners: list[Home], chain: Chain, bundle: Path, target: Path, tmp_path: Path
):
    seal(bundle, tmp_path / "b.age", chain)
    target.write_text("something of the user's")
    with pytest.raises(BundleError, match="is no bundle"):
        open_sealed(tmp_path / "b.age", target, [key_of(owners[0])], None)
    assert target.read_text() == "something of the user's"
    for place in (tmp_path / "absent" / "b.age", target.parent):
        with pytest.raises(SealingError, match="cannot write"):
            seal(bundle, place, chain)


def test_no_altered_bit_and_no_missing_byte_passes(
    owners: list[Home], chain: Chain, bundle: Path, target: Path, tmp_path: Path
):
    seal(bundle, tmp_path / "b.age", chain)
    whole = (tmp_path / "b.age").read_bytes()
    bad = tmp_path / "bad.age"
    step = max(1, len(whole) // 150)
    altered = [whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :] for at in range(0, len(whole), step)]
    altered += [whole[:at] for at in range(0, len(whole), step)]
    altered += [whole + b"\0", whole + whole]
    for content in altered:
        bad.write_bytes(content)
        with pytest.raises(SealingError) as caught:
            open_sealed(bad, target, [key_of(owners[0])], None)
        assert str(caught.value).startswith(str(bad))
    assert list(target.parent.iterdir()) == []


def test_the_file_is_age_s_and_the_inside_is_a_tar_file_of_the_field(
    owners: list[Home], chain: Chain, bundle: Path, tmp_path: Path
):
    seal(bundle, tmp_path / "b.age", chain)
    inside = library().decrypt((tmp_path / "b.age").read_bytes(), [key_of(owners[1]).identity])
    with tarfile.open(fileobj=io.BytesIO(inside)) as tar:
        assert [member.name for member in tar] == ["sealed.json", "manifest.json", *sorted(_files(bundle))]
        assert all(member.isfile() and member.mtime == 0 for member in tar.getmembers())
    done = subprocess.run(["tar", "-tf", "-"], input=inside, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["sealed.json", "manifest.json", *sorted(_files(bundle))]
    assert done.stderr == b""


def _files(bundle: Path) -> list[str]:
    return [name for name in contents(bundle) if name != "manifest.json"]


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b'{"format":"graphopt/sealed/v1"}', b'{"chain":"x"}', b'{"members":1}', b"\xff", b"null"],
)
def test_a_note_of_another_form_is_refused(data: bytes):
    with pytest.raises((BundleError, DocumentError)):
        SealNote.decode(data)


def test_sealing_stops_half_way_without_a_trace(
    chain: Chain, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sealing.os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        seal(bundle, tmp_path / "b.age", chain)
    assert [path.name for path in tmp_path.iterdir() if "age" in path.name] == []
