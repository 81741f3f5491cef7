"""Requests that do not fit, made from applications that do: one operand changed in size, rank or element.

An example is one node of onnx's own test cases (or one of ours, for operators that have none), compiled with every
dimension of every input open, so that the request decides.  `run_apart` asks in processes of their own, because a
launch that leaves its operands ends the process: all arrays end, or begin, at a page without access.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import graphopt
from graphopt.check import interpret
from graphopt.errors import GraphoptError, InputError
from graphopt.frontend import read_onnx
from graphopt.ops.facts import facts_of
from graphopt.ops.meaning.precision import is_float
from graphopt.runtime import Compiled
from graphopt_kernels.targets import host_targets
from tests.ops.cases import as_input, node_cases
from tests.runtime.examples import ours
from tests.walls import guarded, guarded_before

Feeds = Mapping[str, Any]
Change = tuple[str, Callable[[], Any]]

FOREIGN = re.compile(
    r"broadcast together|could not be|could not convert|not aligned|out of bounds for|is out of bounds|sequence for"
    r"|cannot reshape array|unsupported|invalid literal|Traceback|has no attribute|object is not|slice indices"
    r"|too many indices|unexpected|NoneType|zero-size array|numpy|mismatch in its core|np\.|Maximum allowed|repeats may"
    r"|negative dimensions|all the input|must be same rank|cannot convert|NaN to integer|math domain|Errno|buffer",
)
"""Words of numpy's and Python's."""

_SECONDS = 30
"""For one request; a worker that takes longer is ended, and that is a finding."""
_MEMORY = 6 << 30


@dataclass(frozen=True, slots=True)
class Example:
    """One application that fits: a model of one node, and inputs for it."""

    name: str
    model: onnx.ModelProto
    feeds: Feeds

    @property
    def op(self) -> str:
        (node,) = self.model.graph.node
        return node.op_type

    @property
    def domain(self) -> str:
        (node,) = self.model.graph.node
        return "" if node.domain == "ai.onnx" else node.domain


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: `refused`, `right`, or what is wrong with it."""

    example: str
    change: str
    verdict: str
    says: str = ""

    @property
    def good(self) -> bool:
        return self.verdict in ("refused", "right", "not compiled")


@cache
def examples(modules: tuple[str, ...] = ()) -> tuple[Example, ...]:
    """One for each node case of onnx that is one node, and ours; in order of name.

    Of onnx's cases all, which takes half a minute, or those of the operators that `modules` make (`gather`, `conv`).
    """
    made = [Example(name, model, feeds) for name, model, feeds in ours()]
    for name, model, data_sets in _cases(modules):
        graph = model.graph
        has_graphs = any(a.type in (5, 10) for node in graph.node for a in node.attribute)
        if len(graph.node) != 1 or graph.initializer or has_graphs or _opset(model) < 7:
            continue
        inputs = [as_input(value) for value in data_sets[0][0]]
        if all(isinstance(value, (np.ndarray, list)) for value in inputs):
            names = [info.name for info in graph.input]
            made.append(Example(name, model, dict(zip(names, inputs, strict=True))))
    return tuple(sorted(made, key=lambda example: example.name))


def _cases(modules: tuple[str, ...]) -> Iterator[tuple[str, onnx.ModelProto, Any]]:
    if not modules:
        yield from ((case.name, case.model, case.data_sets) for case in node_cases())
        return
    cases = import_module("onnx.backend.test.case.node")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = {name for module in modules for name in _exporters(import_module(f"{cases.__name__}.{module}"))}
    for case in cases._NodeTestCases:
        if case.data_sets and case.model.graph.node[0].op_type in wanted:
            yield case.name, case.model, case.data_sets


def _exporters(module: Any) -> list[str]:
    """The operators whose cases a module of onnx's makes: its classes are called like them."""
    return [
        name for name, item in vars(module).items() if isinstance(item, type) and item.__module__ == module.__name__
    ]


def _opset(model: onnx.ModelProto) -> int:
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 7)


def opened(example: Example, *, ranks: bool) -> onnx.ModelProto:
    """The example's model with every dimension of its inputs a symbol of its own; of unknown rank without `ranks`."""
    model = onnx.ModelProto()
    model.CopyFrom(example.model)
    model.graph.node[0].name = "the node"
    for info in model.graph.input:
        is_sequence = info.type.HasField("sequence_type")
        tensor = info.type.sequence_type.elem_type.tensor_type if is_sequence else info.type.tensor_type
        rank = len(tensor.shape.dim)
        tensor.ClearField("shape")
        if ranks and not is_sequence:
            tensor.shape.SetInParent()
            for axis in range(rank):
                tensor.shape.dim.add().dim_param = f"{info.name}_{axis}"
    for info in model.graph.output:
        if info.type.HasField("tensor_type"):
            info.type.tensor_type.ClearField("shape")
    return model


