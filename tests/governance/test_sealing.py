"""Sealed bundles: for chosen members alone, whole or not at all, and never believed for being sealed."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.bundle import AlteredError, FileRecord, check_files, read_manifest, write_manifest
from graphopt.bundle.statement import new_manifest
from graphopt.errors import BundleError, GraphoptError, RefusedError
from graphopt_governance import governing, sealing
from graphopt_governance.action import Kind, Right
from graphopt_governance.age import library
from graphopt_governance.chain import Chain
from graphopt_governance.errors import DocumentError, SealingError
from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home
from graphopt_governance.rotation import prepare_rotation, settle_rotation
from graphopt_governance.sealing import SealNote, open_sealed, seal, seal_again
from graphopt_governance.sealing_key import SealingKey, load_sealing_key, opening_keys
from graphopt_governance.tar_stream import NOTE_NAME, Unpacker, header, tar_of

from .conftest import make_bundle
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


def sealed_by_hand(tar: bytes, *readers: SealingKey) -> bytes:
    return bytes(library().encrypt(tar, [reader.identity.to_public() for reader in readers]))


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


def test_the_same_bundle_for_the_same_members_is_the_same_tar_file(chain: Chain, bundle: Path):
    manifest = read_manifest(bundle)
    assert b"".join(tar_of(bundle, manifest, b"{}")) == b"".join(tar_of(bundle, manifest, b"{}"))


def _with_another_digest(tar: bytes) -> bytes:
    at = tar.index(b'"digest":"') + 10
    return tar[:at] + b"00" * 32 + tar[at + 64 :]


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "a link": lambda tar: _with_header(tar, "weights", lambda block: _typed(block, b"2")),
    "a hard link": lambda tar: _with_header(tar, "weights", lambda block: _typed(block, b"1")),
    "a folder": lambda tar: _with_header(tar, "weights", lambda block: _typed(block, b"5")),
    "a program with the set-user bit": lambda tar: tar.replace(b"0000644", b"0004755"),
    "a name outside": lambda tar: _renamed(tar, "weights", "../weight"),
    "an absolute name": lambda tar: _renamed(tar, "weights", "/weights"),
    "a name twice": lambda tar: _renamed(tar, "weights", "model.onnx"),
    "a size beyond the manifest's": lambda tar: _resized(tar, "weights", 300 + 512),
    "a negative size": lambda tar: tar.replace(b"%011o" % 300, b"-0000000454"),
    "a file more": lambda tar: tar[:-1024] + header("extra", 3) + b"abc".ljust(512, b"\0") + tar[-1024:],
    "something after the end": lambda tar: tar + b"\0",
    "something in the padding": lambda tar: tar[:-1025] + b"x" + tar[-1024:],
    "no end": lambda tar: tar[:-512],
    "an end too early": lambda tar: tar[: tar.index(b"weights" + bytes(93))] + bytes(1024),
    "nothing": lambda tar: b"",
    "no note": lambda tar: tar[1024:],
    "a note about another bundle": _with_another_digest,
    "a link in the place of the manifest": lambda tar: _with_header(tar, "manifest.json", lambda b: _typed(b, b"2")),
    "an endless note": lambda tar: header(NOTE_NAME, 2**33 - 1) + tar[512:],
    "a byte of the weights": lambda tar: tar[: -1024 - 512] + b"\1" + tar[-1024 - 511 :],
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_tar_file_inside_a_sealed_one_is_refused(attack: str, bundle: Path, target: Path, tmp_path: Path):
    key = load_sealing_key(tmp_path / "key.age")
    manifest = read_manifest(bundle)
    note = SealNote(manifest.digest.hex(), 7, "0x" + "00" * 20, 1, (1,))
    tar = b"".join(tar_of(bundle, manifest, note.encode()))
    (tmp_path / "good.age").write_bytes(sealed_by_hand(tar, key))
    open_sealed(tmp_path / "good.age", target, [key], None)
    shutil.rmtree(target)

    changed = HOSTILE[attack](tar)
    assert changed != tar
    (tmp_path / "bad.age").write_bytes(sealed_by_hand(changed, key))
    with pytest.raises(SealingError, match="holds no whole bundle"):
        open_sealed(tmp_path / "bad.age", target, [key], None)
    assert list(target.parent.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.age", "bundle", "good.age", "inbox", "key.age"]


def _with_header(tar: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    at = tar.index(name.encode() + bytes(100 - len(name)))
    return tar[:at] + change(tar[at : at + 512]) + tar[at + 512 :]


def _typed(block: bytes, kind: bytes) -> bytes:
    changed = block[:148] + b" " * 8 + kind + b"/etc/passwd".ljust(100, b"\0") + block[257:]
    return changed[:148] + b"%06o\0 " % sum(changed) + changed[156:]


def _renamed(tar: bytes, name: str, other: str) -> bytes:
    return _with_header(tar, name, lambda block: header(other, int(block[124:135], 8)))


def _resized(tar: bytes, name: str, size: int) -> bytes:
    return _with_header(tar, name, lambda block: header(name, size))


@given(data=st.data())
def test_random_bytes_in_a_tar_file_are_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("tar")
    bundle = make_bundle(folder / "bundle")
    manifest = read_manifest(bundle)
    tar = b"".join(tar_of(bundle, manifest, b"{}"))
    at = data.draw(st.integers(0, len(tar) - 1))
    tar = tar[:at] + data.draw(st.binary(min_size=1, max_size=20).filter(lambda b: b != tar[at : at + len(b)]))
    (folder / "out").mkdir()
    with pytest.raises(GraphoptError):
        _fed(Unpacker(folder / "out", lambda note, manifest: None), tar, data)


@given(data=st.data())
def test_a_tar_file_comes_through_in_pieces_of_any_size(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("tar")
    (folder / "bundle").mkdir()
    names = data.draw(st.sets(st.from_regex(r"[a-z]{1,120}(/[a-z]{1,120})?", fullmatch=True), min_size=1, max_size=4))
    files = {name: data.draw(st.binary(max_size=2000)) for name in names}
    plain = {part for name in names for part in name.split("/")[:-1]}
    files = {name: content for name, content in files.items() if name not in plain}
    for name, content in files.items():
        (folder / "bundle" / name).parent.mkdir(exist_ok=True)
        (folder / "bundle" / name).write_bytes(content)
    if not files:
        return
    manifest = write_manifest(folder / "bundle", {})
    (folder / "out").mkdir()
    unpacker = Unpacker(folder / "out", lambda note, manifest: None)
    tar = b"".join(tar_of(folder / "bundle", manifest, b"{}"))
    _fed(unpacker, tar, data)
    assert contents(folder / "out") == files
    with tarfile.open(fileobj=io.BytesIO(tar)) as listing:
        assert listing.getnames() == [NOTE_NAME, "manifest.json", *sorted(files)]


def _fed(unpacker: Unpacker, tar: bytes, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 5000))
    try:
        for at in range(0, len(tar), size):
            unpacker.write(tar[at : at + size])
        unpacker.finish()
    finally:
        unpacker.close()


@given(st.integers(0, 2**60), st.from_regex(r"[a-z]{1,200}", fullmatch=True))
def test_headers_are_what_the_field_s_tar_reads(size: int, name: str):
    blocks = header(name, size)
    assert len(blocks) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(blocks + bytes(1024))) as tar:
        member = tar.next()
    assert member is not None
    assert (member.name, member.size, member.isfile()) == (name, size, True)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b'{"format":"graphopt/sealed/v1"}', b'{"chain":"x"}', b'{"members":1}', b"\xff", b"null"],
)
def test_a_note_of_another_form_is_refused(data: bytes):
    with pytest.raises((BundleError, DocumentError)):
        SealNote.decode(data)


def test_a_manifest_that_promises_more_than_comes_writes_no_more_than_came(target: Path, tmp_path: Path):
    key = load_sealing_key(tmp_path / "key.age")
    manifest = new_manifest([FileRecord("weights", "ab" * 32, 2**50)], {})
    note = SealNote(manifest.digest.hex(), 7, "0x" + "00" * 20, 1, (1,)).encode()
    envelope = manifest.to_bytes()
    tar = header(NOTE_NAME, len(note)) + note + bytes(-len(note) % 512)
    tar += header("manifest.json", len(envelope)) + envelope + bytes(-len(envelope) % 512)
    tar += header("weights", 2**50) + bytes(10**6)
    (tmp_path / "big.age").write_bytes(sealed_by_hand(tar, key))
    with pytest.raises(SealingError, match="ends before its end"):
        open_sealed(tmp_path / "big.age", target, [key], None)
    assert list(target.parent.iterdir()) == []


def test_sealing_stops_half_way_without_a_trace(
    chain: Chain, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sealing.os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        seal(bundle, tmp_path / "b.age", chain)
    assert [path.name for path in tmp_path.iterdir() if "age" in path.name] == []
