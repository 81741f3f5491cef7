"""What the command line does with a bundle: sign, anchor, verify, revoke.  Each returns data with `to_json`.

Keys and the ledger are made on first use, in the folder that `Home.default()` names.  Importing this loads little; what
is heavy is imported where it is needed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from graphopt.bundle import Manifest, check_files, read_manifest, save_manifest
from graphopt.errors import RefusedError
from graphopt_governance.chains.floors import Floors
from graphopt_governance.chains.opening import deploy, open_chain
from graphopt_governance.errors import ChainError
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import Passphrase, passphrase_from_environment
from graphopt_governance.protocol.subject import build_key, digest_of, reason_bytes

if TYPE_CHECKING:
    from graphopt_governance.chains.chain import Chain, Receipt
    from graphopt_governance.exchange.ballot import Ask
    from graphopt_governance.protocol.action import Action
    from graphopt_governance.verdict.verify import Verdict

_DEADLINE_SECONDS = 3600


def _unasked(lines: Sequence[str]) -> None:
    """Whoever calls from Python has decided."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A bundle was signed: its digest, and the key (SHA-256 of the public key's PEM) that signed."""

    digest: str
    key: str
    key_file: str

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Anchored:
    """A bundle is on record.  `already`: it was before this call.  `block_time` in seconds since the epoch.

    `ledger`: what that rests on, in words.
    """

    digest: str
    block: int
    block_time: int
    version: int
    already: bool
    chain: int
    contract: str
    ledger: str

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A bundle was revoked, or suspended by one member in an emergency."""

    digest: str
    block: int
    block_time: int
    reason: str
    emergency: bool

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


def sign(bundle: str | Path, home: Home | None = None, passphrase: Passphrase = passphrase_from_environment) -> Signed:
    """Sign the manifest of the bundle at `bundle`, whose files are checked first.  The digest does not change."""
    from graphopt_governance.keys.signing_key import load_signing_key

    home = home or Home.default()
    manifest = read_manifest(bundle)
    check_files(bundle, manifest)
    if home.next_keys.exists():
        # what is signed with keys that were given up is nobody's signature
        open_chain(home)
    key = load_signing_key(home.signing_key, passphrase)
    save_manifest(bundle, manifest.signed(key.sign(manifest.pre_authentication)))
    return Signed(manifest.digest.hex(), key.hint.hex(), str(home.signing_key))


def anchor(
    bundle: str | Path,
    model: str | None = None,
    *,
    expires: int = 0,
    home: Home | None = None,
    passphrase: Passphrase = passphrase_from_environment,
    ask: Ask = _unasked,
) -> Anchored:
    """Put the approval of a signed bundle on record, in the federation of `home`.

    The first use on a chain makes a federation whose one member is the owner of the keys in `home`.  With `model`, the
    bundle becomes the next version of the model of that name and supersedes the one before; without, it stands for
    itself.
    `expires`: seconds since the epoch, 0 for never.  `ask` is shown what is signed first.  RefusedError when the bundle
    must not be approved, or one signature is not enough here.
    """
    from graphopt_governance.exchange.proposal import check_model_name
    from graphopt_governance.protocol.action import Action, Kind, model_id
    from graphopt_governance.protocol.contract import Status
    from graphopt_governance.verdict.verify import verify_bundle

    home = home or Home.default()
    if model is not None:
        check_model_name(model)
    manifest = read_manifest(bundle)
    chain = open_chain(home, passphrase)
    if chain is None:
        Floors(home.proofs).require_none()
        # for a bundle that cannot be anchored no federation is founded, and no key made
        _refuse_unfit(verify_bundle(bundle, None))
        chain = _found(home, passphrase, ask)
    chain.settle()
    _refuse_unfit(verify_bundle(bundle, chain))
    state = chain.snapshot().state
    record = state.record(manifest.digest)
    if record.status is Status.APPROVED:
        return _anchored(manifest, chain, record.version, already=True)
    if (quorum := state.number("quorum")) > 1:
        raise RefusedError(f"this federation approves with {quorum} signatures: propose the bundle (graphopt propose)")
    name = manifest.digest[:20] if model is None else model_id(model)
    version = state.versions(name)[1] + 1
    action = Action(
        Kind.ANCHOR,
        subject=manifest.digest,
        name=name,
        amount=version,
        expires=expires,
        evidence=build_key(manifest.predicate),
        nonce=record.nonce,
    )

    def decoded(lines: Sequence[str]) -> None:
        from graphopt_governance.decide.review import record_lines
        from graphopt_governance.exchange.names import Names

        named = f"  model: {'none, it stands for itself' if model is None else model}"
        ask([lines[0], named, *record_lines(manifest, chain.snapshot(), Names.of(home)), *lines[1:]])

    _execute(action, chain, home, passphrase, "anchoring", decoded)
    if model is not None:
        from graphopt_governance.exchange.names import remember_model

        remember_model(home, model)
    return _anchored(manifest, chain, version, already=False)


def verify(
    bundle: str | Path,
    home: Home | None = None,
    *,
    policy: Path | None = None,
    offline: bool = False,
    max_age: float | None = None,
    proof: Path | None = None,
    checkpoint: bytes | None = None,
) -> Verdict:
    """May the bundle at `bundle` run?  Needs no key; what the chain proved is kept in the home.

    `policy` is a file to obey instead of the home's.  `max_age`: for how many seconds a proof that was kept may stand
    in for a chain that does not answer, or, with `offline`, is not asked.  `proof` is a file from somebody else, to
    judge from instead of a chain; it counts only under the block whose hash is `checkpoint` (32 bytes).
    """
    from graphopt_governance.verdict.judging import Evidence, Judge
    from graphopt_governance.verdict.policy import Policy

    home = home or Home.default()
    if (proof is None) != (checkpoint is None):
        raise ChainError(
            "a proof from somebody else needs the hash of a block that you know to be the chain's, and vice versa"
        )
    evidence = None if proof is None or checkpoint is None else Evidence(proof, checkpoint)
    return Judge(
        home,
        Policy.of(home, policy),
        open_chain=lambda home: open_chain(home),
        offline=offline,
        max_age=max_age,
        evidence=evidence,
    ).verify(bundle)


def revoke(
    bundle: str | Path,
    reason: str = "",
    *,
    emergency: bool = False,
    home: Home | None = None,
    passphrase: Passphrase = passphrase_from_environment,
    ask: Ask = _unasked,
) -> Withdrawn:
    """Withdraw the bundle at `bundle`, or the digest given in hexadecimal; its files need not be whole any more.

    `reason` goes on the chain word for word (at most 32 bytes).  `emergency`: one member's own decision, which a quorum
    can undo.
    """
    from graphopt_governance.protocol.action import Action, Kind

    home = home or Home.default()
    evidence = reason_bytes(reason)
    digest = digest_of(bundle)
    chain = open_chain(home, passphrase)
    if chain is None:
        Floors(home.proofs).require_none()
        raise RefusedError("there is nothing to revoke: no federation here has approved anything")
    chain.settle()
    action = Action(
        Kind.SUSPEND if emergency else Kind.REVOKE,
        subject=digest,
        evidence=evidence,
        nonce=chain.snapshot().state.record(digest).nonce,
    )
    receipt = _execute(action, chain, home, passphrase, "the revocation", ask)
    return Withdrawn(digest.hex(), receipt.block, receipt.time, reason, emergency)


def public_key(home: Home | None = None, passphrase: Passphrase = passphrase_from_environment) -> str:
    """The public half of the key that signs manifests, in PEM, as `model_signing verify key --public_key` reads it."""
    from graphopt_governance.keys.signing_key import load_signing_key

    return load_signing_key((home or Home.default()).signing_key, passphrase, make=False).public_pem.decode()


def _refuse_unfit(verdict: Verdict) -> None:
    """RefusedError when something is wrong with a bundle that no approval mends."""
    from graphopt_governance.verdict.verify import Code

    for reason in verdict.reasons:
        if reason.code not in (Code.NOT_ANCHORED, Code.EXPIRED, Code.SUPERSEDED):
            raise RefusedError(f"not anchored: {reason.sentence}")


def _found(home: Home, passphrase: Passphrase, ask: Ask) -> Chain:
    from graphopt_governance.chains.ledger import Ledger
    from graphopt_governance.decide.governing import member_card

    founders = [member_card(home, passphrase=passphrase)]
    if not home.endpoints:
        # another process may have made it at the same moment, with the same keys
        return Ledger.create(home.ledger, founders).remembering(Floors(home.proofs))
    # on the embedded chain this costs nothing and signs nothing
    ask(
        [
            "found a federation whose only member you are, and deploy its contract",
            f"  on the chain of: {', '.join(str(urlsplit(url).hostname) for url in home.endpoints)}",
            f"  paid for by your member key's account: 0x{founders[0].account.hex()}",
        ]
    )
    return deploy(home, founders, 1, 0, passphrase)


def _execute(action: Action, chain: Chain, home: Home, passphrase: Passphrase, what: str, ask: Ask) -> Receipt:
    from graphopt_governance.exchange.ballot import Ballot
    from graphopt_governance.keys.member_key import load_member_key
    from graphopt_governance.protocol.contract import execution

    snapshot = chain.snapshot()
    deadline = max(int(time.time()), snapshot.time) + _DEADLINE_SECONDS
    action = replace(action, epoch=snapshot.state.number("epoch"), deadline=deadline)
    key = load_member_key(home.member_key, passphrase, make=False)
    ask(Ballot(chain.domain, action).describe())
    return chain.submit(execution(action, [key.sign(action.identity(chain.domain))]), what)


def _anchored(manifest: Manifest, chain: Chain, version: int, *, already: bool) -> Anchored:
    events = chain.events("Anchored", manifest.digest)
    if not events:
        raise ChainError("the bundle is on record, but the chain's index does not say since when")
    event = events[-1]
    contract = "0x" + chain.domain.contract.hex()
    return Anchored(
        manifest.digest.hex(), event.block, event.time, version, already, chain.domain.chain_id, contract, chain.basis
    )
