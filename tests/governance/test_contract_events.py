"""The contract's log: every change leaves one event that says all of it, field by field."""

from __future__ import annotations

from typing import Any

from graphopt_governance.protocol.action import Kind, Right, model_id

from .federation import DAY, Federation, Found, digest, key, number


def test_every_event_says_what_was_done(fed: Federation):
    said = {"name": model_id("m"), "evidence": digest("evidence"), "expires": fed.now + DAY}
    version: dict[str, Any] = {
        "digest": digest("a"),
        "model": model_id("m"),
        "build": digest("evidence"),
        "version": 1,
        "expires": fed.now + DAY,
    }
    about = {"digest": digest("a"), "reason": digest("why")}
    why: dict[str, Any] = {"subject": digest("a"), "evidence": digest("why")}
    assert fed.do(Kind.PROPOSE, 2, subject=digest("a"), amount=1, **said) == [("Proposed", version | {"member": 2})]
    assert fed.do(Kind.ANCHOR, 1, 2, subject=digest("a"), amount=1, **said) == [("Anchored", version)]
    fed.anchor("b", 1, 2)
    rolled = {"digest": digest("a"), "model": model_id("m"), "version": 1, "left": 2}
    assert fed.do(Kind.ROLLBACK, 1, 2, subject=digest("a"), amount=2) == [("RolledBack", rolled)]
    assert fed.do(Kind.SUSPEND, 3, **why) == [("Suspended", about | {"member": 3})]
    assert fed.do(Kind.REVOKE, 1, 2, **why) == [("Revoked", about)]
    assert fed.do(Kind.RESTORE, 1, 2, **why) == [("Restored", about)]
    reported = {"digest": digest("a"), "member": 3, "evidence": digest("why")}
    assert fed.do(Kind.REPORT, 3, **why) == [("Reported", reported)]
    batch = {"root": digest("r"), "size": 7, "expires": fed.now + DAY, "evidence": digest("list")}
    fields: dict[str, Any] = {"subject": digest("r"), "amount": 7, "expires": fed.now + DAY}
    assert fed.do(Kind.BATCH, 1, 2, evidence=digest("list"), **fields) == [("BatchAnchored", batch)]


def test_every_change_of_the_federation_says_what_holds_now(fed: Federation):
    def rules(epoch: int, quorum: int = 2, delay: int = 0) -> tuple[str, dict[str, Any]]:
        return "RulesChanged", {"epoch": epoch, "quorum": quorum, "delay": delay}

    def member(who: int, person: int, rights: int, signing: str) -> tuple[str, dict[str, Any]]:
        keys = {"signing": digest(signing), "sealing": digest("sealing")}
        return "MemberSet", {"number": who, "account": key(person).account, "rights": rights, **keys}

    new: dict[str, Any] = {"name": key(8).account, "evidence": digest("signing 8"), "sealing": digest("sealing")}
    assert fed.do(Kind.ADMIT, 1, 2, amount=Right.REVOKE, **new) == [member(4, 8, 4, "signing 8"), rules(2)]
    new |= {"name": key(9).account, "evidence": digest("signing 9")}
    changed = fed.do(Kind.CHANGE, 1, 2, subject=number(4), amount=Right.REPORT, **new)
    assert changed == [member(4, 9, 8, "signing 9"), rules(3)]
    removed = ("MemberRemoved", {"number": 4, "account": key(9).account})
    assert fed.do(Kind.REMOVE, 1, 2, subject=number(4)) == [removed, rules(4)]
    assert fed.do(Kind.QUORUM, 1, 2, amount=1) == [rules(5, quorum=1)]
    assert fed.do(Kind.CANCEL, 1) == [rules(6, quorum=1)]
    assert fed.do(Kind.DELAY, 1, amount=DAY) == [rules(7, quorum=1, delay=DAY)]
    waits = fed.make(Kind.QUORUM, amount=2)
    [said] = fed.send(waits, fed.sign(waits, 1))
    assert said == ("Scheduled", {"identity": waits.identity(fed.domain), "kind": 12, "ready": fed.now + DAY})


def test_what_is_kept_of_a_member_is_what_was_said(found: Found):
    fed = found(size=1, quorum=1)
    said: dict[str, Any] = {"name": key(8).account, "evidence": digest("signing"), "sealing": digest("sealing")}
    fed.do(Kind.ADMIT, 1, amount=Right.DECRYPT, **said)
    member = fed.state.member(2)
    assert member is not None
    assert (member.account, member.rights) == (key(8).account, Right.DECRYPT)
    assert (member.signing, member.sealing) == (digest("signing"), digest("sealing"))
    assert [fed.state.number(name) for name in ("size", "voters", "joined", "epoch")] == [2, 1, 2, 2]
    fed.do(Kind.REMOVE, 1, subject=number(2))
    assert fed.state.member(2) is None
    assert fed.state.standing(key(8).account) == (2, None)
    assert [fed.state.number(name) for name in ("size", "voters", "joined", "epoch")] == [1, 1, 2, 3]
    # nothing but the account, so that nobody who reads the registry seals or believes anything for who has left
    assert fed.view("members(uint256)", number(2)) == bytes(12) + key(8).account + bytes(96)
