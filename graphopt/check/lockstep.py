"""Whether something made from a graph computes what the graph means, judged operator by operator.

What was made (a compiled program, a rewritten graph) still knows many of the graph's values under their names.  The
graph is evaluated in float64 beside it, with a bound on what rounding may do (`propagate`); at each value that both
know, the two are compared, and the evaluation goes on from the value that *was made*.  So each comparison spans the few
operators between two known values: bounds stay tight however deep the model is, a chaotic model is judged as sharply as
a tame one, a quantum that flips is judged where it flips, and what is wrong has a name.  If every span is right to
within rounding, so is the whole, whatever the model makes of rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from graphopt.check.call import run_call
from graphopt.check.comparison import Difference, compare
from graphopt.check.control import Counting, control_of
from graphopt.check.estimate import Estimate, Estimated, epsilon, exact, plain, smallest
from graphopt.check.propagate import Run, propagate
from graphopt.errors import GraphoptError, ModelError
from graphopt.ops.call import call_of, elements
from graphopt.ops.facts import is_deterministic
from graphopt.ops.meaning.precision import is_float
from graphopt.rewrite.exactness import Exactness

if TYPE_CHECKING:
    from graphopt.ir.graph import Graph, Node, Value


class Witness(Protocol):
    """What was made from a graph, as it ran on some inputs: its values by the graph's names."""

    def knows(self, name: str) -> bool:
        """Whether it has a value of that name."""
        ...

    def value(self, name: str) -> Any:
        """The value: an array, a list for a sequence, None for an optional that is absent."""
        ...

    @property
    def outputs(self) -> Sequence[Any]:
        """What it gave, in the order of the graph's outputs."""
        ...

    def constant(self, name: str) -> np.ndarray | None:
        """The elements of a constant that still has the name."""
        ...

    def body(self, node: str, outputs: Sequence[str], attribute: str, given: Sequence[Any]) -> Witness | None:
        """How the subgraph in an attribute of the node that makes `outputs` ran on the given inputs.

        None where no such node is left.
        """
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """One comparison: a value that both know, and the operators between it and the values known before."""

    name: str
    operators: tuple[str, ...]
    difference: Difference
    share: float
    """The largest error, as a share of what was allowed for its element; infinite where the comparison failed."""

    def __str__(self) -> str:
        ends = self.operators if len(self.operators) < 4 else (*self.operators[:2], "…", self.operators[-1])
        d = self.difference
        place = f" at {list(d.where)}" if d.where else ""
        allowed = f", rounding allows {d.allowed:.2g}" if d.kind == "value" and d.allowed else ""
        return (
            f"{' → '.join(ends)} should give {d.expected}{place} in {self.name!r} and gave {d.got}{allowed}"
            f" ({d.count} elements)"
        )


