"""Who decides: members coming, leaving and rotating, quorum, and the delay of what gives power."""

from __future__ import annotations

from typing import Any

import pytest

from graphopt_governance.protocol.action import ALL_RIGHTS, Kind, Right

from .federation import DAY, Federation, Found, admission, digest, key, number, refuses


def test_a_new_member_votes_and_a_removed_one_does_not(fed: Federation):
    action = admission(fed, 4)
    fed.send(action, fed.sign(action, 1, 2))
    assert [member.number for member in fed.state.members()] == [1, 2, 3, 4]
    fed.anchor("a", 3, 4)
    fed.do(Kind.REMOVE, 1, 2, subject=number(4))
    with refuses("a signer lacks the right"):
        fed.anchor("b", 3, 4)
    assert fed.state.member(4) is None
    assert fed.state.standing(key(4).account) == (4, None)


def test_nobody_burns_the_signatures_of_his_own_removal(fed: Federation):
    removal = fed.make(Kind.REMOVE, subject=number(3), epoch=0)
    signatures = fed.sign(removal, 1, 2)
    # all that the member can do, alone or by relaying what others signed: his rotation, rights, other changes, vetoes
    fed.do(Kind.CHANGE, 1, 2, subject=number(3), name=key(7).account, amount=ALL_RIGHTS, evidence=digest("new"))
    fed.do(Kind.QUORUM, 1, 2, amount=1)
    fed.do(Kind.SUSPEND, 7, subject=number(3))
    fed.do(Kind.REPORT, 7, subject=number(3))
    fed.do(Kind.CANCEL, 7)
    fed.send(removal, signatures)
    assert [member.number for member in fed.state.members()] == [1, 2]
    with refuses("not a member"):
        fed.send(removal, signatures)


def test_an_account_or_key_that_left_does_not_come_back(fed: Federation):
    spare = admission(fed, 3, epoch=2)
    spare_signatures = fed.sign(spare, 1, 2)
    fed.do(Kind.REMOVE, 1, 2, subject=number(3))
    with refuses("the account is or was a member's"):
        fed.send(spare, spare_signatures)
    with refuses("the signing key is or was a member's"):
        fed.do(Kind.ADMIT, 1, 2, name=key(5).account, amount=31, evidence=digest("signing 3"))


def test_two_members_cannot_share_an_account_or_a_signing_key(fed: Federation):
    fields: dict[str, Any] = {"subject": number(1), "amount": 31}
    with refuses("the account is or was a member's"):
        fed.do(Kind.CHANGE, 1, 2, name=key(2).account, evidence=digest("signing 1"), **fields)
    with refuses("the signing key is or was a member's"):
        fed.do(Kind.CHANGE, 1, 2, name=key(1).account, evidence=digest("signing 2"), **fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": bytes(20)}, "no account"),
        ({"evidence": bytes(32)}, "no signing key"),
        ({"amount": 32}, "unknown right"),
    ],
)
def test_a_member_has_an_account_a_key_and_known_rights(fed: Federation, fields: dict[str, Any], reason: str):
    good: dict[str, Any] = {"name": key(4).account, "amount": 31, "evidence": digest("signing 4")}
    with refuses(reason):
        fed.do(Kind.ADMIT, 1, 2, **good | fields)


def test_a_rotated_account_loses_its_vote_to_the_new_one(fed: Federation):
    rotation: dict[str, Any] = {"name": key(8).account, "amount": ALL_RIGHTS, "evidence": digest("signing 1")}
    fed.do(Kind.CHANGE, 2, 3, subject=number(1), **rotation)
    with refuses("a signer lacks the right"):
        fed.anchor("a", 1, 2)
    fed.anchor("a", 8, 2)
    member = fed.state.member(1)
    assert member is not None
    assert member.account == key(8).account


def test_rights_can_be_taken_without_leaving(fed: Federation):
    fed.do(Kind.CHANGE, 2, 3, subject=number(1), name=key(1).account, amount=Right.REPORT, evidence=digest("signing 1"))
    assert fed.state.number("voters") == 2
    with refuses("a signer lacks the right"):
        fed.anchor("a", 1, 2)
    with refuses("too few members would be left to approve"):
        fed.do(Kind.CHANGE, 2, 3, subject=number(2), name=key(2).account, amount=0, evidence=digest("signing 2"))


