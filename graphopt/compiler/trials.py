"""Inputs to check a model on: sizes that it can take, and elements that its operators can use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

import numpy as np

from graphopt.compiler.limits import Limits, limits_of
from graphopt.errors import GraphoptError, InputError
from graphopt.ir.dim import Dim
from graphopt.ir.dtype import DType
from graphopt.ir.graph import Graph, Value
from graphopt.ir.types import OptionalType, SequenceType, TensorType, Type

LADDER = (2, 3, 4, 8, 16, 32, 64, 128, 224, 1, 5, 6, 12, 48, 96, 160, 256, 320, 640, 512, 1024, 2048, 16000)
"""Sizes that are tried, the likelier and cheaper ones first."""
ROOMY = (17, 33, 40, 48, 64, 96, 128, 224, 256)
"""Sizes of a second trial, in which kernels go through the middle of their loops as well."""
ATTEMPTS = 240
RANKS = (2, 3, 4, 1, 0)
LARGEST = 2**24
"""Elements that one input may have."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Sizes for the symbols in a model's inputs, with a rank for each input that has none."""

    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    ranks: Mapping[str, int] = field(default_factory=dict[str, int])


def find_trial(graph: Graph, accepts: Callable[[Trial], str | None], fixed: Mapping[str, int]) -> Trial | str:
    """The smallest sizes found with which the model runs, or why the last ones tried did not do.

    `accepts` runs the model and says what it refused (None: nothing); `fixed` are sizes that the caller chose.
    """
    search = _Search(graph, accepts, fixed)
    return search.run()


def roomier(graph: Graph, trial: Trial, accepts: Callable[[Trial], str | None], fixed: Mapping[str, int]) -> Trial:
    """The trial with every size but the first axes' larger, where the model takes it; else the trial itself."""
    names = [name for name in trial.sizes if name not in fixed and name not in _leading(graph)]
    for size in ROOMY if names else ():
        other = Trial({**trial.sizes, **dict.fromkeys(names, size)}, trial.ranks)
        if size > max(trial.sizes[name] for name in names) and _affordable(graph, other) and accepts(other) is None:
            return other
    return trial


def draw(graph: Graph, trial: Trial, seed: int) -> dict[str, Any]:
    """One value for each input without a default, the same for the same seed.

    Floats are from N(0, 1) for even seeds and from [0, 1) for odd ones.  Integers lie where what consumes them can use
    them and are what they are compared with, or are 0 or 1; a sequence has two elements.  InputError for an input that
    cannot be drawn.
    """
    random = np.random.default_rng(seed)
    limits = limits_of(graph)
    feeds: dict[str, Any] = {}
    for value in graph.inputs:
        if value not in graph.defaults:
            feeds[value.name] = _drawn(value, value.type, limits.get(value, Limits()), trial, random, seed % 2 == 1)
    return feeds


def _drawn(
    value: Value, type: Type | None, limits: Limits, trial: Trial, random: np.random.Generator, positive: bool
) -> Any:
    match type:
        case SequenceType(element=element):
            return [_drawn(value, element, limits, trial, random, positive) for _ in range(2)]
        case OptionalType(element=element):
            return _drawn(value, element, limits, trial, random, positive)
        case TensorType(dtype=DType() as dtype):
            pass
        case _:
            raise InputError(f"input {value.name!r} has no element type, so no value can be drawn for it")
    shape = shape_in(type, trial, value.name)
    if dtype is DType.STRING:
        return np.array([f"text {i}" for i in range(int(np.prod(shape)))], object).reshape(shape)
    if dtype.is_float:
        made = random.random(shape) if positive else random.standard_normal(shape)
        return made.astype(dtype.numpy)
    if dtype is DType.BOOL:
        return random.integers(0, 2, shape).astype(np.bool_)
    low, high = limits.ends(trial.sizes)
    made = random.integers(low, high, shape)
    if limits.values:  # half of them what the model looks for; a single one first that, then another
        looked_for = random.choice(np.array(limits.values), shape)
        made = np.where(random.integers(0, 2, shape) == 1 if np.size(made) > 1 else not positive, looked_for, made)
    return made.astype(dtype.numpy)


def shape_in(type: TensorType, trial: Trial, name: str) -> tuple[int, ...]:
    """The shape of an input under a trial."""
    if type.shape is None:
        return (3,) * trial.ranks.get(name, 1)
    return tuple(dim if isinstance(dim, int) else max(dim.evaluate(trial.sizes), 0) for dim in type.shape)


