"""Put an approved bundle where other members find it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graphopt import strict_json
from graphopt.bundle import Gate, check_files, read_manifest
from graphopt.private import PrivateFolder
from graphopt_governance.chains.opening import open_chain
from graphopt_governance.errors import SealingError
from graphopt_governance.exchange.inclusions import find_inclusion
from graphopt_governance.home import Home
from graphopt_governance.share.build_time import kept_build_time
from graphopt_governance.share.sealing import seal
from graphopt_governance.share.store import Store


@dataclass(frozen=True, slots=True)
class Published:
    """A bundle is in a store: where, and what had to be sent for that.  `members`: for whom, where it was sealed."""

    digest: str
    place: str
    files: int
    nbytes: int
    members: tuple[int, ...] = ()
    compiling: float | None = None
    """How many seconds compiling took here, which is told to others; None where that is not known."""

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


def publish(
    bundle: str | Path,
    store: Store,
    gate: Gate | None,
    *,
    sealed: bool = False,
    again: bool = False,
    home: Home | None = None,
) -> Published:
    """Check the bundle at `bundle`, ask `gate` about it, and put it into `store`; RefusedError when it is not admitted.

    `sealed`: in one file that only members who may decrypt can open.  `again`: send what seems to be there already.
    """
    home, bundle = home or Home.default(), Path(bundle)
    manifest = read_manifest(bundle)
    name = manifest.digest.hex()
    check_files(bundle, manifest)
    if gate is not None:
        gate.admit(manifest)
    if (inclusion := find_inclusion(home.inclusions, manifest.digest)) is not None:
        store.put_bytes(f"inclusions/{name}.json", strict_json.encode(inclusion.to_json(), "the inclusion"))
    took = kept_build_time(home, name)
    if took is not None:
        store.put_bytes(f"builds/{name}.json", took.encode())
    compiling = None if took is None else took.total
    if not sealed:
        put = store.put(bundle, manifest, again=again)
        return Published(name, put.place, put.files, put.nbytes, (), compiling)
    chain = open_chain(home)
    if chain is None:
        raise SealingError("there is no federation here to seal for")
    with PrivateFolder() as folder:
        made = seal(bundle, folder / "sealed.age", chain)
        put = store.put_file(f"sealed/{name}.age", Path(made.file))
    return Published(name, put.place, put.files, put.nbytes, made.members, compiling)
