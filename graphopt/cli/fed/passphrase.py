"""`graphopt fed passphrase`: encrypt the key files under another passphrase."""

from __future__ import annotations

from typing import Annotated

import typer

from graphopt.cli.options import AsJson


def passphrase(
    none: Annotated[
        bool, typer.Option("--none", help="Take the encryption away: the files then protect nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Encrypt your key files under a new passphrase; the keys stay the same.

    The old passphrase comes from $GRAPHOPT_PASSPHRASE_FILE, $GRAPHOPT_PASSPHRASE or the terminal, the new one from
    $GRAPHOPT_NEW_PASSPHRASE_FILE, $GRAPHOPT_NEW_PASSPHRASE or the terminal, where it is asked for twice; neither is
    ever an argument. All key files change together, also where the command is killed. Copies and backups of the old
    files still open with the old passphrase.

    \b
    Example:
      graphopt fed passphrase
    """
    from graphopt.cli.passphrase import prompted, prompted_anew
    from graphopt.report import Entry, Facts, Report, show
    from graphopt_governance.home import Home
    from graphopt_governance.keys.rekeying import change_passphrase

    home = Home.default()
    count = change_passphrase(home, prompted(), prompted_anew(none=none))
    facts = (
        Entry("keys", "key files", count),
        Entry("encrypted", "encrypted", not none),
        Entry("folder", "in", str(home.keys)),
    )
    show(Report((Facts("", "Passphrase changed", facts),)), as_json=as_json)