@dataclass(slots=True)
class _Search:
    graph: Graph
    accepts: Callable[[Trial], str | None]
    fixed: Mapping[str, int]
    tried: dict[tuple[tuple[str, int], ...], str | None] = field(default_factory=dict[Any, "str | None"])
    refusal: str = "no sizes were tried"

    def run(self) -> Trial | str:
        names = _symbols(self.graph)
        unknown = [v.name for v in _inputs(self.graph) if isinstance(v.type, TensorType) and v.type.shape is None]
        for ranks in product(RANKS, repeat=len(unknown)) if len(unknown) < 4 else [(1,) * len(unknown)]:
            for sizes in self._guesses(names):
                trial = Trial(
                    {**sizes, **{k: v for k, v in self.fixed.items() if k in names}},
                    dict(zip(unknown, ranks, strict=True)),
                )
                if self._takes(trial):
                    return self._shrunk(trial)
                if len(self.tried) >= ATTEMPTS:
                    return self.refusal
        return self.refusal

    def _guesses(self, names: Sequence[str]) -> Iterator[dict[str, int]]:
        """One size for all; then small leading axes with one size for the others; then sizes from constants; chance."""
        if not names:
            yield {}
            return
        for size in LADDER:
            yield dict.fromkeys(names, size)
        leading = _leading(self.graph)
        first, rest = [n for n in names if n in leading], [n for n in names if n not in leading]
        for few in (1, 2):
            for size in LADDER if first and rest else ():
                yield dict.fromkeys(first, few) | dict.fromkeys(rest, size)
        mined = _mined(self.graph)
        for size, other in product(mined, (2, 16, 64, 1, 128, 224)):
            for name in names:
                yield {**dict.fromkeys(names, other), **dict.fromkeys(first, 2), name: size}
        random = np.random.default_rng(0)
        pool = (*LADDER[:-2], *mined)
        for _ in range(ATTEMPTS):
            yield {name: int(random.choice(pool)) for name in names}

    def _takes(self, trial: Trial) -> bool:
        key = (*sorted(trial.sizes.items()), *sorted(trial.ranks.items()))
        if key not in self.tried:
            refusal = self.accepts(trial) if _affordable(self.graph, trial) else "the inputs would be too large"
            self.tried[key] = refusal
            self.refusal = self.refusal if refusal is None else refusal
        return self.tried[key] is None

    def _shrunk(self, trial: Trial) -> Trial:
        """The trial with each size made the smallest that the model takes; not 1, which hides what broadcasts."""
        alone = [[name] for name in sorted(trial.sizes, key=lambda n: n not in _leading(self.graph))]
        alike = [[n for n in trial.sizes if trial.sizes[n] == size] for size in dict.fromkeys(trial.sizes.values())]
        pairs = [list(pair) for group in alike if 2 < len(group) < 7 for pair in combinations(group, 2)]
        together = [group for group in alike if len(group) > 1]  # two that have to be equal go together
        for names in (*together, *pairs, *alone):
            if any(name in self.fixed for name in names):
                continue
            for size in sorted(s for s in LADDER if 1 < s < trial.sizes[names[0]]):
                other = Trial({**trial.sizes, **dict.fromkeys(names, size)}, trial.ranks)
                if len(self.tried) < 2 * ATTEMPTS and self._takes(other):
                    trial = other
                    break
        return trial


def _inputs(graph: Graph) -> list[Value]:
    return [value for value in graph.inputs if value not in graph.defaults]


def _tensor_of(type: Type | None) -> TensorType | None:
    while isinstance(type, (SequenceType, OptionalType)):
        type = type.element
    return type if isinstance(type, TensorType) else None


def _dims(graph: Graph) -> list[tuple[int, Dim]]:
    found: list[tuple[int, Dim]] = []
    for value in _inputs(graph):
        type = _tensor_of(value.type)
        found += enumerate((type.shape or ()) if type is not None else ())
    return found


def _symbols(graph: Graph) -> list[str]:
    names: dict[str, None] = {}
    for _, dim in _dims(graph):
        if not isinstance(dim, int):
            names.update(dict.fromkeys(sorted(dim.symbols)))
    return list(names)


def _leading(graph: Graph) -> set[str]:
    """The symbols that are the first of several axes: batches, mostly."""
    return {s for axis, dim in _dims(graph) if axis == 0 and not isinstance(dim, int) for s in dim.symbols}


def _mined(graph: Graph) -> list[int]:
    """Sizes that the model's constants and attributes speak of."""
    found: dict[int, None] = {}
    for value in graph.values():
        if value.constant is not None:
            found.update(dict.fromkeys(int(d) for d in value.constant.shape if 1 < d < 4096))
    for node in graph.nodes():
        group = int(node.get("group", 1)) if "group" in node.attributes else 1
        weights = graph.inputs_of(node)[1:2]
        if group > 1 and weights and weights[0] is not None and weights[0].constant is not None:
            found[group * int(weights[0].constant.shape[1])] = None
    return list(found)[:12]


def _affordable(graph: Graph, trial: Trial) -> bool:
    for value in _inputs(graph):
        type = _tensor_of(value.type)
        if type is not None and np.prod([float(d) for d in shape_in(type, trial, value.name)]) > LARGEST:
            return False
    return True


def refusal_of(run: Callable[[], object]) -> str | None:
    """What running something refused, in its own words; None when it ran."""
    try:
        run()
    except GraphoptError as error:
        return str(error)
    except MemoryError:
        return "there is not enough memory for them here"
    return None
