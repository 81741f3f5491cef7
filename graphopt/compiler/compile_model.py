"""`compile`: a model through every room, into something that runs and can be saved."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.bundle.artifact import MODEL, PROGRAM, WEIGHTS, Artifact, Content, library_name
from graphopt.bundle.open import choose_target
from graphopt.compiler.evidence import gather
from graphopt.compiler.meanings import check_meanings
from graphopt.compiler.native import NativeCode, build_native
from graphopt.compiler.optimize_model import optimize_graph, prepare_for_lowering
from graphopt.compiler.report import CompileReport, Evidence, StepCounts
from graphopt.errors import CompileError
from graphopt.frontend import Source, read_onnx, write_onnx
from graphopt.infer import infer_types
from graphopt.ir.graph import Graph
from graphopt.lower import WeightStore, lower
from graphopt.program import Image, encode
from graphopt.program.verify import verify
from graphopt.runtime.compiled import Compiled
from graphopt.runtime.native import Kernels
from graphopt.runtime.weights import Weights
from graphopt.version import __version__
from graphopt_kernels.targets import TARGETS

if TYPE_CHECKING:
    from onnx import ModelProto

DEFAULT_TARGETS = ("x86-64-v3", "x86-64-v4")
TOOLS = ("numpy", "onnx", "networkx", "numba", "llvmlite", "ml-dtypes")
"""Packages whose version can change what comes out."""


def compile_model(
    model: str | Path | ModelProto | Source,
    *,
    targets: Sequence[str] = DEFAULT_TARGETS,
    level: str = "reassociate",
    threads: int | None = None,
    check: bool = True,
    skip: Sequence[str] = (),
    cached: bool = True,
    progress: Callable[[str], object] | None = None,
) -> Compiled:
    """A model, given as a path, a ModelProto or a `Source` (which is used up), compiled for the targets named.

    `level` says what rewrites may change (`exact`, `reassociate`, `approximate`), `skip` leaves passes out by name,
    `check` runs the whole model against the reference meaning and records the worst difference, `cached` says whether
    kernels may come from this user's cache of them, `progress` hears the name of each phase as it begins.  ModelError
    for a model that cannot be read, CompileError for one that cannot be compiled or whose check fails.
    """
    clock = _Clock(progress)
    _check_targets(targets)
    with clock("read"):
        if isinstance(model, (str, Path)):
            model = Source.read(model)
        graph = read_onnx(model)
        request = build_request(model, targets=targets, level=level, check=check, skip=skip)
    reference = graph.copy() if check else None
    with clock("optimize"):
        infer_types(graph)
        rewrites = optimize_graph(graph, level=level, skip=skip)
        infer_types(graph)
    with clock("write"):
        optimised = write_onnx(graph).SerializeToString(deterministic=True)
    with clock("lower"):
        lowering = prepare_for_lowering(graph, level=level, skip=skip)
        image, store = _lower(graph, sorted(set(targets)))
        for program in image.programs:
            check_meanings(program)
    with clock("kernels"):
        native = {
            target: build_native(image.programs[index], target, cached=cached)
            for target, index in image.targets.items()
        }
    target = choose_target(image.targets)
    program = image.programs[image.targets[target]]
    weights = Weights(image.weights, store.block())
    evidence = Evidence(checked=False, reason="switched off")
    kernels = Kernels(native[target].library)
    if reference is not None:
        with clock("check"):
            evidence = gather(reference, program, weights, kernels)
    applied = (*rewrites.counts.items(), *lowering.counts.items())
    counts = {name: StepCounts.of(image.programs[index]) for name, index in image.targets.items()}
    build: dict[str, Any] = {
        **request,
        "rewrites": [{"name": name, "count": count} for name, count in applied],
        "tools": tool_versions() | _linked(native),
        "program": {name: asdict(count) for name, count in sorted(counts.items())},
        "evidence": recorded(evidence),
    }
    files: dict[str, Content] = {MODEL: optimised, PROGRAM: encode(image), WEIGHTS: _unchanged(store, model)}
    for name, code in native.items():
        if code.content is not None:
            files[library_name(name, linked=code.linked)] = code.content
    artifact = Artifact(files, _plain(build))
    report = CompileReport(
        nodes_before=rewrites.nodes_before,
        nodes_after=rewrites.nodes_after,
        rewrites=applied,
        counts=counts,
        target=target,
        evidence=evidence,
        seconds=clock.seconds,
        nbytes={n: store.nbytes if n == WEIGHTS else len(c) for n, c in files.items() if not callable(c)}
        | {WEIGHTS: store.nbytes},
        build=build,
        notes=graph.notes,
    )
    return Compiled(program, weights, kernels, report, threads or os.cpu_count() or 1, artifact.save)


def build_request(
    model: str | Path | ModelProto | Source, *, targets: Sequence[str], level: str, check: bool, skip: Sequence[str]
) -> dict[str, Any]:
    """What was asked for, as a manifest records it: `source`, `options`, `targets`.  It finds a bundle made before."""
    return {
        "source": source_digest(model),
        "options": {"level": level, "skip": sorted(skip), "check": check},
        "targets": sorted(set(targets)),
    }


def source_digest(model: str | Path | ModelProto | Source) -> dict[str, Any]:
    """What says which model it is: `sha256` of the file's bytes, or of the ModelProto serialised deterministically.

    Where tensors lie in files beside the model, `external` has the name and the SHA-256 of each, in order.
    """
    if isinstance(model, (str, Path)):
        model = Source.read(model)
    if isinstance(model, Source):
        return dict(model.digest)
    return {"sha256": hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()}


def _unchanged(store: WeightStore, model: ModelProto | Source) -> Callable[[], Iterable[bytes | memoryview]]:
    """The weights, piece by piece; ModelError after the last where what they were mapped from was written to."""

    def parts() -> Iterable[bytes | memoryview]:
        yield from store.parts()
        if isinstance(model, Source):
            model.check_unchanged()

    return parts


def _lower(graph: Graph, targets: Sequence[str]) -> tuple[Image, WeightStore]:
    store = WeightStore()
    programs = [lower(graph, store, target) for target in targets]
    distinct = list({id(program): program for program in programs}.values())
    kept = [program for i, program in enumerate(distinct) if program not in distinct[:i]]
    where = {target: kept.index(program) for target, program in zip(targets, programs, strict=True)}
    image = Image(tuple(store.table), tuple(kept), where, store.nbytes)
    verify(image)
    return image, store


def _check_targets(targets: Sequence[str]) -> None:
    for target in targets:
        if target not in TARGETS:
            raise CompileError(f"there is no target {target!r}; known are {', '.join(sorted(TARGETS))}")
    if not targets:
        raise CompileError("name at least one target")


class _Clock:
    """Seconds by phase; tells `progress` what begins."""

    def __init__(self, progress: Callable[[str], object] | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress

    @contextmanager
    def __call__(self, phase: str) -> Generator[None]:
        if self._progress is not None:
            self._progress(phase)
        start = time.perf_counter()
        yield
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start


def tool_versions() -> dict[str, str]:
    """The versions of what makes a bundle, here: packages whose version can change what comes out."""
    found = {"graphopt": __version__}
    for name in TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _linked(native: dict[str, NativeCode]) -> dict[str, str]:
    if not any(code.content is not None for code in native.values()):
        return {}
    return {"linked": "yes" if all(code.linked for code in native.values()) else "no"}


def recorded(evidence: Evidence) -> dict[str, Any]:
    """The evidence as a manifest records it: a float as text that every reader reads back to the same bits."""
    worst = evidence.worst_difference
    return asdict(evidence) | {
        "worst_difference": None if worst is None else repr(worst),
        "share": repr(evidence.share),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
