"""The bundle: its manifest, its integrity, and the question whether it may run."""

from graphopt.bundle.gate import Gate, Revocable, WatchingGate
from graphopt.bundle.manifest import (
    AlteredError,
    VerifiedBundle,
    check_files,
    open_plain,
    open_verified,
    read_manifest,
    read_recorded,
    save_manifest,
    write_manifest,
)
from graphopt.bundle.statement import MANIFEST_NAME, FileRecord, Manifest, Signature

__all__ = [
    "MANIFEST_NAME",
    "AlteredError",
    "FileRecord",
    "Gate",
    "Manifest",
    "Revocable",
    "Signature",
    "VerifiedBundle",
    "WatchingGate",
    "check_files",
    "open_plain",
    "open_verified",
    "read_manifest",
    "read_recorded",
    "save_manifest",
    "write_manifest",
]