@dataclass(slots=True)
class Lockstep:
    """The comparisons of one run, in order."""

    run: Run = run_call
    """Applies operators; it may raise to end the check."""
    spans: list[Span] = field(default_factory=list[Span])
    unjudged: list[str] = field(default_factory=list[str])
    """Values that could not be judged, each with the reason: random ones, and those whose operator failed."""
    _shared: set[str] = field(default_factory=set[str])
    """Names that several of the model's graphs use: they say nothing once a subgraph is part of the graph around it."""

    @property
    def wrong(self) -> list[Span]:
        """The comparisons that failed."""
        return [span for span in self.spans if not span.difference.agrees]

    def check(self, graph: Graph, bound: Mapping[Value, Any], witness: Witness) -> None:
        """Compare all values that a graph and a witness share, and the outputs, for these inputs."""
        self._shared = _names_shared(graph)
        self._follow(graph, bound, witness, witness.outputs, {}, {})

    def evaluate(self, graph: Graph, bound: Mapping[Value, Any]) -> list[Estimated]:
        """The outputs of a graph by itself: what they are, and what rounding may do to them."""
        return self._follow(graph, bound, Blind(), None, {}, {})

    def _follow(
        self,
        graph: Graph,
        bound: Mapping[Value, Any],
        witness: Witness,
        given_outputs: Sequence[Any] | None,
        captured: Mapping[str, Estimated],
        around: Mapping[str, int],
    ) -> list[Estimated]:
        """The outputs, as they were made where that is known; `captured` and `around` belong to the graph around."""
        opsets = {**around, **graph.opsets}
        self._constants(graph, witness)
        state: dict[Value, Estimated] = {value: exact(given) for value, given in bound.items()}
        for value in graph.captures:
            state[value] = captured[value.name]
        inside: dict[Value, tuple[str, ...]] = {}
        order = _needed(graph)
        left = _uses(graph, order)
        for node in order:
            given = [self._read(value, state) for value in graph.inputs_of(node)]
            outer = {name: self._read(value, state) for name, value in graph.captures_of(node).items()}
            made = graph.outputs_of(node)
            path = tuple(dict.fromkeys(op for v in graph.operands_of(node) for op in inside.get(v, ())))
            path = (*path, _described(node))
            results = self._apply(graph, node, given, outer, opsets, witness)
            for slot, value in enumerate(made):
                if value is None or not (graph.uses(value)):
                    continue
                result = None if results is None or slot >= len(results) else results[slot]
                if witness.knows(value.name) and value.name not in self._shared:
                    got = witness.value(value.name)
                    self._judge(value.name, path, result, got, known=results is not None)
                    state[value] = exact(got)
                elif results is None:
                    raise ModelError(self.unjudged[-1])
                else:
                    state[value], inside[value] = result, path
            for value in graph.operands_of(node):
                left[value] -= 1
                if not left[value]:
                    state.pop(value, None)
                    inside.pop(value, None)
        results = [self._read(value, state) for value in graph.outputs]
        if given_outputs is None:
            return results
        for name, value, result, got in zip(graph.output_names, graph.outputs, results, given_outputs, strict=True):
            self.spans.append(judge(name, inside.get(value, ()), result, got))
        return [exact(got) for got in given_outputs]

    def _constants(self, graph: Graph, witness: Witness) -> None:
        """What still has its name is to be the same, bit for bit: few inputs look at every row of a table."""
        for value in graph.values():
            made = None if value.constant is None or value.name in self._shared else witness.constant(value.name)
            if made is None or value.constant is None:
                continue
            was = elements(value.constant)
            if (
                was.shape == made.shape
                and was.dtype == made.dtype
                and not np.array_equal(was, made, equal_nan=_nan(was))
            ):
                self.spans.append(Span(value.name, ("the constant",), compare(was, made, Exactness.EXACT), np.inf))

    @staticmethod
    def _read(value: Value | None, state: Mapping[Value, Estimated]) -> Estimated:
        if value is None:
            return None
        return exact(elements(value.constant)) if value.constant is not None else state[value]

    def _apply(
        self,
        graph: Graph,
        node: Node,
        given: list[Estimated],
        outer: Mapping[str, Estimated],
        opsets: Mapping[str, int],
        witness: Witness,
    ) -> Sequence[Estimated] | None:
        """The node's outputs; None where they cannot be told, with the reason kept."""
        names = [value.name for value in graph.outputs_of(node) if value is not None]
        if not is_deterministic(graph, node):
            self.unjudged.append(f"{_described(node)} is random, or not known")
            return None
        call = call_of(node, given, len(graph.outputs_of(node)), opsets)
        try:
            if any(True for _ in graph.subgraphs_of(node)):
                return self._control(node, call, outer, opsets, witness, names)
            return propagate(call, self.run)
        except GraphoptError as error:
            self.unjudged.append(f"at {_described(node)}: {error}")
            return None

    def _judge(self, name: str, path: tuple[str, ...], result: Estimated, got: Any, *, known: bool) -> None:
        if known:
            self.spans.append(judge(name, path, result, got))

    # ---- control flow -------------------------------------------------------------------------------------

    def _control(
        self,
        node: Node,
        call: Any,
        outer: Mapping[str, Estimated],
        opsets: Mapping[str, int],
        witness: Witness,
        names: Sequence[str],
    ) -> Sequence[Estimated]:
        if node.op == "If" and isinstance(call.inputs[0], Estimate):
            chosen = "then_branch" if plain(call.inputs[0]).reshape(-1)[0] else "else_branch"
            inner = witness.body(node.name, names, chosen, ())
            given = None if inner is None else inner.outputs
            self._other_branch(node, call, chosen, outer, opsets, witness, names)
            return self._follow(call.attributes[chosen], {}, inner or witness, given, outer, opsets)
        if node.op == "Loop":
            return self._loop(node.name, call, outer, opsets, witness, names)
        control = control_of(node.op, node.domain)
        assert control is not None
        inputs = [plain(x) for x in call.inputs]
        results = control(
            type(call)(call.op, call.domain, call.version, call.attributes, tuple(inputs), call.outputs),
            {name: plain(x) for name, x in outer.items()},
            opsets,
            self.run,
        )
        return [_loosely(item) for item in results]

    def _other_branch(
        self,
        node: Node,
        call: Any,
        chosen: str,
        outer: Mapping[str, Estimated],
        opsets: Mapping[str, int],
        witness: Witness,
        names: Sequence[str],
    ) -> None:
        """Compare the branch that these inputs do not take as well, where it can run on what it captures."""
        other = "else_branch" if chosen == "then_branch" else "then_branch"
        judged = len(self.spans)
        try:
            inner = witness.body(node.name, names, other, ())
            if inner is not None:
                self._follow(call.attributes[other], {}, inner, inner.outputs, outer, opsets)
        except GraphoptError:
            del self.spans[judged:]  # it is not made for these inputs: what came of it says nothing

    def _loop(
        self,
        name: str,
        call: Any,
        outer: Mapping[str, Estimated],
        opsets: Mapping[str, int],
        witness: Witness,
        names: Sequence[str],
    ) -> Sequence[Estimated]:
        body: Graph = call.attributes["body"]
        limit = None if call.inputs[0] is None else int(plain(call.inputs[0]).reshape(-1)[0])
        going = True if len(call.inputs) < 2 or call.inputs[1] is None else bool(plain(call.inputs[1]).reshape(-1)[0])
        state: list[Estimated] = list(call.inputs[2:])
        rows: list[list[Estimated]] = []
        turn = 0
        while going and (limit is None or turn < limit):
            if isinstance(self.run, Counting):
                self.run.turn()  # the body may hold no operator
            given = [np.array(turn, np.int64), np.array(going), *(plain(x) for x in state)]
            inner = witness.body(name, names, "body", given)
            outputs = None if inner is None else inner.outputs
            bound = dict(zip(body.inputs, [exact(given[0]), exact(given[1]), *state], strict=True))
            results = self._follow(body, bound, inner or Blind(), outputs, outer, opsets)
            going = bool(plain(results[0]).reshape(-1)[0])
            state = list(results[1 : 1 + len(state)])
            rows.append(list(results[1 + len(state) :]))
            turn += 1
        if not rows:
            control = control_of("Loop")
            assert control is not None
            inputs = tuple(plain(x) for x in call.inputs)
            plainly = type(call)(call.op, call.domain, call.version, call.attributes, inputs, call.outputs)
            return [exact(x) for x in control(plainly, {k: plain(x) for k, x in outer.items()}, opsets, self.run)]
        scans = [_stacked([row[i] for row in rows]) for i in range(len(rows[0]))]
        return [*state, *scans]