def misfits(example: Example) -> Iterator[tuple[str, Callable[[], Feeds]]]:
    """Requests that differ from the example's in one operand: a word on how, and what makes the request."""
    tensors = [item for value in example.feeds.values() for item in (value if isinstance(value, list) else [value])]
    sizes = sorted({dim for item in tensors for dim in item.shape})
    for name, value in example.feeds.items():
        for what, changed in _sequence(value, sizes) if isinstance(value, list) else _tensor(value, sizes):
            yield f"{name}: {what}", partial(_with_operand, example.feeds, name, changed)


def _with_operand(feeds: Feeds, name: str, changed: Callable[[], Any]) -> Feeds:
    return {**feeds, name: changed()}


def _tensor(value: np.ndarray, sizes: Sequence[int]) -> Iterator[Change]:
    yield from _sizes(value)
    yield from _ranks(value)
    yield from _elements(value, sizes)


def _sequence(items: list[Any], sizes: Sequence[int]) -> Iterator[Change]:
    yield "no elements", list
    yield "an element more", lambda: [*items, *items[:1]]
    yield "an element less", lambda: items[1:]
    for what, changed in _tensor(items[0], sizes) if items else ():
        yield f"element 0: {what}", partial(_with_first, items, changed)


def _with_first(items: list[Any], changed: Callable[[], Any]) -> list[Any]:
    return [changed(), *items[1:]]


