"""Sealed bundles: a bundle in one file that only chosen members of a federation can open, in the format of age.

What is encrypted is the tar file of `tar_stream`, whose first member says for whom and under which epoch it was sealed.
age keeps a file secret and whole; it does not say who made it.  So what was opened is held against its signed manifest,
and a gate is asked, before it gets its place.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graphopt import strict_json
from graphopt.bundle import Gate, Manifest, read_manifest, save_manifest
from graphopt.bundle.place import taking_place
from graphopt.bundle.transfer import PIECE
from graphopt.errors import BundleError
from graphopt.files import FileError, open_file
from graphopt.private import PrivateFolder
from graphopt_governance.chains.chain import Chain
from graphopt_governance.documents import Fields
from graphopt_governance.errors import DocumentError, SealingError
from graphopt_governance.keys.age import library
from graphopt_governance.keys.sealing_key import SealingKey, is_usable, recipient_text
from graphopt_governance.protocol.action import Domain, Right
from graphopt_governance.protocol.contract import Member
from graphopt_governance.share.tar_stream import NOTE_NAME, PieceReader, Unpacker, tar_of

FORMAT = "graphopt/sealed/v1"
_MAX_HEADER = 1 << 16
"""Some 100 bytes a member; age itself may add a stanza of its own to confuse who counts."""
_NOTE_FIELDS = {"digest", "chain", "contract", "epoch", "members"}


@dataclass(frozen=True, slots=True)
class SealNote:
    """What a sealed file says of itself inside: its bundle's digest, and for whom it was sealed under which rules."""

    digest: str
    chain: int
    contract: str
    epoch: int
    members: tuple[int, ...]

    def is_of(self, domain: Domain) -> bool:
        """Whether it was sealed in the federation there."""
        return (self.chain, self.contract) == (domain.chain_id, "0x" + domain.contract.hex())

    def encode(self) -> bytes:
        """The content of `sealed.json`."""
        data = {
            "format": FORMAT,
            "digest": self.digest,
            "chain": str(self.chain),
            "contract": self.contract.removeprefix("0x"),
            "epoch": str(self.epoch),
            "members": [str(number) for number in self.members],
        }
        return strict_json.encode(data, NOTE_NAME)

    @classmethod
    def decode(cls, data: bytes) -> SealNote:
        """Read what `encode` gives; BundleError or DocumentError for anything else."""
        fields = Fields(strict_json.decode(data, NOTE_NAME), FORMAT, _NOTE_FIELDS, NOTE_NAME)
        members = fields.texts("members", 32)
        if not all(text.isascii() and text.isdigit() and str(int(text)) == text for text in members):
            fields.refuse("its members are not numbers in decimal")
        return cls(
            fields.bytes("digest", 32).hex(),
            fields.number("chain"),
            "0x" + fields.bytes("contract", 20).hex(),
            fields.number("epoch"),
            tuple(map(int, members)),
        )


@dataclass(frozen=True, slots=True)
class Sealed:
    """A bundle was sealed: for which members, and why not for the others who may decrypt."""

    file: str
    digest: str
    epoch: int
    members: tuple[int, ...]
    left_out: tuple[str, ...]
    nbytes: int

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Opened:
    """A sealed bundle was opened: when it was sealed, and what to know about that (`remark`, "" for nothing)."""

    bundle: str
    digest: str
    epoch: int
    members: tuple[int, ...]
    remark: str
    here: bool
    """Whether it was sealed in the federation of this home, whose members these numbers are."""

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


def readers(members: Sequence[Member], to: Sequence[int] = ()) -> tuple[list[Member], list[str]]:
    """The members to seal for, and a sentence for each one with the right to decrypt who cannot be sealed for.

    `to`: these numbers alone; SealingError when one of them is no member, may not decrypt, or has no usable key.
    """
    chosen, left_out = list[Member](), list[str]()
    for number in sorted(set(to) - {member.number for member in members}):
        raise SealingError(f"there is no member {number} in the federation")
    for member in members:
        if to and member.number not in to:
            continue
        obstacle = _obstacle(member)
        if obstacle and to:
            raise SealingError(f"it cannot be sealed for member {member.number}, who {obstacle}")
        if not obstacle:
            chosen.append(member)
        elif Right.DECRYPT in member.rights:
            left_out.append(f"member {member.number} {obstacle}")
    if not chosen:
        raise SealingError("no member with the right to decrypt has a sealing key")
    return chosen, left_out


def seal(bundle: Path, file: Path, chain: Chain, to: Sequence[int] = ()) -> Sealed:
    """Encrypt the bundle at `bundle` into `file`, to all members now who may decrypt, or to those in `to`.

    AlteredError, and no file, when the bundle is not whole.  Whoever seals needs no key.
    """
    manifest = read_manifest(bundle)
    state = chain.snapshot().state
    chosen, left_out = readers(state.members(), to)
    numbers = tuple(member.number for member in chosen)
    domain = chain.domain
    note = SealNote(
        manifest.digest.hex(), domain.chain_id, "0x" + domain.contract.hex(), state.number("epoch"), numbers
    )
    age = library()
    recipients = [age.x25519.Recipient.from_str(recipient_text(member.sealing)) for member in chosen]
    plain = PieceReader(tar_of(bundle, manifest, note.encode()))
    _check_output(file)
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.absolute().parent)
    try:
        with os.fdopen(handle, "wb") as out:
            age.encrypt_io(plain, out, recipients)
            out.flush()
            os.fsync(out.fileno())
            nbytes = out.tell()
        Path(temporary).chmod(0o644)
        os.replace(temporary, file)  # noqa: PTH105 - the pair of paths reads better
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        if plain.error is not None:
            # pyrage gives its text alone
            raise plain.error from None
        raise
    return Sealed(str(file), note.digest, note.epoch, numbers, tuple(left_out), nbytes)


