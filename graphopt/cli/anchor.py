"""`graphopt anchor`: put the approval of a bundle on record: one's own, of several together, or a batch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphopt.cli.consent import YesOption, signing
from graphopt.cli.options import AsJson, ChainOption, DaysOption, expires_after

if TYPE_CHECKING:
    from graphopt.report import Report
    from graphopt_governance.home import Home


def anchor(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="BUNDLE|PROPOSAL...",
            help="A bundle's folder; or proposals for the same bundle; or, with --batch, bundles.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Make it the next version of this model.", show_default=False),
    ] = None,
    batch: Annotated[bool, typer.Option("--batch", help="Approve all these bundles with one action.")] = False,
    days: DaysOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PROPOSAL",
            help="With --batch: a folder to write, for the others to sign, with the proofs for each bundle.",
            show_default=False,
        ),
    ] = None,
    yes: YesOption = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Put the approval of a signed bundle on record.

    The first use founds a federation whose one member is the owner of this machine's keys. The embedded chain is
    one operator's ledger without consensus: it shows that a bundle was altered, not approved or revoked, but not
    that its own operator was honest. With --model, the bundle supersedes the version of that model before it.

    Where several must agree, give the proposal that they have signed (`graphopt propose`, `graphopt approve`), or
    several copies of it, whose signatures are put together. Anybody may do that; nothing is signed by it.

    With --batch, any number of bundles is approved by one action. The proof that each is in the batch is kept in
    inclusions/ of the home; who verifies one of these bundles elsewhere needs its file, from there or from the
    proposal's folder.

    With --chain, the first use deploys the federation's contract on that chain. The account of the member key pays for
    what is sent, and the command returns once its block is final.

    \b
    Examples:
      graphopt anchor model.bundle --model digits --days 90
      graphopt anchor digits.proposal
      graphopt anchor digits.proposal from-west/digits.proposal
      graphopt anchor --batch a.bundle b.bundle c.bundle -o nightly.proposal
    """
    from graphopt.errors import InputError
    from graphopt.report import show
    from graphopt_governance.exchange.proposal import is_proposal
    from graphopt_governance.home import Home

    home = Home.default(chain)
    expires = expires_after(days)
    if output is not None and not batch:
        raise InputError("-o goes with --batch; a bundle is proposed with `graphopt propose`")
    if batch:
        if model is not None:
            raise InputError("a batch has no versions: leave --model out, or anchor the bundles one by one")
        report = _anchor_batch(paths, expires, output, home, yes=yes)
    elif any(is_proposal(path) for path in paths):
        if model is not None or days is not None:
            raise InputError("a proposal says itself of which model it is and how long it lasts")
        report = _anchor_proposals(paths, home)
    elif len(paths) > 1:
        raise InputError("several bundles are anchored together with --batch")
    else:
        report = _anchor_bundle(paths[0], model, expires, home, yes=yes)
    show(report, as_json=as_json)


def _anchor_bundle(bundle: Path, model: str | None, expires: int, home: Home, *, yes: bool) -> Report:
    from graphopt.cli.passphrase import prompted
    from graphopt.report import Entry, Facts, Format, Report
    from graphopt_governance import actions

    with signing(f"anchoring {bundle}", yes=yes) as ask:
        anchored = actions.anchor(bundle, model, expires=expires, home=home, passphrase=prompted(), ask=ask)
    facts = (
        Entry("digest", "digest", anchored.digest),
        Entry("block", "block", anchored.block, Format.COUNT),
        Entry("time", "block time", anchored.block_time, Format.TIME),
        Entry("version", "version of its model", anchored.version, Format.COUNT),
        Entry("already", "was there before", anchored.already),
        Entry("chain", "chain", str(anchored.chain)),
        Entry("contract", "contract", anchored.contract),
        Entry("ledger", "ledger", anchored.ledger),
    )
    return Report((Facts("", "Anchored", facts),))


def _anchor_proposals(paths: list[Path], home: Home) -> Report:
    from graphopt.cli.passphrase import prompted
    from graphopt.cli.progress import step
    from graphopt.report import Entry, Facts, Format, Report
    from graphopt_governance.decide import deciding

    with step(f"anchoring {paths[0]}"):
        relayed = deciding.anchor_proposals(paths, home=home, passphrase=prompted())
    facts = (
        Entry("what", "what", relayed.what),
        Entry("digest", "digest", relayed.subject),
        Entry("block", "block", relayed.block, Format.COUNT),
        Entry("time", "block time", relayed.block_time, Format.TIME),
        Entry("inclusions", "proofs of inclusion kept", len(relayed.inclusions) or None, Format.COUNT),
    )
    return Report((Facts("", "Anchored", facts),))


def _anchor_batch(bundles: list[Path], expires: int, output: Path | None, home: Home, *, yes: bool) -> Report:
    from graphopt.cli.acted import describe_acted
    from graphopt.cli.passphrase import prompted
    from graphopt.report import Report
    from graphopt_governance.decide import acting

    with signing(f"anchoring {len(bundles)} bundles", yes=yes) as ask:
        member = acting.Member(home, prompted(), ask)
        acted = acting.anchor_batch(member, bundles, expires=expires, output=output)
    return Report((describe_acted(acted, "Batch"),))
