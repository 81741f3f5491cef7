"""What the command line does to pass bundles between members: seal, open.  Each returns data with `to_json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graphopt.bundle import Gate
from graphopt_governance.chains.chain import Chain
from graphopt_governance.chains.opening import open_chain
from graphopt_governance.errors import SealingError
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import Passphrase, passphrase_from_environment
from graphopt_governance.keys.sealing_key import opening_keys
from graphopt_governance.share.sealing import Opened, Sealed, open_sealed, seal, seal_again


def seal_path(
    path: str | Path,
    output: str | Path,
    *,
    to: Sequence[int] = (),
    home: Home | None = None,
    passphrase: Passphrase = passphrase_from_environment,
) -> Sealed:
    """Seal a bundle, or a sealed file again, for the federation's members of today who may decrypt (or `to` alone).

    Sealing again needs this member's sealing key; sealing a bundle needs no key.  SealingError where there is no
    federation, or nobody to seal for.
    """
    home = home or Home.default()
    chain = _federation(home)
    if Path(path).is_file():
        return seal_again(Path(path), Path(output), opening_keys(home, passphrase), chain, to)
    return seal(Path(path), Path(output), chain, to)


def open_path(
    file: str | Path,
    bundle: str | Path,
    gate: Gate | None,
    *,
    home: Home | None = None,
    passphrase: Passphrase = passphrase_from_environment,
) -> Opened:
    """Open a sealed file with this member's key into a bundle at `bundle`; `gate` decides whether it may be there.

    Needs no federation where `gate` is None; then nobody says who made the bundle.
    """
    home = home or Home.default()
    return open_sealed(Path(file), Path(bundle), opening_keys(home, passphrase), gate, open_chain(home))


def _federation(home: Home) -> Chain:
    chain = open_chain(home)
    if chain is None:
        raise SealingError("there is no federation here to seal for")
    return chain
