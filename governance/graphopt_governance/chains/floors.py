"""What a home has seen of a federation: a floor below which no chain and no proof is believed again.

A chain does not go back, a record's nonce, the federation's epoch and a model's versions only rise.  What shows less
than this home has seen (a ledger restored from a backup that forgets a revocation, a node that is held back, a proof
from before) is refused, whatever it proves.  Every snapshot that a home takes of its federation is held against the
floor and raises it, whichever command takes it: what a home did itself it has seen too.

A floor rises only by what was believed, because what it rose by cannot be taken back: one answer that nobody can
believe (a block of next year, a height that no chain comes to) must not shut out all honest ones from then on.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from graphopt import strict_json
from graphopt.errors import GraphoptError
from graphopt_governance.chains.chain import Snapshot
from graphopt_governance.chains.state_trie import Header
from graphopt_governance.documents import Fields
from graphopt_governance.errors import ChainError
from graphopt_governance.keys.key_files import make_private_folder, replace_key_file
from graphopt_governance.keys.own_files import read_own_file
from graphopt_governance.protocol.action import Domain

FORMAT = "graphopt/floor/v2"
_FORMAT_WITHOUT_TIME = "graphopt/floor/v1"
_MAX_FLOOR = 64 * 2**20
"""Some 90 bytes a bundle that was ever judged: more bundles than anybody has."""

CLOCKS_DIFFER = 900
"""Seconds by which other people's clocks may be ahead of ours."""
_BLOCKS_A_SECOND = 16
"""More than any chain makes."""
_BLOCKS_AT_ONCE = 4096
"""What may come at once all the same: a chain for tests mines as many as it is told to."""
_MAX_BLOCK, _MAX_TIME = 2**48, 2**40


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one federation: its newest block and that one's hash, its epoch, and by digest and by model.

    `records` has a record's nonce and the block as of which it was read, `models` the latest version there ever was.
    `time`: the latest that there was (seconds since the epoch), by the time of blocks, or of one's own ledger by the
    clock with which it was judged.
    """

    block: int = 0
    header: bytes = bytes(32)
    final: bool = False
    epoch: int = 0
    records: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    models: Mapping[str, int] = field(default_factory=dict[str, int])
    time: int = 0

    @classmethod
    def of(cls, snapshot: Snapshot, digests: Sequence[bytes] = ()) -> Seen:
        """What a snapshot shows of the federation, and of `digests` (manifests and batches) and their models."""
        state = snapshot.state
        records = {digest: state.record(digest) for digest in digests}
        models = {record.model for record in records.values() if any(record.model)}
        return cls(
            snapshot.block,
            Header.decode(snapshot.header).digest,
            snapshot.final,
            state.number("epoch"),
            {digest.hex(): (record.nonce, snapshot.block) for digest, record in records.items()},
            {model.hex(): state.versions(model)[1] for model in models},
            snapshot.time,
        )

    def risen_by(self, now: Seen) -> Seen:
        """The floor after `now` was seen too."""
        records = dict(self.records)
        for digest, seen in now.records.items():
            records[digest] = max(seen, records.get(digest, seen))
        models = {model: max(latest, self.models.get(model, 0)) for model, latest in now.models.items()}
        newest = now if (now.block, now.final) > (self.block, self.final) else self
        return replace(
            newest,
            epoch=max(self.epoch, now.epoch),
            records=records,
            models={**self.models, **models},
            time=max(self.time, now.time),
        )

    def refuse_less(
        self, now: Seen, what: str, *, newest: bool, ancestor: Callable[[int], bytes | None] | None = None
    ) -> None:
        """ChainError when `what` (in words) shows less than was seen.

        `newest`: it is said to be the newest there is.  `ancestor`: the hash of a block that it descends from.
        """
        if newest and now.block < self.block:
            raise ChainError(
                f"{what} went back: this home has seen block {self.block} of it, and now its newest is {now.block}"
            )
        if now.block == self.block and now.final and self.final and now.header != self.header:
            raise ChainError(
                f"{what} was rewritten: block {now.block} was 0x{self.header.hex()[:16]}… when this home saw it,"
                f" and is 0x{now.header.hex()[:16]}… now"
            )
        if newest and ancestor is not None and self.block and now.block > self.block:
            found = ancestor(self.block)
            if found != self.header:
                told = f"is 0x{found.hex()[:16]}…" if found else "is not among those it descends from"
                raise ChainError(
                    f"{what} was rewritten: block {self.block} was 0x{self.header.hex()[:16]}… when this home saw it,"
                    f" and {told} now"
                )
        if now.epoch < self.epoch:
            raise ChainError(
                f"{what} went back: as of block {now.block} its epoch is {now.epoch}; this home has seen {self.epoch}"
            )
        for digest, (nonce, block) in now.records.items():
            seen_nonce, seen_block = self.records.get(digest, (0, 0))
            if nonce < seen_nonce or block < seen_block:
                raise ChainError(
                    f"{what} went back: as of block {block} the record of {digest[:16]}… has changed {nonce} times,"
                    f" and this home has seen {seen_nonce} changes as of block {seen_block}"
                )
        for model, latest in now.models.items():
            if latest < self.models.get(model, 0):
                raise ChainError(
                    f"{what} went back: a model's latest version is {latest} as of block {now.block},"
                    f" and this home has seen version {self.models[model]}"
                )


class Floors:
    """The floors that are kept in `folder`, one file for each federation, of mode 600."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, domain: Domain) -> Seen:
        """What was seen of the federation at `domain`; ChainError, with the way out, for a file that is no floor."""
        path = self._path(domain)
        content = read_own_file(path, "the floor", _MAX_FLOOR, ChainError, secret=True)
        if content is None:
            return Seen()
        try:
            return _parsed(content, domain, f"the floor {path}")
        except GraphoptError as error:
            raise ChainError(
                f"{error}; put it back from a backup, or remove it to forget what this home has seen of the federation"
            ) from error

    def held(self, domain: Domain, take: Callable[[int], Snapshot]) -> Snapshot:
        """The newest snapshot of a chain, as `take` gives it; ChainError when it is less than was seen.

        `take` is told up to which block this home has seen the chain.  What it gives has been seen from then on.
        """
        # read first: another process may raise the floor while the snapshot is taken
        before = self.read(domain)
        snapshot = take(before.block)
        now = Seen.of(snapshot)
        self.refuse_less(domain, before, now, "the chain", newest=True, ancestor=snapshot.ancestor)
        if is_believable(snapshot, before):
            # who may only read this home is told so with every verdict
            with suppress(OSError):
                self.rise(domain, now)
        return snapshot

    def refuse_less(
        self,
        domain: Domain,
        before: Seen,
        now: Seen,
        what: str,
        *,
        newest: bool,
        ancestor: Callable[[int], bytes | None] | None = None,
    ) -> None:
        """As `Seen.refuse_less`, and the sentence says what to do."""
        try:
            before.refuse_less(now, what, newest=newest, ancestor=ancestor)
        except ChainError as error:
            raise ChainError(
                f"{error}; if what this home saw was the lie, remove {self._path(domain)} to forget it"
            ) from error

    def rise(self, domain: Domain, now: Seen) -> None:
        """Keep that `now` was seen; of two processes that do so at once, the floor is that of both."""
        before = self.read(domain)
        if before.risen_by(now) == before:
            return
        with self._locked():
            seen = self.read(domain).risen_by(now)
            replace_key_file(self._path(domain), strict_json.encode(_document(domain, seen), "the floor"))

    def require_none(self) -> None:
        """ChainError where a federation was seen: whoever founds another one would forget what that one revoked."""
        seen = next(iter(sorted(self._folder.glob("floor-*.json"))), None)
        if seen is not None:
            raise ChainError(
                f"this home has seen a federation ({seen}), and neither its ledger nor federation.json is here: put it"
                " back from a backup; or, to begin one that knows of no approval and no revocation, move"
                f" {self._folder} away"
            )

    def _path(self, domain: Domain) -> Path:
        return self._folder / f"floor-{domain.chain_id}-{domain.contract.hex()}.json"

    @contextmanager
    def _locked(self) -> Generator[None]:
        make_private_folder(self._folder)
        handle = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            # not left to closing: a process that was forked meanwhile holds the same lock open
            fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)


