"""What a policy has against a bundle that the federation approves."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from typing import Any, cast

from graphopt.bundle import Manifest
from graphopt_governance.chains.chain import Snapshot
from graphopt_governance.chains.floors import CLOCKS_DIFFER
from graphopt_governance.protocol.action import Domain, model_id
from graphopt_governance.verdict.policy import Policy, span
from graphopt_governance.verdict.verify import Code, Reason
from graphopt_governance.wording import printable, utc

_DECIMAL = re.compile(r"[0-9]{1,32}(\.[0-9]{1,32})?(e[+-]?[0-9]{1,3})?", re.ASCII)


def against_federation(policy: Policy, domain: Domain) -> list[Reason]:
    """What the policy has against the federation that was asked."""
    reasons: list[Reason] = []
    if policy.chain not in (None, domain.chain_id):
        reasons.append(_reason(f"the federation is on chain {domain.chain_id}, not on {policy.chain}"))
    if policy.contract not in (None, domain.contract):
        reasons.append(_reason(f"the federation's contract is 0x{domain.contract.hex()}, which is not the one named"))
    return reasons


def too_old(policy: Policy, snapshot: Snapshot, when: float | None = None) -> list[Reason]:
    """What is against a block that other nodes gave; the newest block of one's own ledger may be of any age.

    `when`: the time (seconds since the epoch) at which it was the newest; now where it is None.
    """
    age = (time.time() if when is None else when) - snapshot.time
    if snapshot.agreed and age < -CLOCKS_DIFFER:
        sentence = f"the newest final block is of {utc(snapshot.time)}, which is in the future: a clock is wrong"
        return [Reason(Code.STALE, sentence)]
    if policy.max_block_age is None or not snapshot.agreed or age <= policy.max_block_age:
        return []
    sentence = (
        f"the newest final block that is known is of {utc(snapshot.time)}, more than"
        f" {span(policy.max_block_age)} ago: a revocation since then would not be seen"
    )
    return [Reason(Code.STALE, sentence)]


def against_policy(policy: Policy, manifest: Manifest, snapshot: Snapshot) -> list[Reason]:
    """What the policy has against a manifest, by what is in it and what is on record."""
    build = manifest.predicate
    reasons: list[Reason] = []
    level = _fields(build.get("options")).get("level")
    if policy.levels is not None and level not in policy.levels:
        reasons.append(_reason(f"it was compiled at level {_shown(level)}, and {_listed(policy.levels)} may run"))
    targets = build.get("targets")
    names = [*cast("list[Any]", targets)] if isinstance(targets, list) else [targets]
    # what it says and what it has: code that is not told of runs all the same
    names += [record.name.split("/")[1] for record in manifest.files if record.name.startswith("native/")]
    if policy.targets is not None and not names:
        reasons.append(_reason("its manifest does not say for which machines it has code"))
    elif policy.targets is not None and (other := [name for name in names if name not in policy.targets]):
        reasons.append(_reason(f"it has code for {_shown(other[0])}, and {_listed(policy.targets)} may run"))
    reasons += _against_evidence(policy, _fields(build.get("evidence")))
    if policy.models is not None:
        model = snapshot.state.record(manifest.digest).model
        if model not in {model_id(name) for name in policy.models}:
            reasons.append(_reason(f"it was not approved as {_listed(policy.models)}"))
    if policy.signers is not None and manifest.signature is not None:
        key = manifest.signature.key
        number = snapshot.state.holder(bytes.fromhex(key))
        if key not in policy.signers and (number == 0 or number not in policy.signers):
            who = f"member {number}" if number else f"the key {key[:16]}…"
            reasons.append(_reason(f"it is signed by {who}, who is not among the signers that may"))
    return reasons


def _against_evidence(policy: Policy, evidence: Mapping[str, Any]) -> list[Reason]:
    checked, told = evidence.get("checked"), evidence.get("worst_difference")
    if policy.checked and checked is not True:
        return [_reason("it was not checked against the reference when it was compiled")]
    if policy.worst_difference is None:
        return []
    worst = _difference(told)
    if worst is None:
        silent = "its manifest does not say by how much its outputs differ from the reference's"
        return [_reason(silent if told is None else f"{silent}: {_shown(told)} is no such number")]
    if worst > policy.worst_difference:
        return [
            _reason(
                f"its outputs differ from the reference's by {worst:.3g}, at most {policy.worst_difference:.3g} may"
            )
        ]
    return []


def _difference(told: object) -> float | None:
    """A finite difference, which the compiler writes as text that gives the number back; None for anything else."""
    if isinstance(told, str) and _DECIMAL.fullmatch(told):
        told = float(told)
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 <= told < math.inf:
        return None
    return float(told)


def _reason(sentence: str) -> Reason:
    return Reason(Code.AGAINST_POLICY, f"against the policy: {sentence}")


def _fields(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _listed(names: tuple[str, ...]) -> str:
    return "only " + ", ".join(map(_shown, names)) if names else "nothing"


def _shown(value: object) -> str:
    return printable(str(value))[:80]
