"""`graphopt verify`: may this bundle run?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphopt.cli.failure import tell
from graphopt.cli.options import AsJson, ChainOption, MaxAgeOption, OfflineOption, PolicyOption, seconds
from graphopt.cli.progress import step
from graphopt.errors import InputError

if TYPE_CHECKING:
    from graphopt.report import Entry
    from graphopt_governance.verdict.verify import Verdict


def verify(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE", help="The bundle's folder, or with --signature any folder.", show_default=False
        ),
    ],
    chain: ChainOption = None,
    policy: PolicyOption = None,
    offline: OfflineOption = False,
    max_age: MaxAgeOption = None,
    proof: Annotated[
        Path | None,
        typer.Option("--proof", metavar="FILE", help="Judge from somebody else's proof.", show_default=False),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint", metavar="HASH", help="The hash of the block that --proof must be under.", show_default=False
        ),
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(
            "--signature", metavar="FILE", help="Only check this OpenSSF model signature.", show_default=False
        ),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option("--public-key", metavar="KEY.pem", help="The key that --signature is by.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a bundle may run, with every reason against it.

    Every byte is checked against the manifest, the signature against the federation's members, the digest against
    the chain, all of it against the policy. Nothing is executed, and no key is needed. What the chain proved is kept
    in the home: with --max-age it stands in for a chain that does not answer, and with --offline for one that is not
    asked.

    With --signature, no federation is asked: the folder's files are held against a signature as OpenSSF's
    model_signing makes them, by the key given.

    \b
    Exit codes:
      0 approved        2 there is nothing to judge
      10 altered       11 not signed      12 the signature does not hold
      13 signed by somebody unknown       14 not anchored
      15 revoked or suspended             16 expired      17 superseded
      18 what it would rest on is too old 19 against the policy

    \b
    Examples:
      graphopt verify model.bundle && graphopt run model.bundle --input request.npz
      graphopt verify model.bundle --offline --max-age 24h
      graphopt verify model.bundle --proof DIGEST.json --checkpoint 0x9f…
      graphopt verify folder --signature model.sig --public-key signer.pem
    """
    from graphopt_governance import actions
    from graphopt_governance.home import Home

    if (signature is None) != (public_key is None):
        raise InputError("--signature and --public-key go together: which signature, and by whom")
    if signature is not None and (proof or checkpoint or offline or max_age):
        raise InputError(
            "with --signature no federation is asked: leave out --proof, --checkpoint, --offline, --max-age"
        )
    with step(f"verifying {bundle}"):
        if signature is not None and public_key is not None:
            from graphopt_governance.verdict.openssf import verify_signature

            verdict = verify_signature(bundle, signature, public_key)
        else:
            verdict = actions.verify(
                bundle,
                Home.default(chain),
                policy=policy,
                offline=offline,
                max_age=seconds(max_age),
                proof=proof,
                checkpoint=None if checkpoint is None else _hash(checkpoint),
            )
    _show(verdict, as_json=as_json)
    if not verdict.approved:
        tell(f"refused: {verdict.sentence}")
    raise typer.Exit(verdict.exit_code)


def _show(verdict: Verdict, *, as_json: bool) -> None:
    from graphopt.report import Cell, Column, Entry, Facts, Report, Table, show

    facts: list[Entry] = [
        Entry("approved", "may run", verdict.approved),
        Entry("verdict", "verdict", verdict.sentence),
        Entry("digest", "digest", verdict.digest),
    ]
    facts += [_fact(key, value) for key, value in verdict.facts.items()]
    rows: list[tuple[Cell, ...]] = [(str(reason.code), reason.sentence) for reason in verdict.reasons]
    columns = (Column("code", "code"), Column("sentence", "reason"))
    show(
        Report((Facts("", "Verdict", tuple(facts)), Table("reasons", "Reasons against it", columns, tuple(rows)))),
        as_json=as_json,
    )


def _fact(key: str, value: Any) -> Entry:
    from graphopt.report import Entry, Format

    if key in ("as_of_time", "anchored_time", "expires"):
        return Entry(key, key.replace("_", " "), value or None, Format.TIME)
    if key == "proof_age":
        return Entry(key, "seconds since that was proven", value, Format.COUNT)
    return Entry(key, key.replace("_", " "), str(value) if key == "chain" else value)


def _hash(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise InputError(f"{text[:80]!a} is no hash of a block: 0x and 64 hexadecimal digits")
    return digest
