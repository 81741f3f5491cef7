"""From a program and concrete shapes to a `Part`: shapes by shape rules, launches by binders, memory by liveness.

The walk goes step by step.  What shapes alone decide is computed here, once (`Shape`, `Gather`, `Concat` before a
Reshape); what stays unknown ends the part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphopt.errors import GraphoptError
from graphopt.program import KernelCall, Program, Step, StepKind
from graphopt.runtime.arena import Lifetime, aligned, place
from graphopt.runtime.derive import Derived, derive, wanted
from graphopt.runtime.facts import ProgramFacts
from graphopt.runtime.memory import afford, joined
from graphopt.runtime.misfit import misfit
from graphopt.runtime.native import LARGEST_TEAM
from graphopt.runtime.plan import (
    ARENA,
    EXTERNAL,
    LITERALS,
    Action,
    Bound,
    Evaluate,
    Fresh,
    Native,
    Next,
    Opaque,
    Part,
    Result,
    Tensor,
    View,
)
from graphopt.runtime.weights import Weights
from graphopt_kernels.abi import Launch, Operand, Ref
from graphopt_kernels.bind.table import family
from graphopt_kernels.faults import FAULTS
from graphopt_kernels.reach.hold import hold

IN_PLACE = frozenset({"elementwise"})
"""Families whose output may lie where an operand of the same type and shape lies."""

_LOCAL = 1 << 20
"""Buffers from here on are lifetimes, until the arena is planned."""


def bind(program: Program, facts: ProgramFacts, weights: Weights, env: Mapping[int, Bound], start: int) -> Part:
    """The part that begins at step `start` with the values of `env`.

    Raises InputError in one sentence when the shapes do not fit an operator.
    """
    walk = _Walk(program, facts, weights, dict(env), start)
    walk.run()
    return walk.finish()


@dataclass(slots=True)
class _Walk:
    program: Program
    facts: ProgramFacts
    weights: Weights
    env: dict[int, Bound]
    start: int
    actions: list[Action] = field(default_factory=list[Action])
    launches: list[Launch] = field(default_factory=list[Launch])
    names: list[int] = field(default_factory=list[int])
    lifetimes: list[Lifetime] = field(default_factory=list[Lifetime])
    literals: list[np.ndarray] = field(default_factory=list[np.ndarray])
    literal_bytes: int = 0
    external: list[int] = field(default_factory=list[int])
    external_of: dict[int, int] = field(default_factory=dict[int, int])
    fresh: list[Fresh] = field(default_factory=list[Fresh])
    claimed: set[int] = field(default_factory=set[int])
    root: dict[int, int] = field(default_factory=dict[int, int])
    """Value → the lifetime it lives in."""
    outside: set[int] = field(default_factory=set[int])
    shaped: set[int] = field(default_factory=set[int])
    """Constants of which only the packed form is kept."""
    next: Next | None = None

    def run(self) -> None:
        self.outside = set(self.env)
        for index in range(self.start, len(self.program.steps)):
            step = self.program.steps[index]
            try:
                going = self._step(index, step)
            except (GraphoptError, ValueError, TypeError, LookupError, ArithmeticError) as error:
                raise misfit(step, error) from error
            if not going:
                return

    def _step(self, index: int, step: Step) -> bool:
        try:
            return self._bound_step(index, step)
        except (AttributeError, AssertionError) as error:  # the attributes come from a file that may say anything
            raise ValueError("its attributes are not what the operator takes") from error

    def _bound_step(self, index: int, step: Step) -> bool:
        operands = [self.bound(value) for value in step.inputs]
        derived = derive(self.program, step, operands) if not step.subprograms else None
        if derived is None:
            missing = wanted(self.program, step, operands)
            for value in self.shaped.intersection(missing):
                raise ValueError(f"the elements of {self.program.values[value].name!r} are not kept")
            if missing:
                self.next = Next(index, values=tuple(missing))
                return False
            self._evaluate(index, step, None)
            self.next = Next(index + 1, shapes=tuple(step.writes()))
            return False
        if derived.known is not None:
            self._known(step, derived)
        elif step.kind is StepKind.KERNEL:
            self._kernel(index, step, derived)
        elif step.kind is StepKind.ALIAS:
            self._alias(index, step, derived)
        else:
            self._evaluate(index, step, derived)
        return True

    # ---- values -------------------------------------------------------------------------------------

    def bound(self, value: int | None) -> Bound | None:
        """What is known of a value; constants are looked up on first use."""
        if value is None:
            return None
        found = self.env.get(value)
        if found is None:
            found = self.env[value] = self._constant(value)
        return found

    def _constant(self, value: int) -> Bound:
        info = self.program.values[value]
        if info.weight is not None:
            return self.weights.bound(info.weight)
        self.shaped.add(value)
        return self.weights.shape_only(info)

    def _placed(self, value: int) -> Tensor:
        """The value as a kernel's operand: with an address."""
        found = self.bound(value)
        if not isinstance(found, Tensor):
            raise ValueError(f"{self.program.values[value].name!r} is no tensor of known shape")
        if found.buffer is None:
            if found.known is not None:
                found = self._literal(found, found.known)
            else:
                found = Tensor(found.dtype, found.shape, self._import(value), 0)
            self.env[value] = found
        return found

    def _import(self, value: int) -> int:
        if value not in self.external_of:
            self.external_of[value] = len(self.external)
            self.external.append(value)
        return EXTERNAL + self.external_of[value]

    def _literal(self, tensor: Tensor, elements: np.ndarray) -> Tensor:
        offset = self.literal_bytes
        afford(self.literal_bytes + tensor.nbytes)
        array = np.require(elements, tensor.dtype, "C")
        self.literals.append(array)
        self.literal_bytes += aligned(array.nbytes)
        return Tensor(tensor.dtype, tensor.shape, LITERALS, offset, elements)

    def _allocate(self, value: int, dtype: np.dtype, shape: tuple[int, ...], index: int) -> Tensor:
        """Memory for what a step computes: an output's own array, or a lifetime in the arena."""
        output = self.facts.output_of.get(value)
        tensor = Tensor(dtype, shape)
        afford(tensor.nbytes)
        if output is not None and output not in self.claimed:
            self.claimed.add(output)
            self.fresh.append(Fresh(len(self.external), value, dtype, shape))
            self.external.append(-1)
            made = Tensor(dtype, shape, EXTERNAL + len(self.external) - 1, 0)
        else:
            last = max(self.facts.last_use[value], index)
            self.lifetimes.append(Lifetime(tensor.nbytes, index, last))
            made = Tensor(dtype, shape, _LOCAL + len(self.lifetimes) - 1, 0)
        self.env[value] = made
        return made

    # ---- steps --------------------------------------------------------------------------------------

    def _known(self, step: Step, derived: Derived) -> None:
        assert derived.known is not None
        for value, (dtype, shape), elements in zip(step.outputs, derived.types, derived.known, strict=True):
            if value is not None:
                self.env[value] = Tensor(dtype, shape, known=elements)

    def _alias(self, index: int, step: Step, derived: Derived) -> None:
        source, made = step.inputs[0], step.outputs[0]
        assert source is not None
        assert made is not None
        operand = self.env[source]
        (dtype, shape) = derived.types[0]
        if not isinstance(operand, Tensor) or operand.dtype != dtype:
            raise ValueError("an alias changes the element type")
        if operand.nbytes != Tensor(dtype, shape).nbytes:
            raise ValueError(f"shape {list(operand.shape)} cannot become {list(shape)}")
        known = None if operand.known is None else operand.known.reshape(shape)
        if operand.buffer is None and known is None:
            if source in self.outside and made in self.facts.native:
                operand = self._placed(source)
            else:
                self.actions.append(View(source, made, shape))
                self.env[made] = Tensor(dtype, shape)
                return
        self.env[made] = Tensor(dtype, shape, operand.buffer, operand.offset, known)

    def _kernel(self, index: int, step: Step, derived: Derived) -> None:
        assert step.kernel is not None
        inputs = [None if value is None else self._operand(value) for value in step.kernel.inputs]
        for slot in step.kernel.attributes.get("packed", ()):
            inputs[slot] = self._under_its_own_shape(inputs[slot], step.inputs[slot])
        outputs: list[Operand] = []
        for value, (dtype, shape) in zip(step.outputs, derived.types, strict=True):
            if value is None:
                tensor = Tensor(dtype, shape)
                outputs.append(Operand(dtype, shape, self._scratch(index, tensor.nbytes)))
            else:
                twin = self._dying_twin(index, step.kernel, dtype, shape) if len(step.outputs) == 1 else None
                if twin is None or value in self.facts.output_of:
                    tensor = self._allocate(value, dtype, shape, index)
                else:
                    self.lifetimes[twin - _LOCAL].last = max(self.facts.last_use[value], index)
                    tensor = self.env[value] = Tensor(dtype, shape, twin, 0)
                outputs.append(Operand(dtype, shape, tensor.ref))
        binder = family(step.kernel.family).bind
        attributes = {**step.kernel.attributes, "threads": LARGEST_TEAM}
        made = binder(inputs, outputs, attributes, lambda nbytes: self._scratch(index, nbytes))
        hold(made, [operand for operand, value in zip(outputs, step.outputs, strict=True) if self._is_read(value)])
        if not made:
            return
        last = self.actions[-1] if self.actions else None
        if isinstance(last, Native):
            self.actions[-1] = Native(last.first, last.count + len(made))
        else:
            self.actions.append(Native(len(self.launches), len(made)))
        self.launches.extend(made)
        self.names.extend([index] * len(made))

    def _is_read(self, value: int | None) -> bool:
        """Whether a step, or the caller, looks at the value: old models name outputs that no kernel computes."""
        return value is not None and self.facts.last_use[value] >= 0

    def _dying_twin(self, index: int, kernel: KernelCall, dtype: np.dtype, shape: tuple[int, ...]) -> int | None:
        """The buffer of an operand that nobody reads after this step and that the output can take over."""
        if kernel.family not in IN_PLACE:
            return None
        operands = [self.env[value] for value in kernel.inputs if value is not None]
        tensors = [operand for operand in operands if isinstance(operand, Tensor)]
        for operand in tensors:
            buffer = operand.buffer
            if buffer is None or buffer < _LOCAL or (operand.dtype, operand.shape) != (dtype, shape):
                continue
            alone = all(other.shape == shape for other in tensors if other.buffer == buffer)
            if alone and self.lifetimes[buffer - _LOCAL].last == index:
                return buffer
        return None

    def _operand(self, value: int) -> Operand:
        tensor = self._placed(value)
        return Operand(tensor.dtype, tensor.shape, tensor.ref, tensor.known)

    def _under_its_own_shape(self, packed: Operand | None, value: int | None) -> Operand:
        """A packed constant as binders see it: at its address, with the shape that the operator knows."""
        logical = self.bound(value)
        if packed is None or not isinstance(logical, Tensor):
            raise ValueError("a packed operand has no shape")
        return Operand(packed.dtype, logical.shape, packed.ref)

    def _scratch(self, index: int, nbytes: int) -> Ref:
        self.lifetimes.append(Lifetime(afford(nbytes), index, index))
        return Ref.to(_LOCAL + len(self.lifetimes) - 1, 0, nbytes)

    def _evaluate(self, index: int, step: Step, derived: Derived | None) -> None:
        copies: list[tuple[int, int]] = []
        owned: list[int] = []
        types: Sequence[tuple[np.dtype, tuple[int, ...]] | None] = (
            derived.types if derived is not None else [None] * len(step.outputs)
        )
        for slot, (value, type) in enumerate(zip(step.outputs, types, strict=True)):
            if value is None:
                continue
            owned.append(slot)
            if type is None:
                self.env[value] = Opaque()
            elif value in self.facts.native:
                self._allocate(value, type[0], type[1], index)
                copies.append((slot, value))
            else:
                self.env[value] = Tensor(type[0], type[1])
        planned = tuple((slot, *type) for slot, type in enumerate(types) if slot in owned and type is not None)
        self.actions.append(Evaluate(index, tuple(copies), tuple(owned), planned))

    # ---- the end ------------------------------------------------------------------------------------

    def finish(self) -> Part:
        end = len(self.program.steps) if self.next is None else self.next.step
        for lifetime in self.lifetimes:
            if lifetime.last >= end:
                lifetime.last = len(self.program.steps)
        offsets, arena_bytes = place(self.lifetimes)
        afford(arena_bytes)

        def settle(ref: Ref) -> Ref:
            if ref.buffer < _LOCAL:
                return ref
            start = offsets[ref.buffer - _LOCAL]
            return Ref(ARENA, start + ref.offset, start + ref.begin, start + ref.end)

        launches = tuple(
            Launch(launch.spec, tuple(settle(f) if isinstance(f, Ref) else f for f in launch.fields), launch.work)
            for launch in self.launches
        )
        for value, bound in self.env.items():
            if isinstance(bound, Tensor) and bound.buffer is not None and bound.buffer >= _LOCAL:
                spot = settle(bound.ref)
                self.env[value] = Tensor(bound.dtype, bound.shape, spot.buffer, spot.offset, bound.known)
        results = self._results() if self.next is None else ()
        native = all(isinstance(action, Native) for action in self.actions)
        return Part(
            actions=tuple(self.actions),
            launches=launches,
            names=tuple(self.names),
            literals=joined(self.literals),
            arena_bytes=arena_bytes,
            externals=tuple(self.external),
            fresh=tuple(self.fresh),
            views=self._views(end, results),
            env=self.env,
            next=self.next,
            results=results,
            direct=native and self.next is None and all(result.external is not None for result in results),
            indexed=any(isinstance(f, Ref) and f.buffer == FAULTS for launch in launches for f in launch.fields),
        )

    def _results(self) -> tuple[Result, ...]:
        """Where each output is found: in a fresh array that is its alone, or in the frame (to copy or not)."""
        taken: set[int] = set()
        results: list[Result] = []
        for output in self.program.outputs:
            bound = self.bound(output.value)
            if isinstance(bound, Tensor) and bound.buffer is not None and bound.buffer >= EXTERNAL:
                external = bound.buffer - EXTERNAL
                if self.external[external] == -1 and external not in taken:
                    taken.add(external)
                    results.append(Result(output.value, bound.shape, external))
                    continue
            ours = output.value in self.facts.evaluated and not any(r.value == output.value for r in results)
            planned = isinstance(bound, Tensor) and (
                bound.known is not None or (bound.buffer is not None and output.value not in self.external_of)
            )
            results.append(Result(output.value, None, None, copy=planned or not ours))
        return tuple(results)

    def _views(self, end: int, results: Sequence[Result]) -> tuple[tuple[int, Tensor], ...]:
        """The values that Python will look at: operands of evaluated steps, what later parts need, the results."""
        seen: dict[int, None] = {}
        for action in self.actions:
            match action:
                case Evaluate(step=index, copies=copies):
                    seen.update(dict.fromkeys(self.program.steps[index].reads()))
                    seen.update(dict.fromkeys(value for _, value in copies))
                case View(source=source):
                    seen[source] = None
                case Native():
                    pass
        for value, bound in self.env.items():
            later = self.next is not None and self.facts.last_use[value] >= end and not isinstance(bound, Opaque)
            if later:
                seen[value] = None
        seen.update(dict.fromkeys(result.value for result in results if result.external is None))
        if self.next is not None:
            seen.update(dict.fromkeys(self.next.values))
        placed: list[tuple[int, Tensor]] = []
        for value in seen:
            bound = self.bound(value)
            if isinstance(bound, Tensor) and (bound.buffer is not None or bound.known is not None):
                if self.program.values[value].weight is not None or value in self.external_of:
                    continue  # the frame has it already
                placed.append((value, bound))
        return tuple(placed)