def open_sealed(
    file: Path, bundle: Path, keys: Sequence[SealingKey], gate: Gate | None, chain: Chain | None = None
) -> Opened:
    """Decrypt `file` into a bundle at `bundle`, which appears when every byte was checked, or not at all.

    `gate` is asked about the manifest before anything is written; RefusedError when it does not admit it.  SealingError
    when none of `keys` opens the file or it was altered, BundleError when what is in it is no whole bundle.
    """
    # whoever may not open the sealed file shall not read the open one
    with taking_place(bundle, private=True) as folder:
        note = _unseal_file(folder, file, keys, gate)
    here = chain is not None and note.is_of(chain.domain)
    remark = "" if chain is None else _remark(note, chain.domain, chain.snapshot().state.number("epoch"))
    return Opened(str(bundle), note.digest, note.epoch, note.members, remark, here)


def seal_again(file: Path, output: Path, keys: Sequence[SealingKey], chain: Chain, to: Sequence[int] = ()) -> Sealed:
    """Open a sealed file and seal its bundle for today's members; the plain bundle is gone again when this returns."""
    _check_output(output)
    with PrivateFolder(f".{output.name}", output.absolute().parent) as private:
        folder = private / "bundle"
        folder.mkdir(mode=0o700)
        _unseal_file(folder, file, keys, None)
        return seal(folder, output, chain, to)


def unseal(
    pieces: Iterable[bytes], name: str, folder: Path, keys: Sequence[SealingKey], gate: Gate | None
) -> tuple[SealNote, Manifest]:
    """Decrypt what comes in `pieces`, called `name`, into a bundle in the private `folder`; errors as `open_sealed`.

    No more is written than the manifest allows, however much comes.
    """

    def admit(note: bytes, manifest: Manifest) -> None:
        if SealNote.decode(note).digest != manifest.digest.hex():
            raise BundleError(f"{NOTE_NAME} is about another bundle")
        if gate is not None:
            gate.admit(manifest)

    age = library()
    sealed = PieceReader(_with_a_short_header(pieces, name))
    unpacker = Unpacker(folder, admit)
    try:
        age.decrypt_io(sealed, unpacker, [key.identity for key in keys])
        note, manifest = unpacker.finish()
    except (BundleError, DocumentError) as error:
        raise SealingError(f"{name} holds no whole bundle: {error}") from error
    except (age.DecryptError, OSError) as error:
        if sealed.error is not None:
            # pyrage gives its text alone
            raise sealed.error from None
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if "No matching keys" in str(error):
            raise SealingError(f"{name} was not sealed for the key {keys[0].recipient_text}") from error
        raise SealingError(f"{name} is no sealed bundle, or was altered or cut short") from error
    finally:
        unpacker.close()
    save_manifest(folder, manifest)
    return SealNote.decode(note), manifest


def _with_a_short_header(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The same bytes; SealingError for a header that is longer than one for all members of the largest federation.

    age reads a header anew for each stanza in it: with one of 1.5 MB that takes a minute, and so on with the square.
    """
    coming, head = iter(pieces), b""
    for piece in coming:
        head += piece
        if b"\n--- " in head[:_MAX_HEADER]:
            break
        if len(head) >= _MAX_HEADER:
            raise SealingError(f"{name} is no sealed bundle: its header does not end within {_MAX_HEADER} bytes")
    yield head
    yield from coming


def _unseal_file(folder: Path, file: Path, keys: Sequence[SealingKey], gate: Gate | None) -> SealNote:
    try:
        opened = open_file(file)
    except FileNotFoundError:
        raise SealingError(f"{file} is no sealed bundle: there is no such file") from None
    except FileError as error:
        raise SealingError(f"{file} is no sealed bundle: it {error.problem}") from None
    with opened:
        return unseal(iter(lambda: opened.read(PIECE), b""), str(file), folder, keys, gate)[0]


def _check_output(file: Path) -> None:
    if not file.absolute().parent.is_dir():
        raise SealingError(f"cannot write {file}: there is no folder {file.absolute().parent}")
    if file.is_dir():
        raise SealingError(f"cannot write {file}: it is a folder")


def _obstacle(member: Member) -> str:
    if Right.DECRYPT not in member.rights:
        return "may not decrypt"
    if member.sealing == bytes(32):
        return "has no sealing key"
    return "" if is_usable(member.sealing) else "has a sealing key that protects nothing"


def _remark(note: SealNote, domain: Domain, epoch: int) -> str:
    if not note.is_of(domain):
        return f"it was sealed in another federation ({note.contract} on chain {note.chain})"
    if note.epoch < epoch:
        return (
            f"it was sealed under epoch {note.epoch}, now is epoch {epoch}: members who have left since can open it;"
            " seal it again for those of today"
        )
    return ""
