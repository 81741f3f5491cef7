"""What is on record: versions, rollback, expiry, withdrawal, proposals and reports."""

from __future__ import annotations

from typing import Any

from graphopt_governance.protocol.action import Kind, model_id
from graphopt_governance.protocol.contract import Status

from .federation import DAY, START, Federation, digest, number, refuses


def test_a_later_version_supersedes_and_an_old_one_cannot_be_pushed_back(fed: Federation):
    fed.anchor("a", 1, 2)
    fed.anchor("b", 1, 2)
    assert (fed.approved("a"), fed.approved("b")) == (False, True)
    for version in (1, 2, 4):
        with refuses("not the model's next version"):
            fed.anchor("c", 1, 2, version=version)
    [(name, fields)] = fed.do(Kind.ROLLBACK, 1, 2, subject=digest("a"), amount=2)
    assert (name, fields["version"], fields["left"]) == ("RolledBack", 1, 2)
    assert (fed.approved("a"), fed.approved("b")) == (True, False)
    fed.anchor("c", 1, 2)
    assert fed.state.versions(model_id("m")) == (3, 3)
    fed.do(Kind.ROLLBACK, 1, 2, subject=digest("b"), amount=3)
    assert fed.state.versions(model_id("m")) == (2, 3)


def test_of_two_approvals_for_the_same_version_one_wins(fed: Federation):
    first = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    second = fed.make(Kind.ANCHOR, subject=digest("b"), name=model_id("m"), amount=1)
    first_signatures, second_signatures = fed.sign(first, 1, 2), fed.sign(second, 2, 3)
    fed.send(second, second_signatures)
    with refuses("not the model's next version"):
        fed.send(first, first_signatures)


def test_a_rollback_needs_an_approved_version_a_quorum_and_the_right_moment(fed: Federation):
    fed.anchor("a", 1, 2, expires=START + DAY)
    fed.anchor("b", 1, 2)
    with refuses("another version is current"):
        fed.do(Kind.ROLLBACK, 1, 2, subject=digest("a"), amount=1)
    with refuses("current already"):
        fed.do(Kind.ROLLBACK, 1, 2, subject=digest("b"), amount=2)
    with refuses("too few signatures"):
        fed.do(Kind.ROLLBACK, 1, subject=digest("a"), amount=2)
    with refuses("not approved"):
        fed.do(Kind.ROLLBACK, 1, 2, subject=digest("never seen"), amount=0)
    fed.do(Kind.BATCH, 1, 2, subject=digest("batch"), amount=1)
    with refuses("not approved"):
        fed.do(Kind.ROLLBACK, 1, 2, subject=digest("batch"), amount=0)
    fed.now = START + DAY
    with refuses("not approved"):
        fed.do(Kind.ROLLBACK, 1, 2, subject=digest("a"), amount=2)


def test_rollback_signatures_work_once(fed: Federation):
    fed.anchor("a", 1, 2)
    fed.anchor("b", 1, 2)
    action = fed.make(Kind.ROLLBACK, subject=digest("a"), amount=2)
    signatures = fed.sign(action, 1, 2)
    fed.send(action, signatures)
    fed.do(Kind.ROLLBACK, 1, 2, subject=digest("b"), amount=1)
    with refuses("the record has changed since this was signed"):
        fed.send(action, signatures)


def test_an_approval_ends_by_block_time(fed: Federation):
    with refuses("would be expired already"):
        fed.anchor("a", 1, 2, expires=fed.now + 1)
    with refuses("the expiry is out of range"):
        fed.anchor("a", 1, 2, expires=2**40)
    fed.anchor("a", 1, 2, expires=fed.now + 10)
    assert fed.approved("a")
    fed.now += 10
    assert not fed.approved("a")


def test_a_model_has_an_end_of_versions(fed: Federation):
    fields: dict[str, Any] = {"subject": digest("a"), "name": model_id("m")}
    last = fed.make(Kind.ANCHOR, amount=2**32 - 1, **fields)
    fed.send_to_a_forged_state(last, (1, 2), "models", model_id("m") + bytes(12), (2**32 - 2) << 32)
    beyond = fed.make(Kind.ANCHOR, amount=2**32, **fields)
    with refuses("the model has too many versions"):
        fed.send_to_a_forged_state(beyond, (1, 2), "models", model_id("m") + bytes(12), (2**32 - 1) << 32)


def test_one_member_suspends_and_only_a_quorum_restores(fed: Federation):
    fed.anchor("a", 1, 2)
    [(name, fields)] = fed.do(Kind.SUSPEND, 3, subject=digest("a"), evidence=b"odd outputs".ljust(32, b"\0"))
    assert (name, fields["member"]) == ("Suspended", 3)
    assert not fed.approved("a")
    with refuses("withdrawn already"):
        fed.do(Kind.SUSPEND, 3, subject=digest("a"))
    with refuses("too few signatures"):
        fed.do(Kind.RESTORE, 3, subject=digest("a"))
    fed.do(Kind.RESTORE, 1, 2, subject=digest("a"))
    assert fed.approved("a")
    with refuses("not withdrawn"):
        fed.do(Kind.RESTORE, 1, 2, subject=digest("a"))


def test_a_rogue_veto_ends_with_the_removal_of_the_rogue(fed: Federation):
    fed.anchor("a", 1, 2)
    fed.do(Kind.SUSPEND, 3, subject=digest("a"))
    fed.do(Kind.REMOVE, 1, 2, subject=number(3))
    fed.do(Kind.RESTORE, 1, 2, subject=digest("a"))
    with refuses("a signer lacks the right"):
        fed.do(Kind.SUSPEND, 3, subject=digest("a"))
    assert fed.approved("a")


def test_what_was_never_anchored_can_be_revoked_beforehand(fed: Federation):
    action = fed.make(Kind.ANCHOR, subject=digest("a"), name=model_id("m"), amount=1)
    signatures = fed.sign(action, 1, 2)
    fed.do(Kind.REVOKE, 2, 3, subject=digest("a"))
    with refuses("the record has changed since this was signed"):
        fed.send(action, signatures)
    with refuses("revoked already"):
        fed.do(Kind.REVOKE, 2, 3, subject=digest("a"))
    fed.do(Kind.RESTORE, 2, 3, subject=digest("a"))
    assert fed.state.record(digest("a")).status is Status.NOT_ANCHORED
    fed.anchor("a", 1, 2)
    assert fed.approved("a")


def test_proposals_and_reports_are_on_record_once(fed: Federation):
    action = fed.make(Kind.PROPOSE, subject=digest("a"), name=model_id("m"), amount=1, evidence=digest("build"))
    signatures = fed.sign(action, 2)
    [(name, fields)] = fed.send(action, signatures)
    assert (name, fields["member"], fields["build"]) == ("Proposed", 2, digest("build"))
    with refuses("already on record"):
        fed.send(action, signatures)
    assert not fed.approved("a")
    [(name, fields)] = fed.do(Kind.REPORT, 3, subject=digest("a"), evidence=digest("report"))
    assert (name, fields) == ("Reported", {"digest": digest("a"), "member": 3, "evidence": digest("report")})
