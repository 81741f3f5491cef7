"""The tar file inside a sealed bundle: in one form only, and nothing else gets through."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.bundle import FileRecord, read_manifest, write_manifest
from graphopt.bundle.statement import new_manifest
from graphopt.errors import BundleError, GraphoptError
from graphopt_governance.errors import SealingError
from graphopt_governance.keys.age import library
from graphopt_governance.keys.sealing_key import SealingKey, load_sealing_key
from graphopt_governance.share.sealing import SealNote, open_sealed
from graphopt_governance.share.tar_stream import MAX_NOTE, NOTE_NAME, Unpacker, header, tar_of

from .conftest import make_bundle


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where opened bundles go, in a folder that holds nothing else."""
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox" / "bundle"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sealed_by_hand(tar: bytes, *readers: SealingKey) -> bytes:
    return bytes(library().encrypt(tar, [reader.identity.to_public() for reader in readers]))


def test_the_same_bundle_is_the_same_tar_file_wherever_it_lies(bundle: Path, tmp_path: Path):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / "weights").chmod(0o700)
    one, two = (b"".join(tar_of(folder, read_manifest(folder), b"{}")) for folder in (bundle, copy))
    assert one == two


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


def test_a_note_beyond_its_limit_is_refused_before_it_is_read(tmp_path: Path):
    unpacker = Unpacker(tmp_path, lambda note, manifest: None)
    with pytest.raises(BundleError, match=r"does not have sealed\.json where it should be"):
        unpacker.write(header(NOTE_NAME, MAX_NOTE + 1))


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
