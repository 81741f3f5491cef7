"""How long compiling a bundle took, where it was made: what reusing it saves.

It is a remark of whoever publishes a bundle, signed by nobody, and never part of a manifest, which must be the same
wherever it is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graphopt import strict_json
from graphopt.errors import GraphoptError
from graphopt_governance.documents import Fields
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import make_private_folder

FORMAT = "graphopt/build-time/v1"
MAX_BYTES = 1 << 14
_MOST_PHASES = 64
_SECONDS = re.compile(r"[0-9]{1,9}\.[0-9]{6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class BuildTime:
    """Seconds by phase."""

    digest: str
    seconds: Mapping[str, float]

    @property
    def total(self) -> float:
        """Seconds in all."""
        return sum(self.seconds.values())

    def encode(self) -> bytes:
        """The file's content."""
        seconds = {name: f"{value:.6f}" for name, value in self.seconds.items()}
        return strict_json.encode({"format": FORMAT, "digest": self.digest, "seconds": seconds}, "the build time")

    @classmethod
    def decode(cls, data: bytes, digest: str) -> BuildTime | None:
        """Read what `encode` gives for this bundle; None for anything else, since nothing rests on it."""
        try:
            fields = Fields(strict_json.decode(data, "the build time"), FORMAT, {"digest", "seconds"}, "the build time")
            named = fields.bytes("digest", 32).hex()
            told = fields.named("seconds", _MOST_PHASES)
        except GraphoptError:
            return None
        if named != digest or not all(_SECONDS.fullmatch(value) for value in told.values()):
            return None
        return cls(digest, {name: float(value) for name, value in told.items()})


def keep_build_time(home: Home, digest: str, seconds: Mapping[str, float]) -> None:
    """Remember how long a bundle took; where the home cannot be written nothing is remembered."""
    try:
        make_private_folder(home.builds)
        (home.builds / f"{digest}.json").write_bytes(BuildTime(digest, seconds).encode())
    except OSError:
        return


def kept_build_time(home: Home, digest: str) -> BuildTime | None:
    """How long a bundle took here, where that is known."""
    path: Path = home.builds / f"{digest}.json"
    try:
        with path.open("rb") as file:
            return BuildTime.decode(file.read(MAX_BYTES), digest)
    except OSError:
        return None
