"""Stores and indexes that lie: they cost time, and get nothing in."""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from graphopt.bundle import Manifest, read_manifest, write_manifest
from graphopt_governance import actions
from graphopt_governance.chains.chain import Chain
from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home
from graphopt_governance.protocol.contract import Event
from graphopt_governance.protocol.subject import build_key
from graphopt_governance.share import reuse
from graphopt_governance.share.publishing import publish
from graphopt_governance.share.store import Store

from .conftest import make_bundle
from .members import approve, found
from .reuse_work import WANTED, fetch, nothing


@pytest.fixture
def chain(owners: list[Home]) -> Chain:
    return found(owners)


def folder_of(tmp_path: Path, digest: bytes) -> Path:
    return tmp_path / "store" / "bundles" / digest.hex()


HOSTILE: dict[str, tuple[Callable[[Path, Path], Any], str]] = {
    "nothing": (lambda there, other: shutil.rmtree(there), "does not hold it"),
    "another bundle, approved too": (
        lambda there, other: (shutil.rmtree(there), shutil.copytree(other, there)),
        "another bundle in the place of",
    ),
    "the files of another": (
        lambda there, other: (there / "weights").write_bytes((other / "model.onnx").read_bytes()),
        "weights was altered",
    ),
    "an altered file": (lambda there, other: (there / "weights").write_bytes(bytes(299) + b"\1"), "was altered"),
    "an endless file": (
        lambda there, other: ((there / "weights").unlink(), (there / "weights").symlink_to("/dev/zero")),
        "longer",
    ),
    "an endless manifest": (
        lambda there, other: ((there / "manifest.json").unlink(), (there / "manifest.json").symlink_to("/dev/zero")),
        "more than",
    ),
    "a manifest with a path that leads out": (
        lambda there, other: _rewrite(there / "manifest.json", b"weights", b"../eigh"),
        "is no bundle",
    ),
    "a manifest with another file": (
        lambda there, other: _rewrite(there / "manifest.json", b"weights", b"weightz"),
        "another bundle in the place of",
    ),
    "no signature": (
        lambda there, other: (there / "manifest.json").write_bytes(
            _unsigned(there).to_bytes(),
        ),
        "not signed",
    ),
    "a file that never comes": (
        lambda there, other: ((there / "weights").unlink(), os.mkfifo(there / "weights")),
        "too slow",
    ),
}


def _rewrite(path: Path, old: bytes, new: bytes) -> None:
    """Change the statement inside the envelope, keeping everything else in form."""
    envelope = json.loads(path.read_bytes())
    payload = base64.b64decode(envelope["dsseEnvelope"]["payload"]).replace(old, new)
    envelope["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    path.write_bytes(json.dumps(envelope, separators=(",", ":"), sort_keys=True).encode())


def _unsigned(there: Path) -> Manifest:
    return replace(read_manifest(there), signature=None)


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_store_costs_time_and_nothing_else(
    attack: str, owners: list[Home], chain: Chain, bundle: Path, store: Store, place: Path, tmp_path: Path
):
    digest = approve(bundle, owners[0])
    other = make_bundle(tmp_path / "other", "cd" * 32)
    approve(other, owners[0])
    publish(bundle, store, ChainGate(chain), home=owners[0])
    there = folder_of(tmp_path, digest)
    change, sentence = HOSTILE[attack]
    change(there, other)
    begin = time.monotonic()
    nothing(fetch(owners[0], Store.at(str(tmp_path / "store"), patience=1), place), place, sentence)
    assert time.monotonic() - begin < 10
    if attack == "a file that never comes":
        (there / "weights").open("rb+", buffering=0).close()  # lets the thread go that waits


def test_a_store_that_stalls_is_not_asked_about_the_next_bundle(
    owners: list[Home], chain: Chain, bundle: Path, store: Store, place: Path, tmp_path: Path
):
    newer = make_bundle(tmp_path / "newer")
    (newer / "weights").write_bytes(b"tuned again")
    write_manifest(newer, WANTED)
    for each in (bundle, newer):
        digest = approve(each, owners[0])
        publish(each, store, ChainGate(chain), home=owners[0])
    stalled = folder_of(tmp_path, digest) / "weights"
    stalled.unlink()
    os.mkfifo(stalled)
    impatient = Store.at(str(tmp_path / "store"), patience=1)
    nothing(fetch(owners[0], impatient, place), place, "too slow")
    stalled.open("rb+", buffering=0).close()  # lets the thread go that waits


class LyingIndex:
    """A chain whose index of events says what it is told to; its state is the chain's own."""

    def __init__(self, chain: Chain, *told: tuple[bytes, bytes]) -> None:
        self._chain = chain
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    def events(
        self, name: str | None = None, subject: bytes | None = None, build: bytes | None = None
    ) -> Sequence[Event]:
        if name != "Anchored" or subject is not None:
            return self._chain.events(name, subject, build)
        told = [Event("Anchored", 1, 1, {"digest": digest, "build": build}) for digest, build in self._told]
        return [*told, Event("MemberRemoved", 1, 1, {"number": 1, "account": bytes(20)})]


def test_an_index_that_lies_gets_nothing_in(
    owners: list[Home],
    chain: Chain,
    bundle: Path,
    store: Store,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    other, evil = make_bundle(tmp_path / "other", "cd" * 32), make_bundle(tmp_path / "evil")
    (evil / "weights").write_bytes(b"evil")
    write_manifest(evil, WANTED)
    approved = approve(other, owners[0])
    actions.sign(evil, owners[0])
    for each in (other, evil):
        publish(each, store, None, home=owners[0])
    key = build_key(WANTED)
    lying = LyingIndex(chain, (read_manifest(evil).digest, key), (approved, key), (bytes(32), key))
    monkeypatch.setattr(reuse, "open_chain", lambda home: lying)
    search = fetch(owners[0], store, place)
    assert search.fetched is None
    absent, of_another, unapproved = search.passed_over
    assert "does not hold it" in absent
    assert "its manifest says otherwise" in of_another
    assert "not anchored" in unapproved
    assert list(place.parent.iterdir()) == []


def test_an_index_that_makes_up_a_hundred_thousand_bundles_is_not_asked_about_each(
    owners: list[Home], chain: Chain, bundle: Path
):
    approve(bundle, owners[0])
    (true,) = chain.events("Anchored")

    class MakesUp:
        def __getattr__(self, name: str) -> Any:
            return getattr(chain, name)

        def events(self, name: str | None = None, subject: bytes | None = None, build: bytes | None = None) -> Any:
            made_up = (replace(true, fields={**true.fields, "digest": at.to_bytes(32)}) for at in range(1, 100_000))
            return [*made_up, true]

    begin = time.process_time()
    found = reuse.candidates(cast("Chain", MakesUp()), bytes(32), owners[0])
    assert found[0] == true.fields["digest"]
    assert len(found) == 64
    assert time.process_time() - begin < 10
