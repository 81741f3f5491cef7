"""`graphopt sign`: put the owner's signature under a bundle's manifest."""

from __future__ import annotations

from graphopt.cli.options import AsJson, BundlePath
from graphopt.cli.progress import step


def sign(bundle: BundlePath, as_json: AsJson = False) -> None:
    """Sign a bundle's manifest.

    Every file is checked against the manifest first, which is then signed with the P-256 key of this machine's owner.
    The key is made on first use, in $GRAPHOPT_HOME or ~/.local/share/graphopt, readable by its owner alone. The digest
    does not change by signing; signing again replaces the signature.

    \b
    Example:
      graphopt sign model.bundle
    """
    from graphopt.cli.passphrase import prompted
    from graphopt.report import Entry, Facts, Report, show
    from graphopt_governance import actions

    with step(f"signing {bundle}"):
        signed = actions.sign(bundle, passphrase=prompted())
    facts = (
        Entry("digest", "digest", signed.digest),
        Entry("key", "signed by the key", signed.key),
        Entry("key_file", "kept in", signed.key_file),
    )
    show(Report((Facts("", "Signed", facts),)), as_json=as_json)
