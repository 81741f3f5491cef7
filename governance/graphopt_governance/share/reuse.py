"""Find an approved bundle that somebody made before from the same model with the same options, instead of compiling.

The chain's index of builds and the store are only asked where to look.  What is taken is a bundle whose signed manifest
records the very source, options and targets that were asked for, that the gate admits, and every byte of which is the
manifest's.  An index that lies, or a store, can cost time and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from graphopt import strict_json
from graphopt.bundle import Gate, Manifest
from graphopt.bundle.place import check_place, taking_place
from graphopt.errors import GraphoptError
from graphopt_governance.chains.chain import Chain
from graphopt_governance.chains.opening import open_chain
from graphopt_governance.errors import InclusionError, StoreError, StoreTimeoutError
from graphopt_governance.exchange.inclusions import BatchInclusion, find_inclusion
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import Passphrase, passphrase_from_environment
from graphopt_governance.keys.sealing_key import opening_keys
from graphopt_governance.protocol.contract import RecordKind, State, Status
from graphopt_governance.protocol.subject import build_key
from graphopt_governance.share.build_time import MAX_BYTES, BuildTime
from graphopt_governance.share.sealing import unseal
from graphopt_governance.share.store import Store

_MOST_CANDIDATES = 64
_MOST_TOLD = 1024
_MAX_INCLUSION = 1 << 14
_PATIENCE_FOR_A_REMARK = 5.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """An approved bundle was taken from a store.  `seconds`: what that took; `compiling`: by the publisher's word."""

    digest: str
    bundle: str
    store: str
    sealed: bool
    nbytes: int
    seconds: float
    compiling: float | None


@dataclass(frozen=True, slots=True)
class Search:
    """What was found: a bundle or none, and a sentence for each one that was passed over."""

    fetched: Fetched | None
    passed_over: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


def fetch_approved(
    wanted: Mapping[str, Any],
    bundle: str | Path,
    store: Store,
    gate: Gate,
    *,
    home: Home | None = None,
    passphrase: Passphrase = passphrase_from_environment,
) -> Search:
    """Look for an approved bundle with the source, options and targets in `wanted`, and put it at `bundle`.

    `wanted` has the fields that a manifest records (`graphopt.compiler.build_request`).  `gate` has the last word on
    each.  What cannot be used is passed over with a sentence; BundleError when nothing can be put at `bundle`.
    """
    home, bundle = home or Home.default(), Path(bundle)
    check_place(bundle)
    key = build_key(wanted)
    passed_over: list[str] = []
    try:
        chain = open_chain(home)
        digests = [] if chain is None else candidates(chain, key, home)
    except GraphoptError as error:
        return Search(None, (str(error),))
    if chain is None:
        return Search(None, ("there is no federation here",))
    for digest in digests:
        try:
            fetched = _Fetch(digest, key, store, gate, chain, home, passphrase).into(bundle)
        except GraphoptError as error:
            passed_over.append(f"{digest.hex()[:16]}…: {error}")
            if isinstance(error, StoreTimeoutError):
                # a store that stalls is not asked about the next one: that could take as long again
                break
            continue
        return Search(fetched, tuple(passed_over))
    return Search(None, tuple(passed_over))


def candidates(chain: Chain, key: bytes, home: Home) -> list[bytes]:
    """Digests of bundles that are said to be of the build `key` and may be approved now, the newest first.

    What was anchored by itself comes before what was proposed, which may be approved in a batch.
    """
    anchored, proposed = (
        # a node may tell of other events than it was asked for
        [event.fields["digest"] for event in reversed(chain.events(name, build=key)) if event.name == name]
        for name in ("Anchored", "Proposed")
    )
    state = chain.snapshot().state
    # each is asked about, and a node may make up any number of them
    told = islice(dict.fromkeys([*anchored, *proposed]), _MOST_TOLD)
    return list(islice((digest for digest in told if _may_be_approved(state, digest)), _MOST_CANDIDATES))


def _may_be_approved(state: State, digest: bytes) -> bool:
    record = state.record(digest)
    if record.status is Status.APPROVED:
        return record.kind is RecordKind.MANIFEST and state.versions(record.model)[0] == record.version
    return record.status is Status.NOT_ANCHORED


@dataclass(frozen=True, slots=True)
class _Fetch:
    """One attempt to get one bundle.  It is a gate itself: it asks what it knows first, then the federation's."""

    digest: bytes
    key: bytes
    store: Store
    gate: Gate
    chain: Chain
    home: Home
    passphrase: Passphrase

    def into(self, bundle: Path) -> Fetched:
        begin = time.perf_counter()
        name = self.digest.hex()
        self._bring_inclusion()
        manifest = self.store.manifest(self.digest)
        with taking_place(bundle, private=manifest is None) as folder:
            if manifest is not None:
                self.admit(manifest)
                self.store.get(manifest, folder)
                place = f"bundles/{name}"
            else:
                manifest = self._unsealed(folder)
                place = f"sealed/{name}.age"
            # once more: downloading may have taken long enough for it to be revoked
            self.gate.admit(manifest)
        return Fetched(
            name,
            str(bundle),
            self.store.place(place),
            place.startswith("sealed"),
            sum(record.size for record in manifest.files),
            time.perf_counter() - begin,
            self._compiling(),
        )

    def admit(self, manifest: Manifest) -> None:
        if manifest.digest != self.digest:
            raise StoreError("the store has another bundle in its place")
        if build_key(manifest.predicate) != self.key:
            raise StoreError("it is on record as such a build, but its manifest says otherwise")
        self.gate.admit(manifest)

    def _unsealed(self, folder: Path) -> Manifest:
        place = f"sealed/{self.digest.hex()}.age"
        pieces = self.store.pieces(place, 2**63)
        if pieces is None:
            raise StoreError(f"the store {self.store.name} does not hold it")
        try:
            keys = opening_keys(self.home, self.passphrase)
            return unseal(pieces, self.store.place(place), folder, keys, self)[1]
        finally:
            pieces.close()

    def _compiling(self) -> float | None:
        """What the publisher says of the time it took; where nothing can be had of that, nothing is missing."""
        name = self.digest.hex()
        try:
            told = self.store.read(f"builds/{name}.json", MAX_BYTES, _PATIENCE_FOR_A_REMARK)
        except StoreError:
            return None
        found = None if told is None else BuildTime.decode(told, name)
        return None if found is None else found.total

    def _bring_inclusion(self) -> None:
        """Take the proof that it is in an approved batch out of the store, where one is needed and holds."""
        state = self.chain.snapshot().state
        if state.record(self.digest).status is not Status.NOT_ANCHORED:
            return
        with suppress(InclusionError):
            kept = find_inclusion(self.home.inclusions, self.digest)
            if kept is not None and _is_approved(state, kept):
                return
        data = self.store.read(f"inclusions/{self.digest.hex()}.json", _MAX_INCLUSION)
        if data is None:
            return
        found = BatchInclusion.from_json(strict_json.decode(data, "the inclusion in the store"))
        if found.digest == self.digest and _is_approved(state, found):
            found.save(self.home.inclusions)


def _is_approved(state: State, found: BatchInclusion) -> bool:
    batch = state.record(found.commitment)
    return found.holds and batch.kind is RecordKind.BATCH and batch.status is Status.APPROVED
