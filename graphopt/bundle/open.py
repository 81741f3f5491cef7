"""From a bundle on disk to something that runs: the gate is asked, every byte is checked, then code is loaded.

Needs numpy and ctypes alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphopt.bundle.artifact import MODEL, PROGRAM, WEIGHTS, Artifact, Content, library_name
from graphopt.bundle.gate import Gate, WatchingGate
from graphopt.bundle.manifest import open_verified, read_manifest
from graphopt.bundle.statement import Manifest
from graphopt.errors import BundleError
from graphopt.files import read_file
from graphopt.program import Program, decode
from graphopt.program.decode import MAX_BYTES
from graphopt.runtime.compiled import Compiled
from graphopt.runtime.native import Kernels
from graphopt.runtime.weights import Weights
from graphopt_kernels.errors import LoadError
from graphopt_kernels.load import Library, open_library
from graphopt_kernels.targets import host_targets


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a bundle says of itself, as `Compiled.report` has it after loading."""

    target: str
    manifest: Manifest

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return {"target": self.target, "digest": self.manifest.digest.hex(), "build": dict(self.manifest.predicate)}


def open_bundle(
    path: str | Path, gate: Gate | None = None, threads: int | None = None, recheck: float | None = None
) -> Compiled:
    """The model in the bundle at `path`, ready to run.

    `recheck`: after how many seconds the gate is asked again, for as long as the model lives; from when it refuses on,
    so does every call, with RefusedError.  BundleError when the bundle is incomplete, altered, of another version or
    for other machines; RefusedError when the gate does not admit it.
    """
    if recheck is not None and (not isinstance(gate, WatchingGate) or not recheck > 0):
        raise ValueError("recheck is a number of seconds above 0, and needs a gate that can watch")
    manifest = read_manifest(path)
    if gate is not None:
        gate.admit(manifest)
    with open_verified(path, manifest) as verified:
        folder = verified.folder
        for name in (MODEL, PROGRAM, WEIGHTS):
            if not (folder / name).is_file():
                raise BundleError(f"{path} is no bundle of graphopt: it has no file {name!r}")
        image = decode(read_file(folder / PROGRAM, MAX_BYTES))
        weights = _mapped(folder / WEIGHTS)
        if weights.nbytes != image.nbytes:
            raise BundleError(f"the weights file has {weights.nbytes} bytes, the program needs {image.nbytes}")
        target = choose_target(image.targets)
        program = image.programs[image.targets[target]]
        files: dict[str, Content] = {record.name: _mapped(folder / record.name) for record in manifest.files}
        artifact = Artifact(files, manifest.predicate, manifest)
        compiled = Compiled(
            program,
            Weights(image.weights, weights),
            Kernels(_library(folder, target, program)),
            Loaded(target, manifest),
            threads or os.cpu_count() or 1,
            lambda place: artifact.save(place),
        )
        if isinstance(gate, WatchingGate):
            gate.watch(manifest, compiled, recheck)
        return compiled


def choose_target(targets: Mapping[str, object]) -> str:
    """The best of the targets that this machine can run; BundleError when there is none."""
    host = host_targets()
    for name in host:
        if name in targets:
            return name
    raise BundleError(f"the bundle is for {', '.join(sorted(targets))}; this machine runs {', '.join(host) or 'none'}")


def _library(folder: Path, target: str, program: Program) -> Library | None:
    for linked in (True, False):
        path = folder / library_name(target, linked=linked)
        if path.is_file():
            try:
                return open_library(path)
            except LoadError as error:
                raise BundleError(str(error)) from error
    if any(step.kernel is not None for step in program.walk()):
        raise BundleError(f"the bundle has no native code for {target}")
    return None


def _mapped(path: Path) -> np.ndarray:
    if path.stat().st_size == 0:
        return np.zeros(0, np.uint8)
    return np.memmap(path, np.uint8, "r")
