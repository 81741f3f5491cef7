"""The store: a bundle is in it whole or not at all, and nothing that comes out of it is believed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.bundle import AlteredError, Manifest, check_files, read_manifest
from graphopt_governance.errors import StoreError
from graphopt_governance.share.patience import Patience
from graphopt_governance.share.store import Store, shown

from .conftest import make_bundle


@pytest.fixture(params=["folder", "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()
        return "memory://members/store"
    return str(tmp_path / "store") if request.param == "folder" else f"file://{tmp_path}/store"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A store in a folder, to be tampered with."""
    return tmp_path / "store"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def published(place: Path, bundle: Path) -> tuple[Store, Manifest, Path]:
    """A store with the bundle in it, the manifest, and the folder to tamper with."""
    store, manifest = Store.at(str(place)), read_manifest(bundle)
    store.put(bundle, manifest)
    return store, manifest, place / "bundles" / manifest.digest.hex()


def test_what_is_put_comes_back_the_same(url: str, bundle: Path, inbox: Path):
    store, manifest = Store.at(url), read_manifest(bundle)
    put = store.put(bundle, manifest)
    assert put.files == len(manifest.files) + 1
    assert put.place == f"{url}/bundles/{manifest.digest.hex()}"
    again = Store.at(url)
    assert again.manifest(manifest.digest) == manifest
    again.get(manifest, inbox)
    check_files(inbox, manifest)
    assert (inbox / "manifest.json").read_bytes() == (bundle / "manifest.json").read_bytes()


def test_what_is_there_is_not_sent_twice_but_when_asked(url: str, bundle: Path):
    store, manifest = Store.at(url), read_manifest(bundle)
    first = store.put(bundle, manifest)
    assert (store.put(bundle, manifest).files, store.put(bundle, manifest).nbytes) == (0, 0)
    assert store.put(bundle, manifest, again=True) == first


def test_a_broken_off_upload_is_no_bundle_and_is_completed_later(url: str, bundle: Path, inbox: Path):
    store, manifest = Store.at(url), read_manifest(bundle)
    content = (bundle / "weights").read_bytes()
    (bundle / "weights").write_bytes(bytes(299) + b"\1")
    with pytest.raises(AlteredError, match="weights"):
        store.put(bundle, manifest)
    assert store.manifest(manifest.digest) is None
    assert store.read(f"bundles/{manifest.digest.hex()}/weights", 1000) is None
    (bundle / "weights").write_bytes(content)
    # the two files that come before the weights had been sent
    assert store.put(bundle, manifest).files == 2
    store.get(manifest, inbox)
    check_files(inbox, manifest)


def test_a_new_signature_replaces_the_manifest_alone(place: Path, bundle: Path, tmp_path: Path):
    from graphopt_governance.keys.signing_key import load_signing_key

    store, manifest, _ = published(place, bundle)
    signed = manifest.signed(load_signing_key(tmp_path / "key.pem").sign(manifest.pre_authentication))
    (bundle / "manifest.json").write_bytes(signed.to_bytes())
    assert store.put(bundle, signed).files == 1
    assert store.manifest(manifest.digest) == signed


def test_nothing_but_the_bundle_is_in_the_store(place: Path, bundle: Path):
    _, manifest, folder = published(place, bundle)
    assert sorted(path for path in place.rglob("*") if path.is_file()) == sorted(
        folder / name for name in ("manifest.json", *(record.name for record in manifest.files))
    )


TAMPERING: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a byte": (lambda folder: (folder / "weights").write_bytes(bytes(299) + b"\1"), "weights was altered"),
    "a byte less": (lambda folder: (folder / "weights").write_bytes(bytes(299)), "shorter"),
    "a byte more": (lambda folder: (folder / "weights").write_bytes(bytes(301)), "longer"),
    "a file gone": (lambda folder: (folder / "weights").unlink(), "weights is missing"),
    "an endless file": (
        lambda folder: ((folder / "weights").unlink(), (folder / "weights").symlink_to("/dev/zero")),
        "longer",
    ),
    "a folder": (lambda folder: ((folder / "weights").unlink(), (folder / "weights").mkdir()), "cannot be read"),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_an_altered_file_in_the_store_is_refused(what: str, place: Path, bundle: Path, inbox: Path):
    store, manifest, folder = published(place, bundle)
    tamper, sentence = TAMPERING[what]
    tamper(folder)
    with pytest.raises(StoreError, match=sentence):
        store.get(manifest, inbox)
    assert sum(path.stat().st_size for path in inbox.rglob("*")) < 10**5
    assert not (inbox / "manifest.json").exists()


