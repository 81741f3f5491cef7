"""What a gate asks for beyond approval: `policy.toml`, written by people, read strictly.

A key that is not known is refused, with the nearest one that is: a policy that is misspelt must not be one that is not
there.  Nothing here admits what the federation has not approved.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

from graphopt_governance.errors import PolicyError
from graphopt_governance.home import Home
from graphopt_governance.keys.own_files import read_own_file
from graphopt_governance.protocol.action import Domain

VARIABLE = "GRAPHOPT_POLICY"
_MAX_BYTES = 1 << 20
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LEVELS = ("exact", "reassociate", "approximate")


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy; what is None or empty asks for nothing.  Ages and intervals are in seconds.

    `source`: the file it was read from.  `signers`: members by number, or signing keys (SHA-256 of the PEM, in hex).
    """

    source: Path | None = None
    chain: int | None = None
    contract: bytes | None = None
    max_age: float | None = None
    max_block_age: float | None = None
    offline: bool = True
    recheck: float | None = None
    levels: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    checked: bool = False
    worst_difference: float | None = None
    models: tuple[str, ...] | None = None
    signers: tuple[int | str, ...] | None = field(default=None)
    rebuild: bool = False

    @property
    def domain(self) -> Domain | None:
        """The one federation that is meant, where both chain and contract are named."""
        if self.chain is None or self.contract is None:
            return None
        return Domain(self.chain, self.contract)

    @classmethod
    def of(cls, home: Home, named: Path | None = None) -> Policy:
        """The policy at `named`, else where $GRAPHOPT_POLICY says, else that of `home`; one that asks nothing, else."""
        variable = os.environ.get(VARIABLE)
        path = named or (Path(variable) if variable else None)
        if path is None:
            content = _content(home.policy)
            return cls() if content is None else cls._parse(home.policy, content)
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> Policy:
        """Read a policy's file; PolicyError, in one sentence, for one that cannot be read or says what is not known.

        One that others than this account and root could have written is not read: see `own_files`.
        """
        content = _content(path)
        if content is None:
            raise PolicyError(f"the policy {path} cannot be read: {os.strerror(errno.ENOENT)}")
        return cls._parse(path, content)

    @classmethod
    def _parse(cls, path: Path, content: bytes) -> Policy:
        try:
            document = tomllib.loads(content.decode())
        except (ValueError, RecursionError) as error:
            # tomllib's errors and UnicodeDecodeError are ValueErrors
            raise PolicyError(f"the policy {path} is not TOML: {error}") from error
        values: dict[str, Any] = {}
        for name, keys in document.items():
            known = KEYS.get(name)
            if known is None:
                _unknown(path, name, "section", list(KEYS))
            if not isinstance(keys, dict):
                raise PolicyError(f"the policy {path}: {name} is a section, [{name}]")
            for key, value in cast("dict[str, Any]", keys).items():
                reader = known.get(key)
                if reader is None:
                    _unknown(path, key, f"key in [{name}]", list(known))
                try:
                    values[key] = reader(value)
                except ValueError as error:
                    raise PolicyError(f"the policy {path}: {key} in [{name}] is {error}") from error
        return cls(source=path, **values)


def _content(path: Path) -> bytes | None:
    return read_own_file(path, "the policy", _MAX_BYTES, PolicyError)


def seconds(text: object) -> float:
    """The seconds of a duration, a number or one with a unit: `90s`, `30m`, `24h`, `7d`, `2w`; ValueError else."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        # a whole number may be larger than any float
        amount, unit = float(text) if 0 <= text < 1e10 else -1.0, 1
    else:
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhdw]?)", text, re.ASCII) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"{_shown(text)}, not a duration such as 90s, 30m, 24h or 7d")
        amount, unit = float(match[1]), _UNITS.get(match[2], 1)
    if not 0 <= amount * unit < 1e10:
        raise ValueError(f"{_shown(text)}, not a duration such as 90s, 30m, 24h or 7d")
    return amount * unit


def span(length: float) -> str:
    """A duration for people: 45 s, 30 min, 24 h, 3 days."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if length >= 2 * size or (length >= size and unit != "days"):
            return f"{length / size:.3g} {unit}"
    return f"{length:.3g} s"


def _unknown(path: Path, name: str, kind: str, known: list[str]) -> NoReturn:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    raise PolicyError(f"the policy {path} has the unknown {kind} {name[:80]!a}; {hint}")


def _shown(value: object) -> str:
    return ascii(value)[:80]


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)}, not true or false")
    return value


def _interval(value: object) -> float:
    length = seconds(value)
    if not length:
        raise ValueError("0, and asking again takes some time: leave it out for never")
    return length


def _chain(value: object) -> int:
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not re.fullmatch(r"[1-9]\d{0,77}", text, re.ASCII):
        raise ValueError(f"{_shown(value)}, not a chain's id")
    return int(text)


def _contract(value: object) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"(0x)?[0-9a-fA-F]{40}", value, re.ASCII):
        raise ValueError(f"{_shown(value)}, not a contract's address (0x and 40 hexadecimal digits)")
    return bytes.fromhex(value.removeprefix("0x"))


def _amount(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e300:
        raise ValueError(f"{_shown(value)}, not a number from 0 on")
    return float(value)


def _texts(value: object, allowed: tuple[str, ...] = ()) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else None
    if items is None or not all(isinstance(item, str) and item for item in items):
        raise ValueError(f"{_shown(value)}, not a list of names")
    names = cast("list[str]", items)
    if allowed and (wrong := [name for name in names if name not in allowed]):
        raise ValueError(f"{_shown(wrong[0])}, not one of {', '.join(allowed)}")
    return tuple(names)


def _signers(value: object) -> tuple[int | str, ...]:
    found: list[int | str] = []
    for item in cast("list[object]", value) if isinstance(value, list) else [None]:
        if (type(item) is int and item > 0) or (isinstance(item, str) and re.fullmatch(r"[0-9a-f]{64}", item)):
            found.append(item)
        else:
            raise ValueError(
                f"{_shown(value)}, not a list of members' numbers and signing keys (64 hexadecimal digits)"
            )
    return tuple(found)


KEYS: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "federation": {"chain": _chain, "contract": _contract},
    "basis": {"max_age": seconds, "max_block_age": seconds, "offline": _switch, "recheck": _interval},
    "bundle": {
        "levels": lambda value: _texts(value, _LEVELS),
        "targets": _texts,
        "checked": _switch,
        "worst_difference": _amount,
        "models": _texts,
        "signers": _signers,
    },
    "approve": {"rebuild": _switch},
}
