"""Compile a bundle's source again and compare: what whoever is asked to approve it does before signing.

A rebuild must come to the same bytes in every file and to the same record, and so to the same digest.  Only the
evidence is a measurement: on another processor its last digits may differ.  So the check is made again here, must pass,
and the digest is computed with the evidence on record.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

from graphopt.bundle import Manifest, read_manifest
from graphopt.bundle.statement import new_manifest
from graphopt.errors import CompileError, GraphoptError
from graphopt.private import PrivateFolder
from graphopt_kernels.link import linker

EVIDENCE = "evidence"


class RebuildError(GraphoptError):
    """A bundle's record cannot be rebuilt from, or rebuilding gave something else."""


class RebuildDiffersError(RebuildError):
    """Rebuilding gave something else than what is on record; `where` names the first file or field that differs."""

    def __init__(self, where: str, sentence: str) -> None:
        super().__init__(f"the rebuild differs: {sentence}")
        self.where = where


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A bundle was compiled again and is the same: its digest, and the evidence on record and of this machine."""

    digest: str
    recorded: Mapping[str, Any]
    own: Mapping[str, Any]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return {"digest": self.digest, "recorded": dict(self.recorded), "own": dict(self.own), "seconds": self.seconds}


def rebuild(manifest: Manifest, source: str | Path, *, progress: Callable[[str], object] | None = None) -> Rebuilt:
    """Compile `source` with the options and targets that `manifest` records, and compare every file and the record.

    RebuildDiffersError names the first file or field that differs; RebuildError when the record lacks what it takes;
    CompileError when the model does not pass its check here.  Nothing is left behind.
    """
    from graphopt.compiler.compile_model import compile_model, source_digest, tool_versions
    from graphopt.frontend import Source

    build = manifest.predicate
    options, targets = _recipe(build)
    model = Source.read(source)
    # what is cheap to know comes first: nobody should wait for a compilation to hear that numba is another one
    _compare("source", build.get("source"), source_digest(model), "; this is not the model it was made from")
    tools = build.get("tools")
    if not isinstance(tools, dict):
        raise RebuildError("the manifest does not record which tools made it, so it cannot be rebuilt from")
    recorded_tools = {name: tools[name] for name in cast("dict[str, Any]", tools) if name != "linked"}
    _compare("tools", recorded_tools, tool_versions(), "; rebuild with the recorded versions installed")
    try:
        compiled = compile_model(
            model,
            targets=targets,
            level=options["level"],
            skip=options["skip"],
            check=True,
            # a cache holds what somebody else's compilation came to, and this one is there to see for itself
            cached=False,
            progress=progress,
        )
    except CompileError as error:
        raise CompileError(f"the rebuild failed, so nothing speaks for this bundle: {error}") from error
    if progress is not None:
        progress("comparing with the manifest")
    with PrivateFolder() as folder:
        compiled.save(folder / "bundle")
        again = read_manifest(folder / "bundle")
    _compare_files(manifest, again)
    # the check is made here whether or not it was made there; that it was is what the record says
    mine = dict(again.predicate) | {"options": {**again.predicate["options"], "check": options["check"]}}
    own = cast("Mapping[str, Any]", mine[EVIDENCE])
    evidence = build.get(EVIDENCE)
    recorded = cast("dict[str, Any]", evidence) if isinstance(evidence, dict) else {}
    if recorded.keys() != own.keys():
        raise RebuildError("the evidence on record is not of the form that this version writes")
    _compare_evidence(recorded, own if options["check"] else _NOT_CHECKED)
    mine[EVIDENCE] = recorded
    _compare("", dict(build), mine, "")
    if new_manifest(again.files, mine).digest != manifest.digest:
        raise RebuildDiffersError("statement", "every file is the same, yet the statement is not")
    return Rebuilt(manifest.digest.hex(), recorded, own, sum(compiled.report.seconds.values()))


_MEASURED = ("worst_difference", "share")
_NOT_CHECKED: Mapping[str, Any] = {
    "checked": False,
    "worst_difference": None,
    "comparisons": 0,
    "share": "0.0",
    "seeds": [],
    "sizes": {},
    "reason": "switched off",
}


def _compare_evidence(recorded: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """RebuildDiffersError for evidence that the check did not write; only what was measured may be another."""
    settled = {name: recorded[name] for name in recorded if name not in _MEASURED}
    _compare(EVIDENCE, settled, {name: here[name] for name in here if name not in _MEASURED}, "")
    for measured in _MEASURED:
        there = recorded[measured]
        if (there is None) != (here[measured] is None) or (there is not None and not _is_difference(there)):
            raise RebuildDiffersError(
                f"{EVIDENCE}.{measured}", f"{EVIDENCE}.{measured}: {_shown(there)} recorded, which no check comes to"
            )


def _is_difference(value: object) -> bool:
    """Whether a manifest's text is a finite difference, in the one way in which the compiler writes it."""
    try:
        number = float(cast(str, value))
    except (TypeError, ValueError):
        return False
    return isinstance(value, str) and repr(number) == value and 0 <= number < float("inf")