def test_another_bundle_in_its_place_is_refused(place: Path, bundle: Path, tmp_path: Path):
    store, manifest, folder = published(place, bundle)
    other = make_bundle(tmp_path / "other", "cd" * 32)
    (folder / "manifest.json").write_bytes((other / "manifest.json").read_bytes())
    with pytest.raises(StoreError, match="another bundle in the place of"):
        store.manifest(manifest.digest)
    for content in (b"", b"{}", b"\xff", bytes(20 * 2**20)):
        (folder / "manifest.json").write_bytes(content)
        with pytest.raises(StoreError, match=r"is no bundle|more than"):
            store.manifest(manifest.digest)


def test_a_store_that_stalls_is_given_up(place: Path, bundle: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch):
    _, manifest, folder = published(place, bundle)
    store = Store.at(str(place), patience=0.2)
    (folder / "weights").unlink()
    os.mkfifo(folder / "weights")  # opening it waits for a writer that never comes
    begin = time.monotonic()
    with pytest.raises(StoreError, match="too slow"):
        store.get(manifest, inbox)
    assert time.monotonic() - begin < 5
    (folder / "weights").open("rb+", buffering=0).close()  # lets the thread go that waits


def test_a_store_that_is_slow_and_steady_is_waited_for(tmp_path: Path):
    class Steady:
        """Gives a megabyte every 60 milliseconds."""

        protocol = "s3"

        def open(self, path: str, mode: str) -> Any:
            return self

        def read(self, size: int) -> bytes:
            time.sleep(0.06)
            return bytes(size)

        def close(self) -> None:
            pass

    pieces = Store(Steady(), "bucket", "s3://bucket", patience=0.2).pieces("x", 8 * 2**20)
    assert pieces is not None
    assert sum(map(len, pieces)) == 8 * 2**20


def test_patience_ends_and_grows_with_what_comes():
    waits = threading.Event()
    patience = Patience(0.05)
    with pytest.raises(TimeoutError):
        patience.call(waits.wait)
    patience.extend(60)
    assert patience.call(lambda: 7) == 7
    with pytest.raises(KeyError):
        patience.call(lambda: {}["absent"])
    waits.set()


def test_a_link_in_a_shared_folder_leads_no_one_out(place: Path, bundle: Path, tmp_path: Path):
    manifest = read_manifest(bundle)
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "weights").write_bytes(b"of somebody")
    (place / "bundles").mkdir(parents=True)
    (place / "bundles" / manifest.digest.hex()).symlink_to(tmp_path / "victim")
    with pytest.raises(StoreError, match="a link in the place of a folder"):
        Store.at(str(place)).put(bundle, manifest)
    assert [path.name for path in (tmp_path / "victim").iterdir() if path.is_file()] == ["weights"]
    # the store itself may be behind a link: its owner put it there
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")
    assert Store.at(str(tmp_path / "linked")).put(bundle, manifest).files == 4


def _link_to_a_folder(file: Path, victim: Path) -> None:
    file.unlink(missing_ok=True)
    file.symlink_to(victim)


def _link_to_the_same(file: Path, victim: Path) -> None:
    (victim / "copy").write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(victim / "copy")


def _folder(file: Path, victim: Path) -> None:
    file.unlink(missing_ok=True)
    file.mkdir()


def _fifo(file: Path, victim: Path) -> None:
    file.unlink(missing_ok=True)
    os.mkfifo(file)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("name", ["weights", "manifest.json"])
@pytest.mark.parametrize("put", [_link_to_a_folder, _link_to_the_same, _folder, _fifo])
def test_in_the_place_of_a_file_is_nothing_else_and_put_says_so(
    put: Callable[[Path, Path], None], name: str, again: bool, place: Path, bundle: Path, tmp_path: Path
):
    store, manifest, folder = published(place, bundle)
    (tmp_path / "victim").mkdir()
    put(folder / name, tmp_path / "victim")
    before = sorted((tmp_path / "victim").iterdir())
    if name == "manifest.json" and put is _fifo and not again:
        store = Store.at(str(place), patience=0.2)  # what is there is compared first, and read like anything in a store
    elif name == "manifest.json" and put is _link_to_the_same and not again:
        pytest.skip("the manifest is there, whoever keeps it, and nothing has to be sent")
    with pytest.raises(StoreError, match=r"in its place is (a link|a folder|no plain file)|too slow|cannot be read"):
        store.put(bundle, manifest, again=again)
    assert sorted((tmp_path / "victim").iterdir()) == before
    assert not [path.name for path in place.rglob("*.part")]