def _sizes(value: np.ndarray) -> Iterator[Change]:
    for axis, size in enumerate(value.shape):
        rest = value.size // size if size else 1
        huge = max(min(2**16 + 3, 2**18 // max(rest, 1)), size + 5)
        for wanted in sorted({size - 1, size + 1, 0, 1, 2 * size, huge} - {size, -1}):
            yield f"{wanted} in dimension {axis} of {list(value.shape)}", partial(_resized, value, axis, wanted)


def _resized(value: np.ndarray, axis: int, size: int) -> np.ndarray:
    if not value.shape[axis]:
        shape = [size if i == axis else dim for i, dim in enumerate(value.shape)]
        return np.full(shape, "" if value.dtype == object else 0, value.dtype)
    return np.take(value, np.arange(size) % value.shape[axis], axis)


def _ranks(value: np.ndarray) -> Iterator[Change]:
    yield "a dimension more in front", lambda: value[None]
    yield "a dimension more at the end", lambda: value[..., None]
    if value.ndim and value.shape[0]:
        yield "a dimension less", lambda: np.asarray(value[0])
    if value.ndim > 1:
        yield "flat", lambda: value.reshape(-1)


def _elements(value: np.ndarray, sizes: Sequence[int]) -> Iterator[Change]:
    new: list[Any] = []
    if not value.size:
        return
    if value.dtype.kind in "iu" and value.dtype.itemsize > 1:  # bytes are data, never places
        ends = np.iinfo(value.dtype)
        near = {n for size in sizes for n in (size, size + 1, -size, -size - 1)}
        far = {0, -1, -2, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**62)}
        new = [n for n in sorted(near | far) if ends.min <= n <= ends.max]
    elif is_float(value.dtype) and value.size <= 64:
        new = [float("nan"), float("inf"), float("-inf"), -1.0, 0.0, 1e4]
    for place in sorted({0, value.size - 1}):
        for number in new:
            yield f"{number} at element {place}", partial(_with_element, value, place, number)


def _with_element(value: np.ndarray, place: int, number: float) -> np.ndarray:
    changed = np.array(value, order="C")
    changed.reshape(-1)[place] = number
    return changed


def requests(seed: int, count: int, modules: tuple[str, ...] = (), each: int = 24) -> list[tuple[str, int, bool]]:
    """So many (example, misfit, with ranks), drawn by the seed, up to `each` of one example one after the other."""
    random = np.random.default_rng(seed)
    pool = {example.name: sum(1 for _ in misfits(example)) for example in examples(modules)}
    names = [name for name, size in pool.items() if size]
    by_op: dict[str, list[str]] = {}
    for example in examples(modules):
        if example.name in names:
            by_op.setdefault(f"{example.domain}::{example.op}", []).append(example.name)
    order = [str(op) for op in random.permutation(sorted(by_op))]  # operators in turn: some have one case, some fifty
    chosen: list[tuple[str, int, bool]] = []
    while len(chosen) < count:
        for op in order:
            name = by_op[op][int(random.integers(len(by_op[op])))]
            take = max(min(pool[name], each, count - len(chosen)), 0)
            ranks = bool(random.integers(2))
            for index in sorted(random.choice(pool[name], take, replace=False).tolist()):
                chosen.append((name, index, ranks))
    return chosen[:count]


def attempt(example: Example, change: str, feeds: Feeds, model: Compiled, wall: int, *, ranks: bool) -> Outcome:
    """Ask the compiled model, with its inputs beside a page that nobody may touch, and judge the answer."""
    place = (guarded, guarded_before)[wall % 2]
    signal.alarm(_SECONDS)
    try:
        with np.errstate(all="ignore"):
            got = model({n: [*map(place, v)] if isinstance(v, list) else place(v) for n, v in feeds.items()})
    except InputError as error:
        return _judged(example, change, str(error))
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the finding
        return Outcome(example.name, change, "another error", f"{type(error).__name__}: {error}")
    finally:
        signal.alarm(0)
    return _compared(example, change, feeds, got, ranks=ranks)


def _judged(example: Example, change: str, says: str) -> Outcome:
    if "\n" in says:
        return Outcome(example.name, change, "more than one line", says)
    if found := FOREIGN.search(says):
        return Outcome(example.name, change, f"words of others: {found[0]!r}", says)
    known = says.startswith(("input ", "dimension ", "this request needs more memory"))
    if not known and not (example.op in says and "'the node'" in says):
        return Outcome(example.name, change, "does not name the node", says)
    return Outcome(example.name, change, "refused", says)


def _compared(example: Example, change: str, feeds: Feeds, got: Mapping[str, Any], *, ranks: bool) -> Outcome:
    facts = facts_of(example.op, example.domain)
    if facts is None or not facts.deterministic:
        return Outcome(example.name, change, "right", "random: not compared")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = reference(example, feeds, ranks=ranks)
    except GraphoptError as error:
        return Outcome(example.name, change, "the reference refuses it", str(error))
    for name, value in wanted.items():
        if not _same(value, got[name]):
            return Outcome(example.name, change, "wrong", f"{name} is {_short(value)}, got {_short(got[name])}")
    return Outcome(example.name, change, "right")


def reference(example: Example, feeds: Feeds, *, ranks: bool) -> Mapping[str, Any]:
    """What the operator's meaning gives, or the GraphoptError with which it refuses."""
    return interpret(read_onnx(opened(example, ranks=ranks)), feeds)


def _same(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, list) or isinstance(got, list) or wanted is None or got is None:
        if not isinstance(wanted, list) or not isinstance(got, list):
            return wanted is got
        return len(wanted) == len(got) and all(map(_same, wanted, got))
    a, b = np.asarray(wanted), np.asarray(got)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind in "OSU":
        return a.tolist() == b.tolist()
    kind = np.complex128 if a.dtype.kind == "c" else np.float64
    near = 3e-2 if a.dtype.itemsize < 4 and a.dtype.kind not in "iub" else 1e-4
    wide, found = a.astype(kind), b.astype(kind)
    scale = np.max(np.abs(wide), initial=0.0, where=np.isfinite(wide))
    return bool(np.isclose(found, wide, near, near * max(scale, 1e-3), equal_nan=True).all())


def _short(value: Any) -> str:
    array = np.asarray(value) if not isinstance(value, list) else np.zeros(0)
    return f"{array.dtype}{list(array.shape)} {array.reshape(-1)[:6].tolist()}"


def compiled(example: Example, *, ranks: bool) -> Compiled | str:
    """The example ready for any request; a sentence where it does not compile."""
    try:
        return graphopt.compile(opened(example, ranks=ranks), targets=(host_targets()[0],), threads=1, check=False)
    except GraphoptError as error:
        return str(error)


def run(chosen: Sequence[tuple[str, int, bool]], modules: tuple[str, ...]) -> Iterator[tuple[int, Outcome]]:
    """Each request in turn, in this process."""
    known = {example.name: example for example in examples(modules)}
    last: tuple[str, bool] | None = None
    model: Compiled | str = ""
    changes: list[tuple[str, Callable[[], Feeds]]] = []
    for number, (name, index, ranks) in enumerate(chosen):
        example = known[name]
        if last != (name, ranks):
            last, model, changes = (name, ranks), compiled(example, ranks=ranks), list(misfits(example))
        change, feeds = changes[index]
        if isinstance(model, str):
            yield number, Outcome(name, change, "not compiled", model)
            continue
        yield number, attempt(example, change, feeds(), model, number, ranks=ranks)


def run_apart(chosen: Sequence[tuple[str, int, bool]], modules: tuple[str, ...] = ()) -> list[Outcome]:
    """Each request, in processes of their own: one that ends early is the outcome of the request it was at."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(chosen):
        rest = chosen[len(outcomes) :]
        command = [sys.executable, "-W", "ignore", "-m", "tests.runtime.misfits", *modules]
        done = subprocess.run(
            command, cwd=Path(__file__).parents[2], input=json.dumps(rest), capture_output=True, text=True, check=False
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        outcomes += [Outcome(**line) for line in lines]
        if len(outcomes) < len(chosen):
            name, index, ranks = chosen[len(outcomes)]
            change = list(misfits(next(e for e in examples(modules) if e.name == name)))[index][0]
            says = f"exit {done.returncode}, ranks {ranks}: {done.stderr[-300:]}"
            outcomes.append(Outcome(name, change, "the process ended", says))
    return outcomes


def main() -> None:
    """A worker: requests as JSON on the standard input, an outcome a line."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for _, outcome in run([tuple(item) for item in json.load(sys.stdin)], tuple(sys.argv[1:])):
        print(json.dumps(asdict(outcome)), flush=True)


if __name__ == "__main__":
    main()
