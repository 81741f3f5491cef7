"""A proposal: a folder that goes from hand to hand until enough members have signed for what is in it.

    proposal.json   the model's name in clear; of a batch, the digests of its manifests in their order
    manifest.json   the signed manifest; of a batch, `manifests/DIGEST.json`
    ballot.json     the action that would approve it, and the signatures gathered so far
    source/         model.onnx and the files its tensors lie in, to rebuild from; may be left out
    inclusions/     of a batch, the proof for each manifest that it is in it

Whoever opens one may have it from anybody.  It is read strictly (exactly these files, no links, canonical JSON, sizes
bounded), and nothing in it is believed: `review` holds it against the chain, and a source is hashed while it is copied.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from graphopt import strict_json
from graphopt.bundle import MANIFEST_NAME, Manifest, open_plain, save_manifest
from graphopt.bundle.statement import MAX_ENVELOPE, check_name, parse_manifest
from graphopt.files import open_file
from graphopt.private import PrivateFolder
from graphopt_governance.documents import MAX_BYTES, Fields, write_document
from graphopt_governance.errors import ProposalError
from graphopt_governance.exchange.ballot import Ballot
from graphopt_governance.exchange.inclusions import BatchInclusion, inclusion_file, inclusions_of

FORMAT = "graphopt/proposal/v1"
BATCH_FORMAT = "graphopt/batch/v1"
NOTE, BALLOT, SOURCE, MANIFESTS, INCLUSIONS = "proposal.json", "ballot.json", "source", "manifests", "inclusions"
MODEL = "model.onnx"
MAX_NAME = 200
MAX_BATCH = 10_000
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal as its folder holds it; `model` is None for a batch, which has any number of manifests."""

    folder: Path
    model: str | None
    manifests: tuple[Manifest, ...]
    ballot: Ballot
    has_source: bool = False

    @property
    def manifest(self) -> Manifest:
        """The manifest of a proposal for one model."""
        (manifest,) = self.manifests
        return manifest

    @property
    def inclusions(self) -> list[BatchInclusion]:
        """Of a batch, the inclusion of each manifest; of a model, none."""
        return [] if self.model is not None else inclusions_of([manifest.digest for manifest in self.manifests])


def read_proposal(folder: Path) -> Proposal:
    """The proposal in `folder`; ProposalError, BallotError or BundleError for anything that is not of its form."""
    note: Any = strict_json.decode(_content(folder, NOTE, MAX_BYTES), f"{folder}/{NOTE}")
    ballot = Ballot.from_json(strict_json.decode(_content(folder, BALLOT, MAX_BYTES), f"{folder}/{BALLOT}"))
    if isinstance(note, dict) and cast("dict[str, Any]", note).get("format") == BATCH_FORMAT:
        return _read_batch(folder, note, ballot)
    fields = Fields(note, FORMAT, {"model"}, f"the proposal {folder}")
    model = fields.text("model", MAX_NAME)
    check_model_name(model)
    manifest = parse_manifest(_content(folder, MANIFEST_NAME, MAX_ENVELOPE))
    has_source = (folder / SOURCE).exists()
    expected = {NOTE, MANIFEST_NAME, BALLOT}
    if has_source:
        expected |= {f"{SOURCE}/{name}" for name in source_files(manifest)}
    _check_set(folder, expected)
    return Proposal(folder, model, (manifest,), ballot, has_source)


def is_proposal(path: Path) -> bool:
    """Whether `path` is the folder of a proposal, well formed or not."""
    return (path / NOTE).is_file()


@contextmanager
def new_proposal(path: Path) -> Generator[Path]:
    """A private folder beside `path` to write a proposal into, which takes that place when the block ends well.

    ProposalError, before the block begins, when something is there already: its signatures would be lost.
    """
    if path.exists() or path.is_symlink():
        raise ProposalError(f"{path} exists; remove it or choose another name")
    if not path.absolute().parent.is_dir():
        raise ProposalError(f"cannot write {path}: there is no folder {path.absolute().parent}")
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.absolute().parent))
    try:
        yield made
        made.chmod(0o755)
        made.rename(path)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def write_proposal(folder: Path, model: str, manifest: Manifest, ballot: Ballot, source: Path | None) -> Proposal:
    """Fill `folder` with a proposal; `source` is the model that the manifest was made from, None to leave it out."""
    check_model_name(model)
    if source is not None:
        for name, sha256 in source_files(manifest).items():
            here = source if name == MODEL else source.parent / name
            target = folder / SOURCE / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with open_file(here) as file, target.open("xb") as copy:
                _copy(file, copy, here, sha256)
    write_document(folder / NOTE, {"format": FORMAT, "model": model}, "the proposal")
    save_manifest(folder, manifest)
    ballot.save(folder / BALLOT)
    return Proposal(folder, model, (manifest,), ballot, source is not None)


def write_batch(folder: Path, manifests: Sequence[Manifest], ballot: Ballot) -> Proposal:
    """Fill `folder` with the proposal of a batch of `manifests`, in their order."""
    proposal = Proposal(folder, None, tuple(manifests), ballot)
    digests = [manifest.digest.hex() for manifest in manifests]
    write_document(folder / NOTE, {"format": BATCH_FORMAT, "manifests": digests}, "the proposal")
    (folder / MANIFESTS).mkdir()
    for manifest in manifests:
        (folder / MANIFESTS / f"{manifest.digest.hex()}.json").write_bytes(manifest.to_bytes())
    for inclusion in proposal.inclusions:
        inclusion.save(folder / INCLUSIONS)
    ballot.save(folder / BALLOT)
    return proposal


