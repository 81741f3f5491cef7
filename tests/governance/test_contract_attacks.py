"""What somebody would try who has read the contract: each attempt is turned down, or gains nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from graphopt_governance.keys.member_key import in_order
from graphopt_governance.protocol.action import ALL_RIGHTS, Action, Kind, Right, model_id, word
from graphopt_governance.protocol.contract import RecordKind, Status

from .federation import DAY, Federation, Found, admission, digest, key, number, refuses

HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def scheduled(fed: Federation, kind: Kind, *who: int, **fields: Any) -> Action:
    """An action that a quorum approved and that waits."""
    action = fed.make(kind, **{"deadline": fed.now + 100 * DAY} | fields)
    [(name, _)] = fed.send(action, fed.sign(action, *who))
    assert name == "Scheduled"
    return action


def test_a_removal_is_not_replayed_on_who_comes_back(fed: Federation):
    removal = fed.make(Kind.REMOVE, subject=number(3), epoch=0, deadline=2**256 - 1)
    signatures = fed.sign(removal, 1, 2)
    fed.send(removal, signatures)
    back = fed.make(Kind.ADMIT, name=key(8).account, amount=ALL_RIGHTS, evidence=digest("signing 8"))
    fed.send(back, fed.sign(back, 1, 2))
    with refuses("not a member"):
        fed.send(removal, signatures)
    assert [member.number for member in fed.state.members()] == [1, 2, 4]


def test_a_removal_that_was_signed_ends_with_its_deadline_alone(fed: Federation):
    removal = fed.make(Kind.REMOVE, subject=number(3), epoch=0, deadline=fed.now + 10)
    signatures = fed.sign(removal, 1, 2)
    fed.do(Kind.CANCEL, 1, 2)
    fed.now += 10
    with refuses("the deadline has passed"):
        fed.send(removal, signatures)


def test_a_removal_needs_the_quorum_of_now_and_members_of_now(fed: Federation):
    removal = fed.make(Kind.REMOVE, subject=number(3), epoch=0)
    signatures = fed.sign(removal, 1, 2)
    fed.do(Kind.QUORUM, 1, 2, amount=3)
    with refuses("too few signatures"):
        fed.send(removal, signatures)
    fed.do(Kind.QUORUM, 1, 2, 3, amount=2)
    fed.do(Kind.REMOVE, 1, 3, subject=number(2), epoch=0)
    with refuses("a signer lacks the right"):
        fed.send(removal, signatures)


def test_no_member_takes_the_place_of_another(fed: Federation):
    mine: dict[str, Any] = {"subject": number(1), "amount": ALL_RIGHTS}
    fed.do(Kind.CHANGE, 1, 2, name=key(8).account, evidence=digest("new"), **mine)
    for account, signing, reason in (
        (key(1).account, digest("newer"), "the account is or was a member's"),
        (key(3).account, digest("newer"), "the account is or was a member's"),
        (key(8).account, digest("signing 1"), "the signing key is or was a member's"),
        (key(8).account, digest("signing 3"), "the signing key is or was a member's"),
        (bytes(20), digest("newer"), "no account"),
    ):
        with refuses(reason):
            fed.do(Kind.CHANGE, 2, 3, name=account, evidence=signing, **mine)
    assert fed.state.holder(digest("signing 1")) == fed.state.holder(digest("new")) == 1


def test_what_waits_does_not_outlive_another_change(found: Found):
    fed = found(delay=DAY)
    first = scheduled(fed, Kind.QUORUM, 1, 2, amount=1)
    second = scheduled(fed, Kind.ADMIT, 1, 2, name=key(4).account, amount=31, evidence=digest("signing 4"))
    fed.now += DAY
    fed.send(first)
    assert fed.state.number("quorum") == 1
    # approved by two; now that one would do, it needs to be approved again all the same
    with refuses("signed under an earlier epoch"):
        fed.send(second)
    third = scheduled(fed, Kind.QUORUM, 1, amount=2)
    fed.do(Kind.REMOVE, 1, subject=number(3))
    fed.now += DAY
    with refuses("signed under an earlier epoch"):
        fed.send(third)


def test_no_delay_is_shortened_by_a_change_of_the_delay(found: Found):
    fed = found(delay=DAY)
    shorter = scheduled(fed, Kind.DELAY, 1, 2, amount=0)
    admitting = scheduled(fed, Kind.ADMIT, 1, 2, name=key(4).account, amount=31, evidence=digest("signing 4"))
    fed.now += DAY - 10
    for early in (shorter, admitting):
        with refuses("not ready yet"):
            fed.send(early)
    fed.now += 10
    fed.send(shorter)
    assert fed.state.number("delay") == 0
    with refuses("signed under an earlier epoch"):
        fed.send(admitting)


def test_it_is_ready_at_its_second_and_not_before(found: Found):
    fed = found(delay=DAY)
    action = scheduled(fed, Kind.QUORUM, 1, 2, amount=3)
    ready = fed.state.waiting(action.identity(fed.domain))
    fed.now = ready - 2
    with refuses("not ready yet"):
        fed.send(action)
    assert fed.now == ready - 1
    [(name, fields)] = fed.send(action, [bytes(65)])
    assert (name, fields) == ("RulesChanged", {"epoch": 2, "quorum": 3, "delay": DAY})


def test_a_deadline_includes_its_second(fed: Federation):
    fed.anchor("a", 1, 2, deadline=fed.now + 1)
    assert fed.approved("a")


def test_an_endless_deadline_ends_with_the_epoch(fed: Federation):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1, deadline=2**256 - 1)
    signatures = fed.sign(action, 1, 2)
    fed.do(Kind.CANCEL, 1, 2)
    with refuses("signed under an earlier epoch"):
        fed.send(action, signatures)


def test_restoring_gives_no_new_life_to_what_ended_or_was_superseded(fed: Federation):
    fed.anchor("a", 1, 2, expires=fed.now + 100)
    fed.anchor("b", 1, 2)
    for name in "ab":
        fed.do(Kind.REVOKE, 1, 2, subject=digest(name))
    fed.anchor("c", 1, 2)
    fed.now += 100
    for name in "ab":
        fed.do(Kind.RESTORE, 1, 2, subject=digest(name))
        assert fed.state.record(digest(name)).status is Status.APPROVED
        assert not fed.approved(name)
    with refuses("not approved"):
        fed.do(Kind.ROLLBACK, 1, 2, subject=digest("a"), amount=3)
    assert fed.approved("c")


def test_a_revoked_current_version_is_rolled_back_and_its_restoring_changes_nothing(fed: Federation):
    fed.anchor("a", 1, 2)
    fed.anchor("b", 1, 2)
    fed.do(Kind.REVOKE, 1, 2, subject=digest("b"))
    assert not fed.approved("a")
    fed.do(Kind.ROLLBACK, 1, 2, subject=digest("a"), amount=2)
    fed.do(Kind.RESTORE, 1, 2, subject=digest("b"))
    assert (fed.approved("a"), fed.approved("b")) == (True, False)
    assert fed.state.versions(model_id("m")) == (1, 2)


def test_a_batch_and_a_manifest_do_not_share_a_digest(fed: Federation):
    fed.anchor("a", 1, 2)
    with refuses("already on record"):
        fed.do(Kind.BATCH, 1, 2, subject=digest("a"), amount=1)
    fed.do(Kind.BATCH, 1, 2, subject=digest("root"), amount=1)
    with refuses("already on record"):
        fed.anchor("root", 1, 2)
    for kind in (Kind.REVOKE, Kind.RESTORE):
        fed.do(kind, 1, 2, subject=digest("root"))
    assert fed.state.record(digest("root")).kind is RecordKind.BATCH
    assert not fed.approved("root")


def test_who_suspends_in_advance_delays_and_does_not_prevent(fed: Federation):
    approval = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    signatures = fed.sign(approval, 1, 2)
    fed.do(Kind.SUSPEND, 3, subject=digest("a"))
    with refuses("the record has changed since this was signed"):
        fed.send(approval, signatures)
    with refuses("already on record"):
        fed.anchor("a", 1, 2)
    fed.do(Kind.REMOVE, 1, 2, subject=number(3))
    fed.do(Kind.RESTORE, 1, 2, subject=digest("a"))
    fed.anchor("a", 1, 2)
    assert fed.approved("a")


def test_a_suspension_is_not_repeated_with_the_same_signature(fed: Federation):
    fed.anchor("a", 1, 2)
    suspension = fed.make(Kind.SUSPEND, subject=digest("a"))
    signatures = fed.sign(suspension, 3)
    fed.send(suspension, signatures)
    fed.do(Kind.RESTORE, 1, 2, subject=digest("a"))
    with refuses("the record has changed since this was signed"):
        fed.send(suspension, signatures)
    with refuses("a signer lacks the right"):
        fed.do(Kind.SUSPEND, 9, subject=digest("a"))


def test_what_one_does_alone_is_done_by_the_last_of_several(fed: Federation):
    first, last = sorted((1, 2), key=lambda person: key(person).account)
    [(_, fields)] = fed.do(Kind.SUSPEND, 1, 2, subject=digest("a"))
    assert fields["member"] == last
    with refuses("a signer lacks the right"):
        fed.do(Kind.REPORT, first, 9, subject=digest("a"))


def test_voters_are_counted_right_through_every_change(fed: Federation):
    def counted() -> tuple[int, int, int]:
        members = fed.state.members()
        voting = sum(bool(member.rights & Right.APPROVE) for member in members)
        assert (fed.state.number("voters"), fed.state.number("size")) == (voting, len(members))
        return voting, len(members), fed.state.number("joined")

    def change(who: int, given: int) -> None:
        fields: dict[str, Any] = {"name": key(who).account, "evidence": digest(f"signing {who}")}
        fed.do(Kind.CHANGE, 2, 3, subject=number(who), amount=given, **fields)

    assert counted() == (3, 3, 3)
    change(1, 0)
    assert counted() == (2, 3, 3)
    change(1, 0)
    assert counted() == (2, 3, 3)
    change(1, Right.APPROVE)
    assert counted() == (3, 3, 3)
    change(1, ALL_RIGHTS)
    assert counted() == (3, 3, 3)
    observer = admission(fed, 5, Right.REPORT)
    fed.send(observer, fed.sign(observer, 2, 3))
    assert counted() == (3, 4, 4)
    fed.do(Kind.REMOVE, 2, 3, subject=number(4))
    fed.do(Kind.REMOVE, 2, 3, subject=number(1))
    assert counted() == (2, 2, 4)


def test_the_largest_s_that_is_low_is_taken_and_the_next_is_not(fed: Federation):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    [other] = fed.sign(action, 1)
    # nobody's signatures, but signatures: the order of accounts and rights is only looked at after s
    for s, reason in (
        (HALF_ORDER, "a signer lacks the right"),
        (HALF_ORDER + 1, "a signature's s is not in its low form"),
    ):
        signature = other[:32] + word(s) + b"\x1b"
        with refuses(reason):
            fed.send(action, [signature, other])


@pytest.mark.parametrize("kind", [15, 16, 2**255])
def test_an_unknown_kind_waits_for_nothing(found: Found, kind: Any):
    fed = found(delay=DAY)
    action = replace(fed.make(Kind.CANCEL, deadline=fed.now + 10 * DAY), kind=kind)
    identity = action.identity(fed.domain)
    signatures = in_order([(key(i).account, key(i).sign(identity)) for i in (1, 2)])
    fed.send(action, signatures)
    fed.now += DAY
    with refuses("unknown kind of action"):
        fed.send(action)
    assert fed.state.number("epoch") == 1
