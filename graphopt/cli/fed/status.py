"""`graphopt fed status`: how the federation stands."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from graphopt.cli.options import AsJson, ChainOption
from graphopt.cli.progress import step

if TYPE_CHECKING:
    from graphopt.report import Section
    from graphopt_governance.decide.chronicle import Undecided
    from graphopt_governance.decide.governing import Standing
    from graphopt_governance.exchange.names import Names


def status(chain: ChainOption = None, as_json: AsJson = False) -> None:
    """Show the federation: its rules, its members, what waits for its time, and what was proposed and not decided.

    \b
    Example:
      graphopt fed status --json
    """
    from graphopt.report import Entry, Facts, Format, Report, show
    from graphopt_governance.decide.chronicle import undecided
    from graphopt_governance.decide.founding import own_federation
    from graphopt_governance.decide.governing import standing
    from graphopt_governance.exchange.names import Names
    from graphopt_governance.home import Home
    from graphopt_governance.keys.member_key import account_at

    home = Home.default(chain)
    with step("asking the chain"):
        asked = own_federation(home)
        now = standing(asked)
        still = undecided(asked)
    kept = Names.of(home)
    names = kept.with_members(now.members)
    if names != kept:
        # a convenience: who may only look at the home is shown how things stand all the same
        with suppress(OSError):
            names.keep(home)
    facts = (
        Entry("chain", "chain", str(asked.domain.chain_id)),
        Entry("contract", "contract", "0x" + asked.domain.contract.hex()),
        Entry("ledger", "ledger", asked.basis),
        Entry("block", "newest block", now.block, Format.COUNT),
    )
    sections = describe_standing(now, names, account_at(home.member_key))
    show(Report((Facts("", "Federation", facts), *sections, *_describe_undecided(still, names))), as_json=as_json)


def describe_standing(now: Standing, names: Names, own: bytes | None) -> tuple[Section, ...]:
    """Rules, members and their keys, as sections of a report; the member with the account `own` is marked."""
    from graphopt.report import Cell, Column, Entry, Facts, Format, Table
    from graphopt_governance.protocol.action import names_of

    rules = (
        Entry("quorum", "approvals needed", now.quorum, Format.COUNT),
        Entry("delay", "seconds that changes wait", now.delay, Format.COUNT),
        Entry("epoch", "epoch", now.epoch, Format.COUNT),
    )
    columns = (
        Column("number", "member", Format.COUNT),
        Column("name", "name"),
        Column("you", "you"),
        Column("account", "account"),
        Column("rights", "rights"),
    )
    keys = (Column("number", "member", Format.COUNT), Column("signing", "signs with"), Column("sealing", "opens with"))
    rows: list[tuple[Cell, ...]] = [
        (
            member.number,
            names.numbers.get(member.number),
            member.account == own,
            "0x" + member.account.hex(),
            ", ".join(names_of(member.rights)) or "none",
        )
        for member in now.members
    ]
    held: list[tuple[Cell, ...]] = [(m.number, m.signing.hex(), m.sealing.hex()) for m in now.members]
    return (
        Facts("rules", "Rules", rules),
        Table("members", "Members", columns, tuple(rows)),
        Table("keys", "Members' keys", keys, tuple(held)),
    )


def _describe_undecided(still: Undecided, names: Names) -> tuple[Section, ...]:
    from graphopt.report import Column, Format, Table

    waiting = (
        Column("what", "what"),
        Column("ready", "can be relayed again from", Format.TIME),
        Column("block", "approved in block", Format.COUNT),
        Column("identity", "ballot"),
    )
    proposed = (
        Column("digest", "manifest"),
        Column("model", "model"),
        Column("version", "version", Format.COUNT),
        Column("member", "by member"),
        Column("block", "in block", Format.COUNT),
        Column("block_time", "at", Format.TIME),
    )
    waits = tuple((item.what, item.ready, item.block, item.identity) for item in still.waiting)
    rows = tuple(
        (
            item.digest,
            names.model_label(bytes.fromhex(item.model)),
            item.version,
            names.label(item.member),
            item.block,
            item.block_time,
        )
        for item in still.proposed
    )
    return (
        Table("waiting", "Approved, waiting for the delay", waiting, waits),
        Table("proposed", "Proposed and not decided", proposed, rows, most=20),
    )