def check_model_name(model: str) -> None:
    """ProposalError unless `model` is a name that reads as what it is: printable, and blanks only between words."""
    if not 0 < len(model) <= MAX_NAME or not model.isprintable() or " ".join(model.split()) != model:
        raise ProposalError(
            f"a model's name is a line of 1 to {MAX_NAME} printable characters with single blanks only between them,"
            f" not {model[:300]!a}"
        )


def source_files(manifest: Manifest) -> Mapping[str, str]:
    """The files that a bundle was made from, by name in `source/`, each with its SHA-256, as its manifest records them.

    ProposalError when it records none, or names one that a proposal cannot hold.
    """
    source: object = manifest.predicate.get("source")
    try:
        fields = cast("dict[str, Any]", source)
        found = {MODEL: str(fields["sha256"])}
        for entry in fields.get("external", []):
            name = str(entry["name"])
            check_name(name)
            if name in found:
                raise ProposalError(f"two files of the source would be {SOURCE}/{name}")
            found[name] = str(entry["sha256"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ProposalError("the manifest does not record from which model the bundle was made") from error
    return found


@contextmanager
def private_source(proposal: Proposal) -> Generator[Path]:
    """The model of a proposal in a private copy, every byte of which was hashed as it was copied, to rebuild from.

    ProposalError when there is none, or it is not the one that the manifest names.
    """
    if not proposal.has_source:
        raise ProposalError(f"{proposal.folder} holds no source; say where the model is (--source)")
    with PrivateFolder() as private:
        for name, sha256 in source_files(proposal.manifest).items():
            target = private / name
            target.parent.mkdir(parents=True, exist_ok=True)
            path = proposal.folder / SOURCE / name
            with open_plain(proposal.folder, f"{SOURCE}/{name}") as file, target.open("xb") as copy:
                # read once before anything is written: a file of holes has any size, and would fill the disk
                _require(hashlib.file_digest(file, "sha256").hexdigest(), path, sha256)
                file.seek(0)
                _copy(file, copy, path, sha256)
        yield private / MODEL


def _read_batch(folder: Path, note: object, ballot: Ballot) -> Proposal:
    fields = Fields(note, BATCH_FORMAT, {"manifests"}, f"the proposal {folder}")
    digests = fields.each_bytes("manifests", 32, MAX_BATCH)
    if not digests or len(set(digests)) != len(digests):
        fields.refuse("it names no manifest, or one twice")
    names = [f"{digest.hex()}.json" for digest in digests]
    places = [f"{inside}/{name}" for inside in (MANIFESTS, INCLUSIONS) for name in names]
    _check_set(folder, {NOTE, BALLOT, *places})
    manifests: list[Manifest] = []
    for digest, name in zip(digests, names, strict=True):
        manifest = parse_manifest(_content(folder, f"{MANIFESTS}/{name}", MAX_ENVELOPE))
        if manifest.digest != digest:
            fields.refuse(f"{MANIFESTS}/{name} is another manifest, {manifest.digest.hex()}")
        manifests.append(manifest)
    proposal = Proposal(folder, None, tuple(manifests), ballot)
    for inclusion in proposal.inclusions:
        if BatchInclusion.load(inclusion_file(folder / INCLUSIONS, inclusion.digest)) != inclusion:
            fields.refuse(f"the inclusion of {inclusion.digest.hex()} is not that of this batch")
    return proposal


def _content(folder: Path, name: str, limit: int) -> bytes:
    if not folder.is_dir():
        raise ProposalError(f"{folder} is no proposal: there is no such folder")
    try:
        with open_plain(folder, name) as file:
            data = bytearray()
            while len(data) <= limit and (piece := file.read(limit + 1 - len(data))):
                data += piece
    except FileNotFoundError as error:
        raise ProposalError(f"{folder} is no proposal: it has no {name}") from error
    if len(data) > limit:
        raise ProposalError(f"{folder}/{name} has more than {limit} bytes")
    return bytes(data)


def _check_set(folder: Path, expected: set[str]) -> None:
    """ProposalError when `folder` holds anything else than these files; a folder counts by what is in it."""
    found: set[str] = set()
    todo = [""]
    while todo:
        inside = todo.pop()
        with os.scandir(folder / inside) as entries:
            for entry in entries:
                name = f"{inside}/{entry.name}" if inside else entry.name
                if not inside and entry.name.startswith(f".{BALLOT}-"):
                    continue  # what somebody left who was killed while he signed; nobody reads it
                if entry.is_dir(follow_symlinks=False):
                    if not any(wanted.startswith(f"{name}/") for wanted in expected):
                        raise ProposalError(f"{folder} holds {name!a}, which does not belong to a proposal")
                    todo.append(name)
                elif name not in expected or entry.is_symlink():
                    raise ProposalError(f"{folder} holds {name!a}, which does not belong to a proposal")
                else:
                    found.add(name)
    if missing := sorted(expected - found):
        raise ProposalError(f"{folder} lacks {missing[0]}")


def _copy(file: BinaryIO, copy: BinaryIO, path: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    while piece := file.read(_CHUNK):
        digest.update(piece)
        copy.write(piece)
    copy.flush()
    os.fsync(copy.fileno())
    _require(digest.hexdigest(), path, sha256)


def _require(found: str, path: Path, sha256: str) -> None:
    if found != sha256:
        raise ProposalError(
            f"{path} is not what the bundle was made from: its SHA-256 is {found}, the manifest says {sha256}"
        )