def judge(name: str, path: tuple[str, ...], result: Estimated, got: Any) -> Span:
    """How a value that was made compares with what it should be."""
    if not isinstance(result, Estimate):
        return Span(name, path, compare(result, got, Exactness.REASSOCIATE), 0.0)
    allowed = np.zeros(result.shape) if result.error is None else result.error
    if is_float(result.dtype):
        with np.errstate(all="ignore"):
            half = epsilon(result.dtype) / 2 * np.abs(result.value)
            allowed = allowed + np.where(np.isfinite(half), half, 0.0)
        off = _off(result, got)
        if off is not None:  # the ordinary case: all finite, all within what is allowed
            share = off / (allowed + smallest(result.dtype))
            if not share.size or float(np.max(share)) <= 1:
                return Span(name, path, Difference(), float(np.max(share, initial=0.0)))
    difference = compare(result.plain, got, Exactness.REASSOCIATE, allowed)
    return Span(name, path, difference, 0.0 if difference.agrees else np.inf)


def _off(result: Estimate, got: Any) -> np.ndarray | None:
    """How far each element is off; None where something is not finite, or of another shape or type."""
    array = np.asarray(got)
    if array.shape != result.shape or array.dtype != result.dtype:
        return None
    with np.errstate(all="ignore"):
        off = np.abs(array.astype(np.float64) - result.value)
    return off if np.isfinite(off).all() else None


