"""What an action is about, as the 32 bytes that go on the chain."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rfc8785

from graphopt.bundle import read_manifest
from graphopt.errors import RefusedError

_MAX_REASON = 32


def digest_of(bundle: str | Path) -> bytes:
    """The digest of the bundle at a path, or the one that is given in hexadecimal."""
    text = str(bundle).removeprefix("0x")
    if len(text) == 64 and not Path(bundle).exists():
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    return read_manifest(bundle).digest


def build_key(predicate: Mapping[str, Any]) -> bytes:
    """What finds a bundle that somebody built before (32 bytes): the hash of source, options and targets."""
    wanted = {name: predicate[name] for name in ("source", "options", "targets") if name in predicate}
    return hashlib.sha256(rfc8785.dumps(wanted)).digest()


def reason_bytes(reason: str) -> bytes:
    """A reason as it goes on the chain (32 bytes); RefusedError for one that is too long."""
    evidence = reason.encode()
    if len(evidence) > _MAX_REASON:
        raise RefusedError(f"the reason has {len(evidence)} bytes; it goes on the chain and may have {_MAX_REASON}")
    return evidence.ljust(_MAX_REASON, b"\0")
