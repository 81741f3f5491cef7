"""`graphopt audit replay`: rebuild a ledger from its log, and hold it against one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.consent import YesOption
from graphopt.cli.failure import tell
from graphopt.cli.options import AsJson, ChainOption
from graphopt.cli.progress import step

CONTRADICTION = 20
"""Exit code: two histories of one ledger."""


def replay(
    log: Annotated[Path, typer.Argument(metavar="FILE", help="The log to replay.", show_default=False)],
    sign: Annotated[bool, typer.Option("--sign", help="Sign the log's head as a member, if it agrees.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where the signed log is written; FILE itself when left out.",
            show_default=False,
        ),
    ] = None,
    yes: YesOption = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild a ledger from its log, call by call, and compare it with yours.

    It says whether the log comes to the head that it claims, which members signed that head, and whether it is the
    history of the ledger that you use: the same, longer, shorter, or another one, and from which block on. The ledger
    is rebuilt in a private temporary folder; nothing of yours changes.

    \b
    Exit codes:
      0   the log replays, and does not contradict your ledger
      2   it is no log, or it does not come to its head
      20  it contradicts your ledger: somebody was shown another history

    \b
    Examples:
      graphopt audit replay november.log.json
      graphopt audit replay november.log.json --sign -o signed.log.json
    """
    from graphopt.cli.audit.signing import sign_head
    from graphopt.cli.output import check_writable
    from graphopt.report import Entry, Facts, Format, Report, show
    from graphopt_governance.chains.ledger_log import LedgerLog
    from graphopt_governance.decide.auditing import replay as replay_log
    from graphopt_governance.exchange.names import Names
    from graphopt_governance.home import Home

    home = Home.default(chain)
    if sign:
        check_writable(output or log)
    shown = LedgerLog.load(log)
    with step("replaying"):
        audit = replay_log(shown, home)
    names = Names.of(home)
    if sign and not audit.contradicts:
        sign_head(shown, home, audit.accounts, str(audit.agreement), yes=yes).save(output or log)
    facts = (
        Entry("agreement", "compared with yours", str(audit.agreement)),
        Entry("contradicts", "contradicts it", audit.contradicts),
        Entry("first_difference", "first block that differs", audit.first_difference, Format.COUNT),
        Entry("chain", "chain", str(audit.chain)),
        Entry("contract", "contract", "0x" + audit.contract.hex()),
        Entry("blocks", "blocks replayed", audit.blocks, Format.COUNT),
        Entry("head", "head", audit.head.hex()),
        Entry("signers", "members who signed it", ", ".join(names.label(number) for number in audit.signers) or None),
        Entry("signed", "how many signed it", len(audit.signers)),
        Entry("members", "members in all", audit.members),
        Entry("strangers", "signed by others", audit.strangers),
    )
    show(Report((Facts("", "Audit", facts),)), as_json=as_json)
    if audit.contradicts:
        tell(f"{audit.agreement}, from block {audit.first_difference} on")
        raise typer.Exit(CONTRADICTION)
