"""`graphopt publish`: put an approved bundle where other members find it."""

from __future__ import annotations

from typing import Annotated

import typer

from graphopt.cli.gate import chosen_gate
from graphopt.cli.options import AsJson, BundlePath, ChainOption, StoreOption
from graphopt.cli.progress import step


def publish(
    bundle: BundlePath,
    store: StoreOption = None,
    sealed: Annotated[
        bool, typer.Option("--sealed", help="Publish it sealed for the members who may decrypt, and not in the open.")
    ] = False,
    unapproved: Annotated[
        bool, typer.Option("--unapproved", help="Publish it although the federation has not approved it.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Send also what seems to be there already.")] = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Put an approved bundle where other members find it.

    Every byte is checked and the federation asked first. In the store the bundle is under its digest, so the store
    need not be trusted: whoever fetches from it checks everything again. Beside it goes a remark, signed by nobody, of
    how long compiling took where that was done here.

    \b
    Examples:
      graphopt publish model.bundle --store /mnt/shared/store
      graphopt publish model.bundle --store s3://models/store --sealed
    """
    from graphopt.cli.failure import warn
    from graphopt.cli.members import members_table
    from graphopt.report import Entry, Facts, Format, Report, Section, show
    from graphopt_governance.home import Home
    from graphopt_governance.share.publishing import publish as put
    from graphopt_governance.share.store import Store

    opened, home = Store.chosen(store), Home.default(chain)
    gate = None if unapproved else chosen_gate(no_gate=False, chain=chain)
    if unapproved:
        warn("nobody was asked whether this bundle is approved (--unapproved)")
    with step(f"publishing {bundle}"):
        published = put(bundle, opened, gate, sealed=sealed, again=again, home=home)
    facts = (
        Entry("digest", "digest", published.digest),
        Entry("place", "published at", published.place),
        Entry("files", "files sent", published.files, Format.COUNT),
        Entry("bytes", "sent", published.nbytes, Format.BYTES),
        Entry("compiling", "compiling took here", published.compiling, Format.SECONDS),
    )
    sections: list[Section] = [Facts("", "Published", facts)]
    if sealed:
        sections.append(members_table(published.members, home))
    show(Report(tuple(sections)), as_json=as_json)
