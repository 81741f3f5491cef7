"""A bundle whose program says absurd numbers, and whose manifest agrees with it: refused in a sentence, never more."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphopt
from graphopt.bundle import write_manifest
from graphopt.bundle.artifact import PROGRAM
from graphopt.bundle.statement import MANIFEST_NAME
from graphopt.errors import GraphoptError

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"
NUMBERS = (-(2**40), -1, 0, 10**6, 2**31, 2**40, 2**53 - 1, 2**62)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "bundle"
    graphopt.compile(DIGITS, targets=["x86-64-v3"], check=False).save(folder)
    return folder


def numbers(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the whole numbers are; not those handed to a kernel, which are as much code as the kernel is."""
    if isinstance(document, dict):
        inner = document.items()
    elif isinstance(document, list):
        inner = enumerate(document)
    else:
        inner = ()
        if type(document) is int:
            yield path
    for key, value in inner:
        if not (path[-1:] == ("kernel",) and key == "attributes"):
            yield from numbers(value, (*path, key))


@pytest.mark.parametrize("seed", range(50))
def test_a_program_with_absurd_numbers_is_refused_or_runs(bundle: Path, seed: int):
    choice = random.Random(seed)
    original = (bundle / PROGRAM).read_bytes()
    document = json.loads(original)
    *parents, last = choice.choice(list(numbers(document)))
    spot = document
    for key in parents:
        spot = spot[key]
    spot[last] = choice.choice(NUMBERS)
    try:
        (bundle / PROGRAM).write_bytes(
            json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        )
        (bundle / MANIFEST_NAME).unlink()
        write_manifest(bundle, {})
        said = sentence_or_none(bundle)
    finally:
        (bundle / PROGRAM).write_bytes(original)
    assert said is None or "\n" not in said


def sentence_or_none(bundle: Path) -> str | None:
    """What the bundle is refused with; None when it runs."""
    try:
        logits = graphopt.load(bundle)({"image": np.zeros((2, 1, 8, 8), np.float32)})["logits"]
    except GraphoptError as error:
        return str(error)
    assert logits.dtype == np.float32
    return None
