"""That a manifest is in a batch, as a file: which digest, under which commitment, at which place, with the path.

Whoever anchors a batch writes one for each manifest; others put them into their home (`inclusions/DIGEST.json`).  The
file is canonical JSON, read strictly, and nothing in it is trusted: the path is hashed up to the commitment, and what
that is worth, the chain says.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from graphopt import strict_json
from graphopt.errors import BundleError
from graphopt_governance.documents import read_file, write_document
from graphopt_governance.errors import DocumentError, InclusionError
from graphopt_governance.protocol.batch import MAX_PROOF, MAX_SIZE, Batch, Inclusion

FORMAT = "graphopt/inclusion/v1"
_MAX_BYTES = 1 << 14
_FIELDS = {"format", "digest", "batch", "index", "size", "path"}


@dataclass(frozen=True, slots=True)
class BatchInclusion:
    """The claim that manifest `digest` is under batch `commitment` (32 bytes each), and its proof."""

    digest: bytes
    commitment: bytes
    inclusion: Inclusion

    @property
    def holds(self) -> bool:
        """Whether the proof comes to the commitment; whether that is approved, the chain knows."""
        return self.inclusion.holds(self.digest, self.commitment)

    def to_json(self) -> dict[str, Any]:
        """The claim as data."""
        return {
            "format": FORMAT,
            "digest": self.digest.hex(),
            "batch": self.commitment.hex(),
            "index": self.inclusion.index,
            "size": self.inclusion.size,
            "path": [step.hex() for step in self.inclusion.path],
        }

    def save(self, folder: Path) -> Path:
        """Write it to `folder` under its digest's name, beside and renamed; the file's path."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = inclusion_file(folder, self.digest)
        write_document(path, self.to_json(), "the inclusion")
        return path

    @classmethod
    def load(cls, path: Path) -> BatchInclusion:
        """Read what `save` wrote; InclusionError for anything else."""
        try:
            data = read_file(path, "the inclusion", _MAX_BYTES)
            return cls.from_json(strict_json.decode(data, f"the inclusion {path}"))
        except (BundleError, DocumentError) as error:
            raise InclusionError(str(error)) from error

    @classmethod
    def from_json(cls, document: object) -> BatchInclusion:
        """Read what `to_json` gives; InclusionError for anything else."""
        if not isinstance(document, dict) or cast("dict[str, Any]", document).keys() != _FIELDS:
            _refuse("its fields are not those of an inclusion")
        fields = cast("dict[str, Any]", document)
        if fields["format"] != FORMAT:
            _refuse("it is of another format")
        path: object = fields["path"]
        if not isinstance(path, list) or len(cast("list[object]", path)) > MAX_PROOF:
            _refuse(f"its path is not a list of at most {MAX_PROOF} hashes")
        steps = tuple(_hash(step) for step in cast("list[object]", path))
        inclusion = Inclusion(_count(fields["index"]), _count(fields["size"]), steps)
        return cls(_hash(fields["digest"]), _hash(fields["batch"]), inclusion)


def inclusions_of(digests: Sequence[bytes]) -> list[BatchInclusion]:
    """The inclusion of each manifest of the batch that `digests` are, in their order."""
    batch = Batch(digests)
    return [BatchInclusion(digest, batch.commitment, batch.inclusion(at)) for at, digest in enumerate(digests)]


def inclusion_file(folder: Path, digest: bytes) -> Path:
    """Where the inclusion of a manifest is in a folder of them."""
    return folder / f"{digest.hex()}.json"


def find_inclusion(folder: Path, digest: bytes) -> BatchInclusion | None:
    """The inclusion of a manifest in `folder`, None when there is none; InclusionError for a file that is none."""
    path = inclusion_file(folder, digest)
    if not path.exists():
        return None
    found = BatchInclusion.load(path)
    if found.digest != digest:
        raise InclusionError(f"the inclusion {path} is for another bundle, {found.digest.hex()}")
    return found


def _hash(value: object) -> bytes:
    if not isinstance(value, str) or len(value) != 64 or set(value) - set("0123456789abcdef"):
        _refuse(f"{json.dumps(value)[:80]} is not a SHA-256 in lower-case hexadecimal")
    return bytes.fromhex(value)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SIZE:
        _refuse(f"{json.dumps(value)[:80]} is not a place in a batch")
    return value


def _refuse(what: str) -> NoReturn:
    raise InclusionError(f"this is no inclusion: {what}")