def test_put_says_that_it_is_done_only_of_what_can_be_read_back(bundle: Path):
    class Forgetful:
        """Takes everything, and gives back something else."""

        protocol = "s3"

        def size(self, path: str) -> int:
            raise FileNotFoundError

        def open(self, path: str, mode: str) -> Any:
            import io

            return io.BytesIO(b"" if mode == "wb" else b"something else")

        def rm(self, path: str) -> None:
            pass

    with pytest.raises(StoreError, match="does not give back what was put there as bundles/"):
        Store(Forgetful(), "bucket", "s3://bucket").put(bundle, read_manifest(bundle))


def test_a_link_that_is_put_in_place_while_a_file_is_written_is_noticed(
    place: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever shares the folder swaps the unfinished file for a link to one of theirs with the same bytes."""
    manifest = read_manifest(bundle)
    plain = os.replace

    def swapped(source: Any, target: Any, **folders: Any) -> None:
        if target == "weights":
            folder = place / "bundles" / manifest.digest.hex()
            (tmp_path / "mine").write_bytes((folder / source).read_bytes())
            (folder / source).unlink()
            (folder / source).symlink_to(tmp_path / "mine")
        plain(source, target, **folders)

    monkeypatch.setattr(os, "replace", swapped)
    with pytest.raises(StoreError, match=r"does not give back what was put there as bundles/.*/weights"):
        Store.at(str(place)).put(bundle, manifest)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("s3://key:secret@bucket/store?token=secret#secret", "s3://bucket/store"),
        ("https://user@host/store", "https://host/store"),
        ("simplecache::ftp://me:secret@host/x", "simplecache::ftp://host/x"),
        ("ftp://me:p@ss@host/x", "ftp://host/x"),
        ("ftp://me:pa/ss@host/x", "ftp://host/x"),
        ("/mnt/what?", "/mnt/what?"),
        ("/mnt/\x1b[31m", "/mnt/\\x1b[31m"),
    ],
)
def test_no_credentials_are_shown(url: str, text: str):
    assert shown(url) == text


def test_a_store_that_cannot_be_reached_is_one_sentence_without_secrets(tmp_path: Path, bundle: Path):
    with pytest.raises(StoreError, match="no kind that fsspec knows") as caught:
        Store.at("carrier-pigeon://me:secret@roof/store")
    assert "secret" not in str(caught.value)
    (tmp_path / "file").write_bytes(b"")
    store = Store.at(str(tmp_path / "file"))
    with pytest.raises(StoreError, match="cannot be written"):
        store.put(bundle, read_manifest(bundle))
    with pytest.raises(StoreError, match="cannot be read"):
        store.manifest(bytes(32))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:secret@127.0.0.1:1/x",
        "reference://secret",
        "zip://secret::/nowhere.zip",
        "dir://secret",
        "generic://x",
    ],
)
def test_a_url_that_fsspec_cannot_open_is_one_sentence(url: str):
    with pytest.raises(StoreError, match=r"^the store .* cannot be reached: [^\n]*$") as caught:
        Store.at(url)
    assert "me:" not in str(caught.value)


def test_what_a_back_end_says_is_not_repeated(bundle: Path, monkeypatch: pytest.MonkeyPatch):
    class Broken:
        protocol = "s3"

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("https://me:secret@host refused this")

    store = Store(Broken(), "bucket", "s3://bucket")
    for use in (lambda: store.manifest(bytes(32)), lambda: store.put(bundle, read_manifest(bundle))):
        with pytest.raises(StoreError, match="RuntimeError") as caught:
            use()
        assert "secret" not in str(caught.value)


def test_a_store_is_named_by_an_argument_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GRAPHOPT_STORE", raising=False)
    with pytest.raises(StoreError, match="GRAPHOPT_STORE"):
        Store.chosen(None)
    monkeypatch.setenv("GRAPHOPT_STORE", str(tmp_path / "one"))
    assert Store.chosen(None).name == str(tmp_path / "one")
    assert Store.chosen(str(tmp_path / "two")).name == str(tmp_path / "two")


@given(data=st.data())
def test_whatever_a_store_holds_the_bundle_is_whole_or_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
):
    folder = tmp_path_factory.mktemp("store")
    bundle = make_bundle(folder / "bundle")
    store, manifest, there = published(folder / "store", bundle)
    name = data.draw(st.sampled_from([record.name for record in manifest.files]))
    (there / name).write_bytes(data.draw(st.binary(max_size=400) | st.just((bundle / name).read_bytes())))
    (folder / "inbox").mkdir()
    try:
        store.get(manifest, folder / "inbox")
    except StoreError:
        assert (there / name).read_bytes() != (bundle / name).read_bytes()
    else:
        check_files(folder / "inbox", manifest)
