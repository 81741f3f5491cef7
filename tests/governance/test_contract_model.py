"""The contract against a plain model of its rules: whatever people do, in whatever order, both say the same.

`GRAPHOPT_MODEL_RUNS=100 pytest tests/governance/test_contract_model.py` is the long run (100 runs of 30 steps).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphopt_governance.action import ALL_RIGHTS, Action, Kind, Right, model_id
from graphopt_governance.contract import Status

from .evm import TurnedDownError
from .federation import DAY, Federation, digest, key, number

RUNS = int(os.environ.get("GRAPHOPT_MODEL_RUNS", "6"))
STEPS = 30 if RUNS > 50 else 14

PEOPLE = range(1, 7)
SUBJECTS = ["a", "b", "c"]
MODELS = ["m", "n"]
USUAL = [Kind.ANCHOR, Kind.ANCHOR, Kind.ANCHOR, Kind.ROLLBACK, Kind.SUSPEND, Kind.RESTORE]
SINGLE = (Kind.PROPOSE, Kind.SUSPEND, Kind.REPORT)
RIGHT = {
    Kind.PROPOSE: Right.PROPOSE,
    Kind.REVOKE: Right.REVOKE,
    Kind.SUSPEND: Right.REVOKE,
    Kind.REPORT: Right.REPORT,
}


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

    def voters(self) -> int:
        return sum(bool(person.rights & Right.APPROVE) for person in self.members.values())

    def may(self, who: int, right: int) -> bool:
        return any(person.account == who and person.rights & right for person in self.members.values())

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
    return next(person for person in PEOPLE if key(person).account == account)


def members_agree(model: Model, fed: Federation) -> bool:
    there = {
        member.number: (member.account, int(member.rights), member.signing.hex()) for member in fed.state.members()
    }
    return there == {
        number: (key(person.account).account, person.rights, person.signing) for number, person in model.members.items()
    }


@settings(max_examples=RUNS, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(st.data())
def test_the_contract_and_the_model_agree_whatever_people_do(data: st.DataObject):
    size, delay = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([0, 0, DAY]))
    quorum = data.draw(st.integers(1, size))
    fed = Federation(size=size, quorum=quorum, delay=delay)
    members = {i: Person(i, int(ALL_RIGHTS), digest(f"signing {i}").hex()) for i in range(1, size + 1)}
    keys = {person.signing for person in members.values()}
    model = Model(quorum, delay, members, size, set(members), keys)
    past: list[tuple[Action, tuple[int, ...]]] = []
    for _ in range(STEPS):
        if past and data.draw(st.integers(0, 4)) == 0:
            # racing or replayed: an action signed before, when other rules may have held
            action, who = data.draw(st.sampled_from(past))
        else:
            action, who = _draw_action(data, fed, model)
            past.append((action, who))
        if data.draw(st.integers(0, 9)) == 0:
            fed.now += DAY
        expected = model.apply(action, who, fed.now + 1)
        try:
            fed.send(action, fed.sign(action, *who))
            done = True
        except TurnedDownError:
            done = False
        assert done == expected, (action, who)
        assert (fed.state.number("epoch"), fed.state.number("quorum")) == (model.epoch, model.quorum)
    assert members_agree(model, fed)
    assert fed.state.number("voters") == model.voters()
    for subject, entry in model.entries.items():
        record = fed.state.record(subject)
        assert (record.status, record.nonce, record.version) == (entry.status, entry.nonce, entry.version)
    for name, versions in model.versions.items():
        assert fed.state.versions(name) == versions
    fed.close()


def _draw_action(data: st.DataObject, fed: Federation, model: Model) -> tuple[Action, tuple[int, ...]]:
    """Mostly what could be done now by who could do it, so that runs get somewhere; sometimes anything."""
    careless = data.draw(st.integers(0, 5)) == 0
    kind = data.draw(st.sampled_from([*Kind, *USUAL]))
    now_members = sorted(person.account for person in model.members.values())
    pool = list(PEOPLE) if careless else now_members
    who = tuple(sorted(data.draw(st.sets(st.sampled_from(pool), min_size=1 if careless else min(2, len(pool))))))
    subject, name = digest(data.draw(st.sampled_from(SUBJECTS))), model_id(data.draw(st.sampled_from(MODELS)))
    amount, evidence, expires = model.versions.get(name, (0, 0))[1] + 1, digest("evidence"), 0
    if careless:
        amount = data.draw(st.integers(0, 3))
    if kind >= Kind.ADMIT:
        subject = number(data.draw(st.integers(1, model.joined)))
        person = data.draw(st.sampled_from(list(PEOPLE)))
        name, evidence = key(person).account, digest(f"signing {data.draw(st.sampled_from(list(PEOPLE)))}")
        amount = data.draw(st.sampled_from([int(ALL_RIGHTS), int(ALL_RIGHTS), int(Right.APPROVE), int(Right.REPORT)]))
        if kind is Kind.QUORUM:
            amount = data.draw(st.integers(0, 4))
        if kind is Kind.DELAY:
            amount = data.draw(st.sampled_from([0, DAY]))
    elif kind is Kind.ROLLBACK:
        entry = model.entries.get(subject, Entry())
        amount = model.versions.get(bytes.fromhex(entry.model) if entry.model else bytes(20), (0, 0))[0]
    elif kind in (Kind.ANCHOR, Kind.BATCH):
        expires = data.draw(st.sampled_from([0, fed.now + DAY // 2, fed.now + 3 * DAY]))
    action = fed.make(kind, subject=subject, name=name, amount=amount, evidence=evidence, expires=expires)
    return replace(action, deadline=fed.now + 2 * DAY), who