def test_who_is_not_a_member_is_not_changed(fed: Federation):
    for nobody in (0, 4, 2**255):
        with refuses("not a member"):
            fed.do(Kind.CHANGE, 1, 2, subject=number(nobody), name=key(9).account, amount=31, evidence=digest("x"))
        with refuses("not a member"):
            fed.do(Kind.REMOVE, 1, 2, subject=number(nobody))


def test_a_quorum_can_always_be_reached(fed: Federation):
    for quorum, reason in ((0, "a quorum is at least one"), (4, "more approvals than members who may approve")):
        with refuses(reason):
            fed.do(Kind.QUORUM, 1, 2, amount=quorum)
    fed.do(Kind.QUORUM, 1, 2, amount=3)
    with refuses("too few members would be left to approve"):
        fed.do(Kind.REMOVE, 1, 2, 3, subject=number(3))
    with refuses("too few signatures"):
        fed.anchor("a", 1, 2)
    fed.anchor("a", 1, 2, 3)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"size": 2, "quorum": 3}, "more approvals than members who may approve"),
        ({"size": 0, "quorum": 0}, "a quorum is at least one"),
        ({"rights": [Right.REVOKE], "quorum": 1}, "more approvals than members who may approve"),
        ({"delay": 30 * DAY + 1}, "the delay is too long"),
    ],
)
def test_a_federation_that_could_not_act_is_not_founded(found: Found, options: dict[str, Any], reason: str):
    with refuses(reason):
        found(**options)


def test_a_full_federation_admits_nobody(found: Found):
    fed = found(size=32, quorum=1)
    action = admission(fed, 40)
    with refuses("the federation is full"):
        fed.send(action, fed.sign(action, 1))
    fed.do(Kind.REMOVE, 1, subject=number(32))
    action = admission(fed, 40)
    fed.send(action, fed.sign(action, 1))
    assert fed.state.number("size") == 32


def test_what_gives_power_waits_and_what_takes_it_does_not(found: Found):
    fed = found(delay=DAY)
    action = admission(fed, 4, deadline=fed.now + 10 * DAY)
    signatures = fed.sign(action, 1, 2)
    [(name, fields)] = fed.send(action, signatures)
    assert (name, fields["ready"]) == ("Scheduled", fed.now + DAY)
    assert fed.state.waiting(action.identity(fed.domain)) == fed.now + DAY
    for again in (signatures, []):
        with refuses("not ready yet"):
            fed.send(action, again)
    fed.now += DAY
    fed.send(action)
    assert fed.state.number("size") == 4
    with refuses("signed under an earlier epoch"):
        fed.send(action)
    fed.do(Kind.REMOVE, 1, 2, subject=number(4))
    assert fed.state.number("size") == 3


def test_what_waits_dies_when_the_federation_changes_or_its_deadline_passes(found: Found):
    fed = found(delay=DAY)
    late = admission(fed, 4, deadline=fed.now + DAY)
    fed.send(late, fed.sign(late, 1, 2))
    void = admission(fed, 5, deadline=fed.now + 10 * DAY)
    fed.send(void, fed.sign(void, 1, 2))
    fed.now += DAY + 1
    with refuses("the deadline has passed"):
        fed.send(late)
    fed.do(Kind.CANCEL, 1, 2)
    with refuses("signed under an earlier epoch"):
        fed.send(void)


def test_nothing_waits_without_a_quorum(found: Found):
    fed = found(delay=DAY)
    action = admission(fed, 4)
    for who in ((), (1,)):
        with refuses("too few signatures"):
            fed.send(action, fed.sign(action, *who))


def test_the_delay_has_a_limit_and_changes_with_delay(found: Found):
    fed = found(delay=DAY)
    action = fed.make(Kind.DELAY, amount=0, deadline=fed.now + 2 * DAY)
    fed.send(action, fed.sign(action, 1, 2))
    assert fed.state.number("delay") == DAY
    fed.now += DAY
    fed.send(action)
    assert fed.state.number("delay") == 0
    with refuses("the delay is too long"):
        fed.do(Kind.DELAY, 1, 2, amount=30 * DAY + 1)
    fed.do(Kind.DELAY, 1, 2, amount=30 * DAY)
    assert fed.state.number("delay") == 30 * DAY