def is_believable(snapshot: Snapshot, before: Seen) -> bool:
    """Whether what a snapshot shows may be kept: not what nodes give as a block of the future.

    ChainError for a height that no chain comes to: a node that is asked alone can say any.
    """
    if snapshot.agreed and snapshot.time > time.time() + CLOCKS_DIFFER:
        return False
    known = before.block and before.time
    passed = max(0, snapshot.time - before.time) if known else snapshot.time
    most = (before.block if known else 0) + _BLOCKS_AT_ONCE + _BLOCKS_A_SECOND * passed
    alone = len(snapshot.agreed) == 1
    if snapshot.block >= _MAX_BLOCK or snapshot.time >= _MAX_TIME or (alone and snapshot.block > most):
        since = f" after block {before.block}" if before.block else ""
        raise ChainError(
            f"the chain shows block {snapshot.block}, of second {snapshot.time}{since}: no chain comes so far, so it is"
            " not believed"
        )
    return True


def _parsed(content: bytes, domain: Domain, what: str) -> Seen:
    document = strict_json.decode(content, what)
    timed = not isinstance(document, dict) or document.get("format") != _FORMAT_WITHOUT_TIME
    names = {"chain", "contract", "block", "header", "final", "epoch", "records", "models"}
    fields = Fields(document, FORMAT if timed else _FORMAT_WITHOUT_TIME, names | {"time"} if timed else names, what)
    if Domain(fields.number("chain"), fields.bytes("contract", 20)) != domain:
        raise ChainError(f"{what} is of another federation")
    return Seen(
        fields.number("block", 2**63),
        fields.bytes("header", 32),
        fields.has("final", lambda value: isinstance(value, bool), "true or false"),
        fields.number("epoch"),
        {name: (pair[0], pair[1]) for name, pair in fields.has("records", _is_pairs, "records").items()},
        fields.has("models", _is_numbers, "models"),
        fields.number("time", 2**64) if timed else 0,
    )


def _document(domain: Domain, seen: Seen) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "chain": str(domain.chain_id),
        "contract": domain.contract.hex(),
        "block": str(seen.block),
        "header": seen.header.hex(),
        "final": seen.final,
        "epoch": str(seen.epoch),
        "records": {digest: list(pair) for digest, pair in seen.records.items()},
        "models": dict(seen.models),
        "time": str(seen.time),
    }


def _is_numbers(value: object) -> bool:
    return isinstance(value, dict) and all(type(item) is int for item in cast("dict[str, object]", value).values())


def _is_pairs(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    pairs = [cast("list[object]", item) for item in cast("dict[str, object]", value).values() if isinstance(item, list)]
    whole = all(len(pair) == 2 and all(type(number) is int for number in pair) for pair in pairs)
    return whole and len(pairs) == len(cast("dict[str, object]", value))
