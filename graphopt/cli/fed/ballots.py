"""What the commands that change a federation do with the ballot that they drafted: write it, or decide it at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from graphopt_governance.chains.chain import Chain
    from graphopt_governance.decide.relaying import Relayed
    from graphopt_governance.exchange.ballot import Ballot
    from graphopt_governance.home import Home
    from graphopt_governance.keys.key_files import Passphrase

BallotOutput = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Where the ballot is written.", show_default=False),
]
ExecuteOption = Annotated[
    bool,
    typer.Option("--execute", help="Sign and relay it at once; where one approval is enough."),
]


def draft(
    make: Callable[[Chain], Ballot], output: Path, *, chain: str | None, execute: bool, yes: bool, as_json: bool
) -> None:
    """Draft a ballot for the federation of this home (on `chain`, where it is given), and hand it out."""
    from graphopt.cli.passphrase import prompted
    from graphopt_governance.decide.founding import own_federation
    from graphopt_governance.home import Home

    home, passphrase = Home.default(chain), prompted()
    asked = own_federation(home, passphrase)
    hand_out(make(asked), asked, home, passphrase, output, execute=execute, yes=yes, as_json=as_json)


def hand_out(
    ballot: Ballot,
    chain: Chain,
    home: Home,
    passphrase: Passphrase,
    output: Path,
    *,
    execute: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Write a drafted ballot to `output` for the members to sign; with `execute`, sign and relay it instead."""
    from graphopt.cli.consent import consent
    from graphopt.cli.output import check_writable
    from graphopt.cli.progress import step
    from graphopt_governance.decide.governing import sign_ballot
    from graphopt_governance.decide.relaying import relay_ballots
    from graphopt_governance.errors import BallotError
    from graphopt_governance.exchange.ballot import needed

    check_writable(output)
    ballot.check_place(output)
    if execute:
        if (wanted := needed(ballot.action.kind, chain.snapshot().state)) > 1:
            raise BallotError(f"this takes {wanted} signatures: leave --execute out and let the others sign it")
        consent(ballot.describe(), yes=yes)
        signed = sign_ballot(ballot, chain, home, passphrase)
        with step("relaying"):
            done = relay_ballots([signed], chain)
        if done.ready is not None:
            # it has to be relayed once more, for which the ballot is needed
            signed.save(output)
        show_relayed(done, output if done.ready is not None else None, as_json=as_json)
        return
    write_ballot(ballot, chain, output, as_json=as_json)


def write_ballot(ballot: Ballot, chain: Chain, output: Path, *, as_json: bool) -> None:
    """Write a ballot to `output`, and print what it says and how many must sign it."""
    from graphopt.cli.output import check_writable
    from graphopt.report import Column, Entry, Facts, Report, Table, show
    from graphopt_governance.exchange.ballot import needed

    wanted = needed(ballot.action.kind, chain.snapshot().state)
    check_writable(output)
    ballot.save(output)
    facts = (
        Entry("ballot", "written to", str(output)),
        Entry("needed", "signatures needed", wanted),
        Entry("signatures", "signatures on it", len(ballot.signatures)),
        Entry("identity", "what is signed", ballot.action.identity(ballot.domain).hex()),
    )
    lines = tuple((line.strip(),) for line in ballot.describe())
    says = Table("says", "What it says", (Column("line", "decoded"),), lines)
    show(Report((Facts("", "Ballot", facts), says)), as_json=as_json)


def show_relayed(done: Relayed, ballot: Path | None, *, as_json: bool) -> None:
    """Print what relaying a ballot came to."""
    from graphopt.report import Entry, Facts, Format, Report, show

    facts = (
        Entry("what", "action", done.what),
        Entry("done", "done", done.ready is None),
        Entry("ready", "relay it again from", done.ready, Format.TIME),
        Entry("ballot", "ballot", str(ballot) if ballot is not None else None),
        Entry("signatures", "signatures that counted", done.signatures),
        Entry("block", "block", done.block, Format.COUNT),
        Entry("time", "block time", done.block_time, Format.TIME),
        Entry("gas", "gas", done.gas, Format.COUNT),
    )
    show(Report((Facts("", "Relayed", facts),)), as_json=as_json)
