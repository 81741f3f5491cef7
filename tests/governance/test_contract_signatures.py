"""Who signed: quorum, rights, forms of signatures, other chains, epochs, nonces and deadlines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from graphopt_governance.keys.member_key import in_order
from graphopt_governance.protocol.action import ALL_RIGHTS, Domain, Kind, Right, model_id, word
from graphopt_governance.protocol.contract import Status

from .evm import TurnedDownError
from .federation import CHAIN_ID, DAY, START, Federation, Found, admission, digest, key, number, refuses

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def test_a_quorum_approves_and_fewer_do_not(fed: Federation):
    with refuses("too few signatures"):
        fed.anchor("a", 1)
    assert not fed.approved("a")
    [(name, fields)] = fed.anchor("a", 1, 3, expires=START + DAY, evidence=digest("build"))
    assert name == "Anchored"
    assert fields == {
        "digest": digest("a"),
        "model": model_id("m"),
        "build": digest("build"),
        "version": 1,
        "expires": START + DAY,
    }
    assert fed.approved("a")
    record = fed.state.record(digest("a"))
    assert (record.status, record.version, record.nonce, record.model) == (Status.APPROVED, 1, 1, model_id("m"))


def test_a_signature_for_another_chain_or_contract_does_not_count(fed: Federation):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    for domain in (replace(fed.domain, chain_id=1), replace(fed.domain, contract=bytes(20))):
        identity = action.identity(domain)
        signatures = in_order([(key(i).account, key(i).sign(identity)) for i in (1, 2)])
        with pytest.raises(TurnedDownError, match=r"lacks the right|ascending"):
            fed.send(action, signatures)


def test_a_federation_with_the_same_members_on_another_chain_takes_no_signature_of_this_one(
    fed: Federation, found: Found
):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    signatures = fed.sign(action, 1, 2)
    twin = found(chain_id=CHAIN_ID + 1)
    with pytest.raises(TurnedDownError, match=r"lacks the right|ascending"):
        twin.send(action, signatures)
    # the chain's id alone makes the difference, and so does the contract's address
    for elsewhere in (Domain(CHAIN_ID + 1, fed.contract), Domain(CHAIN_ID, twin.contract)):
        identity = action.identity(elsewhere)
        others = in_order([(key(i).account, key(i).sign(identity)) for i in (1, 2)])
        with pytest.raises(TurnedDownError, match=r"lacks the right|ascending"):
            fed.send(action, others)
    fed.send(action, signatures)


def test_any_changed_field_voids_the_signatures(fed: Federation):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1, expires=START + DAY)
    signatures = fed.sign(action, 1, 2)
    changes: dict[str, Any] = {
        "subject": digest("b"),
        "expires": 0,
        "evidence": digest("x"),
        "sealing": digest("x"),
        "deadline": action.deadline + 1,
        "name": model_id("n"),
    }
    for field, value in changes.items():
        with pytest.raises(TurnedDownError, match=r"lacks the right|ascending"):
            fed.send(replace(action, **{field: value}), signatures)
    fed.send(action, signatures)


def test_the_same_approval_twice_counts_once(fed: Federation):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    [signature] = fed.sign(action, 1)
    with refuses("signers are not in ascending order"):
        fed.send(action, [signature, signature])


def test_signers_out_of_order_are_refused(fed: Federation):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    with refuses("signers are not in ascending order"):
        fed.send(action, fed.sign(action, 1, 2)[::-1])


def test_the_second_form_of_a_signature_is_refused(fed: Federation):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    first, second = fed.sign(action, 1, 2)
    mirrored = first[:32] + word(ORDER - int.from_bytes(first[32:64], "big")) + bytes([55 - first[64]])
    with refuses("a signature's s is not in its low form"):
        fed.send(action, [mirrored, second])


@pytest.mark.parametrize("junk", [bytes(65), b"\xff" * 32 + bytes(32) + b"\x1b", bytes(64) + b"\x1b"])
def test_a_signature_that_recovers_nobody_is_refused(fed: Federation, junk: bytes):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    with refuses("signers are not in ascending order"):
        fed.send(action, [junk, *fed.sign(action, 1)])


def test_signatures_of_another_length_are_refused(fed: Federation):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    with refuses("signatures have 65 bytes each"):
        fed.send(action, [*fed.sign(action, 1, 2), b"\0"])


def test_more_signatures_than_there_can_be_members_are_refused(fed: Federation):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    with pytest.raises(TurnedDownError):
        fed.send(action, [*fed.sign(action, 1, 2), *[bytes(65)] * 31])


def test_a_stranger_is_refused(fed: Federation):
    with refuses("a signer lacks the right"):
        fed.anchor("a", 1, 9)


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        (Kind.PROPOSE, Right.PROPOSE),
        (Kind.ANCHOR, Right.APPROVE),
        (Kind.REVOKE, Right.REVOKE),
        (Kind.SUSPEND, Right.REVOKE),
        (Kind.REPORT, Right.REPORT),
        (Kind.CANCEL, Right.APPROVE),
    ],
)
def test_each_kind_of_action_needs_its_right(found: Found, kind: Kind, right: Right):
    voters = [Right.APPROVE, Right.APPROVE]
    fields: dict[str, Any] = {"subject": digest("a"), "name": model_id("m"), "amount": 1}
    for given, allowed in ((ALL_RIGHTS & ~right, False), (right, True)):
        fed = found(rights=[given, *voters], quorum=1)
        if allowed:
            fed.do(kind, 1, **fields)
        else:
            with refuses("a signer lacks the right"):
                fed.do(kind, 1, **fields)


def test_an_approval_does_not_outlive_its_deadline(fed: Federation):
    with refuses("the deadline has passed"):
        fed.anchor("a", 1, 2, deadline=fed.now)
    fed.anchor("a", 1, 2, deadline=fed.now + 2)


Change = Callable[[Federation], object]


def _leaves(fed: Federation) -> None:
    fed.do(Kind.REMOVE, 2, 3, subject=number(1))


def _joins(fed: Federation) -> None:
    action = admission(fed, 4)
    fed.send(action, fed.sign(action, 2, 3))


def _rotates(fed: Federation) -> None:
    fed.do(Kind.CHANGE, 2, 3, subject=number(1), name=key(8).account, amount=ALL_RIGHTS, evidence=digest("signing 1"))


def _quorum(fed: Federation) -> None:
    fed.do(Kind.QUORUM, 2, 3, amount=3)


def _delay(fed: Federation) -> None:
    fed.do(Kind.DELAY, 2, 3, amount=DAY)


def _cancel(fed: Federation) -> None:
    fed.do(Kind.CANCEL, 2, 3)


@pytest.mark.parametrize("change", [_leaves, _joins, _rotates, _quorum, _delay, _cancel])
def test_a_change_of_the_federation_voids_what_was_signed_before(fed: Federation, change: Change):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    signatures = fed.sign(action, 2, 3)
    epoch = fed.state.number("epoch")
    change(fed)
    assert fed.state.number("epoch") == epoch + 1
    with refuses("signed under an earlier epoch"):
        fed.send(action, signatures)


def test_a_signature_for_a_later_epoch_waits_for_it(fed: Federation):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1, epoch=2)
    with refuses("signed under an earlier epoch"):
        fed.send(action, fed.sign(action, 1, 2))


def test_old_signatures_do_not_restore_or_approve_what_was_revoked(fed: Federation):
    approval = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    approval_signatures = fed.sign(approval, 1, 2)
    fed.send(approval, approval_signatures)
    fed.do(Kind.REVOKE, 1, 2, subject=digest("a"))
    restoring = fed.make(Kind.RESTORE, subject=digest("a"))
    restoring_signatures = fed.sign(restoring, 1, 2)
    fed.send(restoring, restoring_signatures)
    assert fed.approved("a")
    fed.do(Kind.REVOKE, 1, 3, subject=digest("a"))
    for action, signatures in ((approval, approval_signatures), (restoring, restoring_signatures)):
        with refuses("the record has changed since this was signed"):
            fed.send(action, signatures)
    with refuses("too few signatures"):
        fed.do(Kind.RESTORE, 1, subject=digest("a"))
    assert not fed.approved("a")


def test_what_is_on_record_is_not_anchored_a_second_time(fed: Federation):
    fed.anchor("a", 1, 2)
    with refuses("already on record"):
        fed.anchor("a", 1, 2, model="other")
    fed.do(Kind.REVOKE, 1, 2, subject=digest("a"))
    with refuses("already on record"):
        fed.anchor("a", 1, 2)


def test_a_record_that_changed_too_often_can_change_no_more(fed: Federation):
    for nonce, held in ((0xFFFE, True), (0xFFFF, False)):
        action = fed.make(Kind.RESTORE, subject=digest("a"), nonce=nonce)
        forged = ("records", digest("a"), 3 | nonce << 8)
        if held:
            fed.send_to_a_forged_state(action, (1, 2), *forged)
        else:
            with refuses("the record has changed too often"):
                fed.send_to_a_forged_state(action, (1, 2), *forged)
