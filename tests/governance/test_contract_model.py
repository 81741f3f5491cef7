"""The contract against a plain model of its rules: whatever people do, in whatever order, both say the same.

`GRAPHOPT_MODEL_RUNS=100 pytest tests/governance/test_contract_model.py` is the long run: 100 runs of 30 steps, and the
steps must reach every kind of action.  With `-rP` it says how often each kind was tried and done.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from graphopt_governance.protocol.action import ALL_RIGHTS, Action, Kind, Right, model_id
from graphopt_governance.protocol.contract import Status

from .evm import Evm, TurnedDownError
from .federation import DAY, Federation, digest, key, number

RUNS = int(os.environ.get("GRAPHOPT_MODEL_RUNS", "6"))
STEPS = 30 if RUNS > 50 else 14

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
# a run that fails is short enough to be read, and making it shorter takes minutes
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]

PEOPLE = range(1, 13)
SUBJECTS = ["a", "b", "c", "d", "e"]
MODELS = ["m", "n"]
SINGLE = (Kind.PROPOSE, Kind.SUSPEND, Kind.REPORT)
RIGHT = {
    Kind.PROPOSE: Right.PROPOSE,
    Kind.REVOKE: Right.REVOKE,
    Kind.SUSPEND: Right.REVOKE,
    Kind.REPORT: Right.REPORT,
}


Step = tuple[Action, tuple[int, ...]]
"""An action, and who signed it."""


@dataclass
class Entry:
    status: Status = Status.NOT_ANCHORED
    kind: int = 0
    nonce: int = 0
    version: int = 0
    expires: int = 0
    model: str = ""


@dataclass
class Person:
    account: int
    rights: int
    signing: str


@dataclass
class Model:
    """The rules in plain Python.  `apply` says whether an action is done; members by number, accounts by person."""

    quorum: int
    delay: int
    members: dict[int, Person]
    joined: int
    accounts: set[int]
    keys: set[str]
    epoch: int = 1
    entries: dict[bytes, Entry] = field(default_factory=dict[bytes, Entry])
    versions: dict[bytes, tuple[int, int]] = field(default_factory=dict[bytes, tuple[int, int]])
    waiting: dict[Action, int] = field(default_factory=dict[Action, int])
    seen: set[Action] = field(default_factory=set[Action])
    past: list[Step] = field(default_factory=list[Step])

    def voters(self) -> int:
        return sum(bool(person.rights & Right.APPROVE) for person in self.members.values())

    def may(self, who: int, right: int) -> bool:
        return any(person.account == who and person.rights & right for person in self.members.values())

    def approved(self, subject: bytes, now: int) -> bool:
        entry = self.entries.get(subject, Entry())
        good = entry.status is Status.APPROVED and entry.kind == 1 and not (0 < entry.expires <= now)
        return good and self.versions[bytes.fromhex(entry.model)][0] == entry.version

    def apply(self, action: Action, who: tuple[int, ...], now: int) -> bool:
        kind = action.kind
        if now > action.deadline or (kind is not Kind.REMOVE and action.epoch != self.epoch):
            return False
        signed = all(self.may(person, RIGHT.get(kind, Right.APPROVE)) for person in who)
        enough = len(who) >= (1 if kind in SINGLE else self.quorum)
        if kind >= Kind.ADMIT:
            return self.govern(action, signed and enough, now)
        if not (signed and enough):
            return False
        if kind in (Kind.PROPOSE, Kind.REPORT):
            if action in self.seen:
                return False
            self.seen.add(action)
            return True
        return self.decide(action, now)

    def decide(self, action: Action, now: int) -> bool:
        entry = self.entries.setdefault(action.subject, Entry())
        if action.nonce != entry.nonce:
            return False
        current, latest = self.versions.get(action.name, (0, 0))
        match action.kind:
            case Kind.ANCHOR | Kind.BATCH:
                ends = bool(action.expires) and action.expires <= now
                is_batch = action.kind is Kind.BATCH
                if entry.status is not Status.NOT_ANCHORED or ends or (not is_batch and action.amount != latest + 1):
                    return False
                entry.status, entry.kind, entry.expires = Status.APPROVED, 2 if is_batch else 1, action.expires
                if not is_batch:
                    entry.version, entry.model = action.amount, action.name.hex()
                    self.versions[action.name] = (action.amount, action.amount)
            case Kind.ROLLBACK:
                name = bytes.fromhex(entry.model) if entry.model else bytes(20)
                current, latest = self.versions.get(name, (0, 0))
                good = entry.status is Status.APPROVED and entry.kind == 1 and not (0 < entry.expires <= now)
                if not good or action.amount != current or action.amount == entry.version:
                    return False
                self.versions[name] = (entry.version, latest)
            case Kind.REVOKE:
                if entry.status is Status.REVOKED:
                    return False
                entry.status = Status.REVOKED
            case Kind.SUSPEND:
                if entry.status in (Status.SUSPENDED, Status.REVOKED):
                    return False
                entry.status = Status.SUSPENDED
            case _:
                if entry.status not in (Status.SUSPENDED, Status.REVOKED):
                    return False
                entry.status = Status.APPROVED if entry.kind else Status.NOT_ANCHORED
        entry.nonce += 1
        return True

    def govern(self, action: Action, voted: bool, now: int) -> bool:
        immediate = action.kind in (Kind.REMOVE, Kind.CANCEL)
        if action in self.waiting:
            if now < self.waiting[action]:
                return False
        elif not voted:
            return False
        elif self.delay and not immediate:
            self.waiting[action] = now + self.delay
            return True
        return self.change(action)

    def change(self, action: Action) -> bool:
        subject = int.from_bytes(action.subject, "big")
        old = self.members.get(subject)
        person = Person(_person(action.name), action.amount, action.evidence.hex())
        members = dict(self.members)
        match action.kind:
            case Kind.ADMIT:
                if person.account in self.accounts or person.signing in self.keys:
                    return False
                members[self.joined + 1] = person
            case Kind.CHANGE:
                if old is None:
                    return False
                if person.account != old.account and person.account in self.accounts:
                    return False
                if person.signing != old.signing and person.signing in self.keys:
                    return False
                members[subject] = person
            case Kind.REMOVE:
                if members.pop(subject, None) is None:
                    return False
            case _:
                pass
        voters = sum(bool(member.rights & Right.APPROVE) for member in members.values())
        quorum = action.amount if action.kind is Kind.QUORUM else self.quorum
        if not 0 < quorum <= voters:
            return False
        self.members, self.quorum = members, quorum
        if action.kind is Kind.ADMIT:
            self.joined += 1
        if action.kind in (Kind.ADMIT, Kind.CHANGE):
            self.accounts.add(person.account)
            self.keys.add(person.signing)
        if action.kind is Kind.DELAY:
            self.delay = action.amount
        self.epoch += 1
        return True


def _person(account: bytes) -> int:
    return next((person for person in PEOPLE if key(person).account == account), 0)


def agree(model: Model, fed: Federation) -> None:
    """What the contract keeps and says is what the model holds, and the rules that hold always do."""
    state = fed.state
    assert {
        member.number: (member.account, int(member.rights), member.signing.hex()) for member in state.members()
    } == {
        number: (key(person.account).account, person.rights, person.signing) for number, person in model.members.items()
    }
    numbers = {name: state.number(name) for name in ("epoch", "quorum", "delay", "size", "voters", "joined")}
    assert numbers == {
        "epoch": model.epoch,
        "quorum": model.quorum,
        "delay": model.delay,
        "size": len(model.members),
        "voters": model.voters(),
        "joined": model.joined,
    }
    assert 1 <= numbers["quorum"] <= numbers["voters"] <= numbers["size"] <= 32
    for subject, entry in model.entries.items():
        record = state.record(subject)
        assert (record.status, record.nonce, record.version, record.expires, record.kind) == (
            entry.status,
            entry.nonce,
            entry.version,
            entry.expires,
            entry.kind,
        )
        assert (fed.view("approved(bytes32)", subject) != bytes(32)) == model.approved(subject, fed.now + 1)
    for name, versions in model.versions.items():
        assert state.versions(name) == versions
        assert versions[0] <= versions[1]
    for action, ready in model.waiting.items():
        assert state.waiting(action.identity(fed.domain)) == ready


def test_the_contract_and_the_model_agree_whatever_people_do(machine: Callable[[], Evm]):
    tried, done = Counter[str](), Counter[str]()

    @settings(max_examples=RUNS, suppress_health_check=SLOW, deadline=None, phases=PHASES)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        evm = machine()
        try:
            _run(data, evm, tried, done)
        finally:
            evm.close()

    run()
    for name in sorted(tried):
        print(f"{name:12} {done[name]:5} of {tried[name]:5} done")
    print(f"{'all':12} {done.total():5} of {tried.total():5} done")
    assert done.total() * 2 > tried.total()
    if RUNS > 50:
        assert {kind.name for kind in Kind} | {"waited"} <= done.keys()


def _run(data: st.DataObject, evm: Evm, tried: Counter[str], done: Counter[str]) -> None:
    size, delay = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([0, 0, DAY]))
    quorum = data.draw(st.integers(1, size))
    fed = Federation(size=size, quorum=quorum, delay=delay, evm=evm)
    members = {i: Person(i, int(ALL_RIGHTS), digest(f"signing {i}").hex()) for i in range(1, size + 1)}
    keys = {person.signing for person in members.values()}
    model = Model(quorum, delay, members, size, set(members), keys)
    for _ in range(STEPS):
        (action, who), what = _drawn(data, fed, model)
        expected = model.apply(action, who, fed.now + 1)
        try:
            fed.send(action, fed.sign(action, *who))
            succeeded = True
        except TurnedDownError:
            succeeded = False
        tried[what] += 1
        done[what] += succeeded
        assert succeeded == expected, (action, who)
        agree(model, fed)


def _drawn(data: st.DataObject, fed: Federation, model: Model) -> tuple[Step, str]:
    """Mostly what could be done now by who could do it, so that runs get somewhere; sometimes anything."""
    chance = data.draw(st.integers(0, 19))
    if (waiting := [step for step in model.waiting if step.epoch == model.epoch]) and chance < 8:
        # what waits, when it is ready or a moment before
        action = data.draw(st.sampled_from(waiting))
        fed.now = max(fed.now, model.waiting[action] - data.draw(st.integers(1, 2)))
        return (action, ()), "waited"
    if model.past and chance == 19:
        # racing or replayed: an action signed before, when other rules may have held
        return data.draw(st.sampled_from(model.past)), "replayed"
    if chance == 18:
        fed.now += DAY
    kind = data.draw(st.sampled_from(list(Kind)))
    step = _careless(data, fed, model, kind) if chance >= 17 else _sensible(data, fed, model, kind)
    model.past.append(step)
    return step, kind.name


def _careless(data: st.DataObject, fed: Federation, model: Model, kind: Kind) -> Step:
    """Anything by anybody."""
    who = tuple(sorted(data.draw(st.sets(st.sampled_from(list(PEOPLE)), max_size=4))))
    fields = {
        "subject": digest(data.draw(st.sampled_from(SUBJECTS))),
        "name": model_id(data.draw(st.sampled_from(MODELS))),
    }
    if kind >= Kind.ADMIT:
        fields = {
            "subject": number(data.draw(st.integers(0, 5))),
            "name": key(data.draw(st.sampled_from(PEOPLE))).account,
        }
    amount = data.draw(st.sampled_from([0, 1, 2, 3, 31]))
    if kind is Kind.DELAY:
        amount = 0
    signing = digest(f"signing {data.draw(st.sampled_from(PEOPLE))}")
    return _made(fed, kind, amount=amount, evidence=signing, **fields), who


def _sensible(data: st.DataObject, fed: Federation, model: Model, kind: Kind) -> Step:
    """What can be done now, where there is something of this kind, by just enough who may."""
    able = sorted(person.account for person in model.members.values() if person.rights & RIGHT.get(kind, Right.APPROVE))
    needed = 1 if kind in SINGLE else model.quorum
    who = tuple(sorted(data.draw(st.permutations(able))[:needed]))
    fields: dict[str, Any] = {}
    if kind <= Kind.REPORT:
        status = {Kind.ANCHOR: (0,), Kind.BATCH: (0,), Kind.ROLLBACK: (1,), Kind.RESTORE: (2, 3)}.get(kind, (0, 1))
        names = [digest(text) for text in SUBJECTS]
        good = [name for name in names if int(model.entries.get(name, Entry()).status) in status]
        fields["subject"] = data.draw(st.sampled_from(good or names))
        fields["evidence"] = digest("evidence")
    if kind in (Kind.PROPOSE, Kind.ANCHOR):
        fields["name"] = model_id(data.draw(st.sampled_from(MODELS)))
        fields["amount"] = model.versions.get(fields["name"], (0, 0))[1] + 1
    if kind in (Kind.ANCHOR, Kind.BATCH):
        fields["expires"] = data.draw(st.sampled_from([0, 0, fed.now + DAY // 2, fed.now + 3 * DAY]))
    if kind is Kind.ROLLBACK:
        # an earlier version that is still approved, where there is one
        behind = [name for name, entry in model.entries.items() if _is_behind(model, entry, fed.now)]
        fields["subject"] = data.draw(st.sampled_from(behind)) if behind else fields["subject"]
        entry = model.entries.get(fields["subject"], Entry())
        fields["amount"] = model.versions.get(bytes.fromhex(entry.model), (0, 0))[0] if entry.model else 0
    if kind in (Kind.CHANGE, Kind.REMOVE):
        fields["subject"] = number(data.draw(st.sampled_from(sorted(model.members))))
    if kind in (Kind.ADMIT, Kind.CHANGE):
        fields |= _member(data, model, fields)
    if kind is Kind.QUORUM:
        fields["amount"] = data.draw(st.integers(1, model.voters()))
    if kind is Kind.DELAY:
        fields["amount"] = data.draw(st.sampled_from([0, DAY]))
    return _made(fed, kind, **fields), who


def _is_behind(model: Model, entry: Entry, now: int) -> bool:
    current = model.versions[bytes.fromhex(entry.model)][0] if entry.model else 0
    return entry.status is Status.APPROVED and entry.kind == 1 and entry.version != current and not entry.expires


def _member(data: st.DataObject, model: Model, fields: dict[str, Any]) -> dict[str, Any]:
    """A new member, or an old one with other rights, a new account or a new key."""
    free = [person for person in PEOPLE if person not in model.accounts] or list(PEOPLE)
    unused = [person for person in PEOPLE if digest(f"signing {person}").hex() not in model.keys] or list(PEOPLE)
    rights = data.draw(st.sampled_from([int(ALL_RIGHTS), int(ALL_RIGHTS), int(Right.APPROVE), int(Right.REPORT)]))
    account, signing = (
        key(data.draw(st.sampled_from(free))).account,
        digest(f"signing {data.draw(st.sampled_from(unused))}"),
    )
    old = model.members.get(int.from_bytes(fields.get("subject", b""), "big"))
    if old is not None and data.draw(st.booleans()):
        account = key(old.account).account
    if old is not None and data.draw(st.booleans()):
        signing = bytes.fromhex(old.signing)
    return {"name": account, "amount": rights, "evidence": signing}


def _made(fed: Federation, kind: Kind, **fields: Any) -> Action:
    return replace(fed.make(kind, **fields), deadline=fed.now + 2 * DAY)