class Blind:
    """A witness that knows nothing: what it stands for is evaluated whole."""

    def knows(self, name: str) -> bool:
        """No."""
        return False

    def value(self, name: str) -> Any:
        """Never asked."""
        raise KeyError(name)

    @property
    def outputs(self) -> Sequence[Any]:
        """Never asked."""
        return ()

    def constant(self, name: str) -> np.ndarray | None:
        """None."""
        return None

    def body(self, node: str, outputs: Sequence[str], attribute: str, given: Sequence[Any]) -> Witness | None:
        """None."""
        return None


def _stacked(rows: Sequence[Estimated]) -> Estimated:
    found = [row for row in rows if isinstance(row, Estimate)]
    if len(found) < len(rows):
        return exact(np.stack([plain(row) for row in rows]))
    value = np.stack([row.value for row in found])
    if all(row.error is None for row in found):
        return Estimate(value, found[0].dtype)
    errors = [np.zeros(row.shape) if row.error is None else row.error for row in found]
    return Estimate(value, found[0].dtype, np.stack(errors))


def _nan(array: np.ndarray) -> bool:
    return array.dtype.kind in "fc"


def _loosely(item: Any) -> Estimated:
    """A result whose error nobody followed: what the type's own precision and the square root of its size suggest."""
    found = exact(item)
    if not isinstance(found, Estimate) or not is_float(found.dtype):
        return found
    size = float(np.max(np.abs(found.value), where=np.isfinite(found.value), initial=0.0))
    return Estimate(found.value, found.dtype, np.full(found.shape, 64 * epsilon(found.dtype) * size))


def _described(node: Node) -> str:
    name = node.name or (node.source[0] if node.source else "")
    return f"{node.op} {name!r}" if name else node.op


def _names_shared(graph: Graph) -> set[str]:
    seen: dict[str, int] = {}
    queue = [graph]
    for scope in queue:
        for node in scope.nodes():
            for value in scope.outputs_of(node):
                if value is not None:
                    seen[value.name] = seen.get(value.name, 0) + 1
            queue.extend(scope.subgraphs_of(node))
    return {name for name, count in seen.items() if count > 1}


def _needed(graph: Graph) -> list[Node]:
    """The nodes that the outputs depend on, in order."""
    wanted = set(graph.outputs)
    found: list[Node] = []
    for node in reversed(graph.sorted_nodes()):
        if any(value in wanted for value in graph.outputs_of(node) if value is not None):
            found.append(node)
            wanted.update(graph.operands_of(node))
    return found[::-1]


def _uses(graph: Graph, order: Iterable[Node]) -> dict[Value, int]:
    left: dict[Value, int] = {}
    for node in order:
        for value in graph.operands_of(node):
            left[value] = left.get(value, 0) + 1
    for value in graph.outputs:
        left[value] = left.get(value, 0) + 1
    return left
