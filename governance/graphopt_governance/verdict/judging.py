"""The verdict of a home: the chain is asked, what it proves is kept, floors and policy are obeyed.

`verify.judge` says what a chain says.  Here is what a home makes of it: which chain, by which proof where there is
none to ask, and what beyond approval is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graphopt.bundle import Manifest
from graphopt_governance.chains.chain import Chain, Snapshot
from graphopt_governance.chains.floors import Floors, Seen, is_believable
from graphopt_governance.chains.state_trie import Header
from graphopt_governance.errors import ChainError, PolicyError, UnreachableError
from graphopt_governance.exchange.names import Names
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import Domain
from graphopt_governance.verdict.against_policy import against_federation, against_policy, too_old
from graphopt_governance.verdict.policy import Policy, span
from graphopt_governance.verdict.proof import Proof, ProvenChain
from graphopt_governance.verdict.verify import Code, Reading, Reason, Verdict, judge, judge_at, judge_files
from graphopt_governance.wording import utc

_CLOCKS_DIFFER = 60
"""Seconds by which a proof may seem to come from the future: clocks are set, and not alike."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A proof that somebody else hands in, and the hash of a block that is known to be the chain's (32 bytes)."""

    path: Path
    checkpoint: bytes


class Judge:
    """Judges bundles for `home`, under `policy`.

    `max_age`: for how many seconds a kept proof may stand for a chain that does not answer, or, with `offline`, for one
    that is not asked at all; None: not at all.  `evidence`: a stranger's proof, in the place of the chain.
    """

    def __init__(
        self,
        home: Home,
        policy: Policy | None = None,
        *,
        open_chain: Callable[[Home], Chain | None] | None = None,
        offline: bool = False,
        max_age: float | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        self._home = home
        self.policy = Policy.of(home) if policy is None else policy
        self._open = open_chain or _open_chain
        self._chain: Chain | None = None
        self._offline = offline
        ages = [age for age in (max_age, self.policy.max_age) if age is not None]
        # without a word from the caller, a policy allows a proof to stand in only where it allows to be offline
        allowed = max_age is not None or offline or (self.policy.max_age is not None and self.policy.offline)
        self._oldest = min(ages, default=None)
        self.max_age = self._oldest if allowed else None
        self._evidence = evidence
        self._floors = Floors(home.proofs)
        if offline and evidence is None and self.max_age is None:
            raise PolicyError(
                "offline, a kept proof is judged from, and somebody must say how old it may be (--max-age)"
            )

    def verify(self, path: str | Path) -> Verdict:
        """Judge the bundle at `path`, its files included; BundleError when there is none."""
        return judge_files(path, self.judge)

    def together(self, manifests: Sequence[Manifest]) -> Callable[[Manifest, bool], Verdict]:
        """What judges each of these by one reading of the chain; the flag: whether events are asked for as well."""
        reading = Reading(manifests)
        return lambda manifest, told: self.judge(manifest, reading, told=told)

    def judge(self, manifest: Manifest, reading: Reading | None = None, *, told: bool = True) -> Verdict:
        """Judge a manifest; ChainError when the chain cannot be had and no proof stands in for it.

        `reading`, where it is given, is what the chain is judged by.  `told`: whether events are asked for as well.
        """
        verdict = self._by_whatever_there_is(manifest, reading or Reading([manifest]), told=told)
        name = Names.of(self._home).model(bytes.fromhex(str(verdict.facts.get("model", ""))))
        return verdict if name is None else _with(verdict, [], {"model_name": name})

    def _by_whatever_there_is(self, manifest: Manifest, reading: Reading, *, told: bool) -> Verdict:
        if self._evidence is not None:
            return self._by_evidence(manifest, self._evidence)
        if self._offline:
            return self._by_kept_proof(manifest, "not asked")
        try:
            return self._by_chain(manifest, reading, told=told)
        except UnreachableError as error:
            if self.max_age is None or not self.policy.offline:
                raise
            return self._by_kept_proof(manifest, f"unreachable: {error}")

    def _by_chain(self, manifest: Manifest, reading: Reading, *, told: bool) -> Verdict:
        self._chain = chain = self._chain or self._open(self._home)
        if chain is None:
            return judge(manifest, None)
        # before the snapshot is taken: another process may raise the floor meanwhile
        before = self._floors.read(chain.domain)
        snapshot = reading.of(chain)
        verdict, seen = self._judged(manifest, chain, snapshot, "the chain", before, newest=True, told=told)
        if not snapshot.agreed:
            # a ledger's blocks come when there is something to write, and approvals end by the clock between them
            seen = replace(seen, time=max(seen.time, int(time.time())))
        facts: dict[str, Any] = {"proof_age": 0}
        if is_believable(snapshot, before):
            try:
                self._floors.rise(chain.domain, seen)
                Proof.of(chain.domain, manifest.digest, snapshot).save(self._kept(manifest))
            except OSError as error:
                # who may only read judges as well, and is told that nothing will be remembered
                facts["not_kept"] = str(error.strerror)
        return _with(verdict, too_old(self.policy, snapshot), facts)

    def _by_kept_proof(self, manifest: Manifest, why: str) -> Verdict:
        if not self.policy.offline:
            raise PolicyError("the policy does not allow to be offline: a kept proof does not stand in for the chain")
        path = self._kept(manifest)
        proof = Proof.kept(path)
        if proof is None:
            raise ChainError(f"the chain was {why}; and no proof of this bundle was kept: there is no {path}")
        self._check(proof, manifest, self._domain() or proof.domain)
        before = self._floors.read(proof.domain)
        age = _age(proof.taken, before)
        when = f"{utc(proof.taken)}, when it rested on {proof.basis}"
        chain = ProvenChain(proof, f"a proof kept in this home since {when}; the chain was {why}")
        snapshot = chain.snapshot()
        verdict, _ = self._judged(manifest, chain, snapshot, "the kept proof", before, newest=False)
        if not proof.agreed:
            with suppress(OSError):
                self._floors.rise(proof.domain, replace(before, time=max(before.time, int(time.time()))))
        # a block that was too old when the chain was asked has not grown younger by being kept
        against = self._staleness(age, "the kept proof", self.max_age) + too_old(self.policy, snapshot, proof.taken)
        return _with(verdict, against, {"proof_age": max(0, int(age))})

    def _by_evidence(self, manifest: Manifest, evidence: Evidence) -> Verdict:
        if not self.policy.offline:
            raise PolicyError("the policy does not allow to be offline: a stranger's proof does not stand in either")
        proof = Proof.load(evidence.path)
        domain = self._domain() or self.policy.domain
        if domain is None:
            raise ChainError(
                "a stranger's proof is of some federation, and nothing here says which is meant: name chain and"
                " contract in a policy, or keep a federation.json"
            )
        self._check(proof, manifest, domain)
        header = Header.decode(proof.header)
        if header.digest != evidence.checkpoint:
            raise ChainError(
                f"the proof is under block 0x{header.digest.hex()}, and the checkpoint is 0x{evidence.checkpoint.hex()}"
            )
        basis = f"a proof by somebody else, under block {header.number}, whose hash is the checkpoint that was given"
        chain = ProvenChain(proof, basis)
        before = self._floors.read(domain)
        verdict, _ = self._judged(manifest, chain, chain.snapshot(), "the proof", before, newest=False)
        # when it was taken and which nodes agreed is its maker's word; the block's time is proven
        age = _age(header.time, before)
        limits = [limit for limit in (self._oldest, self.policy.max_block_age) if limit is not None]
        against = self._staleness(age, "the proof's block", min(limits)) if limits else []
        return _with(verdict, against, {"proof_age": max(0, int(age))})

    def _judged(
        self,
        manifest: Manifest,
        chain: Chain,
        snapshot: Snapshot,
        what: str,
        before: Seen,
        *,
        newest: bool,
        told: bool = True,
    ) -> tuple[Verdict, Seen]:
        """The verdict, the floor `before` and the policy obeyed, and what was seen for it."""
        verdict = judge_at(manifest, snapshot, chain, self._home.inclusions, before.time, told=told)
        batch = verdict.facts.get("batch")
        digests = [manifest.digest] if batch is None else [manifest.digest, bytes.fromhex(batch)]
        seen = Seen.of(snapshot, digests)
        self._floors.refuse_less(chain.domain, before, seen, what, newest=newest, ancestor=snapshot.ancestor)
        against = against_federation(self.policy, chain.domain) + against_policy(self.policy, manifest, snapshot)
        return _with(verdict, against), seen

    def _staleness(self, age: float, what: str, limit: float | None) -> list[Reason]:
        if age < -_CLOCKS_DIFFER:
            return [Reason(Code.STALE, f"{what} is from the future, by {span(-age)}: a clock is wrong")]
        if limit is not None and age > limit:
            return [Reason(Code.STALE, f"{what} is {span(age)} old, and may be {span(limit)}: ask the chain again")]
        return []

    def _check(self, proof: Proof, manifest: Manifest, domain: Domain) -> None:
        if proof.digest != manifest.digest:
            raise ChainError(f"the proof is about another bundle, {proof.digest.hex()[:16]}…")
        if proof.domain != domain:
            raise ChainError(
                f"the proof is of another federation: chain {proof.domain.chain_id}, contract"
                f" 0x{proof.domain.contract.hex()}"
            )

    def _kept(self, manifest: Manifest) -> Path:
        return self._home.proofs / f"{manifest.digest.hex()}.json"

    def _domain(self) -> Domain | None:
        from graphopt_governance.chains.ledger import Ledger
        from graphopt_governance.chains.where import read_where

        if (where := read_where(self._home)) is not None:
            return where.domain
        ledger = self._home.ledger
        return Ledger.open(ledger).domain if ledger.exists() and Ledger.is_made(ledger) else None


def _age(since: int, before: Seen) -> float:
    """How many seconds ago a time was: by the clock, and where that went back, by the latest time that was seen.

    Below zero for one that is in the future by the clock.
    """
    now = time.time()
    return max(now, before.time) - since if now >= since else now - since


def _with(verdict: Verdict, against: list[Reason], facts: dict[str, Any] | None = None) -> Verdict:
    return replace(verdict, reasons=(*verdict.reasons, *against), facts={**verdict.facts, **(facts or {})})


def _open_chain(home: Home) -> Chain | None:
    from graphopt_governance.chains.opening import open_chain

    return open_chain(home)