def _recipe(build: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The options and targets on record, of the types that the compiler takes."""
    options, targets = build.get("options"), build.get("targets")
    well_formed = (
        isinstance(options, dict)
        and cast("dict[str, Any]", options).keys() == {"level", "skip", "check"}
        and isinstance(options["level"], str)
        and isinstance(options["check"], bool)
        and _are_texts(options["skip"])
        and _are_texts(targets)
    )
    if not well_formed:
        raise RebuildError(
            "the manifest does not record options and targets as this version does; rebuild with its own"
        )
    return cast("dict[str, Any]", options), cast("list[str]", targets)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in cast("list[object]", value))


def _compare_files(recorded: Manifest, again: Manifest) -> None:
    there, here = ({record.name: record for record in manifest.files} for manifest in (recorded, again))
    for name in sorted(there.keys() | here.keys()):
        if there.get(name) == here.get(name):
            continue
        if name not in here or name not in there:
            sentence = f"{name} is on record and does not come out here" if name in there else f"{name} comes out here"
            raise RebuildDiffersError(name, f"{sentence}{'' if name in there else ' and is not on record'}{_why(name)}")
        sentence = f"{name} has SHA-256 {there[name].sha256[:16]}… on record and {here[name].sha256[:16]}… here"
        raise RebuildDiffersError(name, sentence + _why(name))


def _why(name: str) -> str:
    """What, with the same tools, can make a file differ: said where the reader decides whether that is it."""
    if name.startswith("native/"):
        return (
            f"; the tools are the recorded ones, so unless the C linker is another (here: {_linker()}), this code was"
            " not made from this model"
        )
    return (
        f"; the tools are the recorded ones, so unless the processor (here: {_processor()}) folds constants to other"
        " last digits, this was not made from this model"
    )


def _linker() -> str:
    compiler = linker()
    if compiler is None:
        return "none"
    done = subprocess.run([compiler, "-Wl,--version"], capture_output=True, text=True, check=False)
    return next(iter(done.stdout.splitlines()), compiler)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _compare(where: str, recorded: object, here: object, hint: str) -> None:
    """RebuildDiffersError for the first field in which two JSON values differ."""
    for path, there, mine in _differences(where, recorded, here):
        raise RebuildDiffersError(path, f"{path}: {_shown(there)} recorded, {_shown(mine)} here{hint}")


_ABSENT = object()


def _differences(where: str, there: object, here: object) -> Iterable[tuple[str, object, object]]:
    if isinstance(there, dict) and isinstance(here, dict):
        left, right = cast("dict[str, object]", there), cast("dict[str, object]", here)
        for key in sorted(left.keys() | right.keys()):
            path = f"{where}.{key}" if where else key
            yield from _differences(path, left.get(key, _ABSENT), right.get(key, _ABSENT))
    elif isinstance(there, list) and isinstance(here, list):
        pairs = zip_longest(cast("list[object]", there), cast("list[object]", here), fillvalue=_ABSENT)
        for at, (left, right) in enumerate(pairs):
            yield from _differences(f"{where}[{at}]", left, right)
    # by type too: Python holds 0 == False and 1 == 1.0
    elif type(there) is not type(here) or there != here:
        yield where, there, here


def _shown(value: object) -> str:
    if value is _ABSENT:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "…"
