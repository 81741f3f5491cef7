"""Runs a program: finds or binds the plan for the shapes that came, and walks its actions.

An `Executor` is safe to use from several threads: plans are shared and never change, memory is borrowed by one run.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from ctypes import addressof, c_char
from typing import Any

import numpy as np

from graphopt.check.call import run_call
from graphopt.errors import GraphoptError, InputError
from graphopt.ops.table import Call
from graphopt.program import Program
from graphopt.runtime.binding import bind
from graphopt.runtime.context import Context, make_context
from graphopt.runtime.control import run_control
from graphopt.runtime.facts import facts_of_program
from graphopt.runtime.misfit import misfit
from graphopt.runtime.native import Kernels
from graphopt.runtime.plan import WEIGHTS, Bound, Evaluate, Native, Opaque, Part, Tensor, View
from graphopt.runtime.pool import PlanTable
from graphopt.runtime.weights import Weights
from graphopt_kernels.faults import BLOCK, said
from graphopt_kernels.team import Table


class Executor:
    """One program with its weights and kernels, ready for inputs of any shapes."""

    def __init__(self, program: Program, weights: Weights, kernels: Kernels, threads: int = 1) -> None:
        self.program = program
        self.weights = weights
        self.kernels = kernels
        self.threads = threads
        self.facts = facts_of_program(program)
        self.plans: PlanTable[Hashable, Part] = PlanTable()
        self.entries = (*program.inputs, *program.captures)
        self.inner: dict[int, dict[str, Executor]] = {
            index: {sub.attribute: Executor(sub.program, weights, kernels, threads) for sub in step.subprograms}
            for index, step in enumerate(program.steps)
            if step.subprograms
        }
        self._template: list[Any] = [None] * len(program.values)
        for value, info in enumerate(program.values):
            if info.weight is not None:
                self._template[value] = weights.array(info.weight)

    def set_threads(self, threads: int) -> None:
        """Let later runs use that many threads."""
        self.threads = threads
        for group in self.inner.values():
            for executor in group.values():
                executor.set_threads(threads)

    def run(self, given: Sequence[Any]) -> list[Any]:
        """The outputs, in order, for the inputs (and captures), in order: arrays of their own, C-contiguous inputs."""
        return self.run_part(self.plan(given), given)

    def run_part(self, part: Part, given: Sequence[Any]) -> list[Any]:
        """As `run`, for inputs whose first part is known."""
        return self._run_direct(part, given) if part.direct else self._run_parts(part, given)

    def plan(self, given: Sequence[Any]) -> Part:
        """The first part of the plan for these inputs."""
        key = tuple([signature(value) for value in given])
        found = self.plans.get(key)
        if found is None:
            found = self.plans.get_or_make(key, lambda: self._bind(dict(zip(self.entries, given, strict=True))))
        return found

    def known(self, given: Sequence[Any]) -> Part | None:
        """The first part for inputs like these, if it was made before."""
        return self.plans.get(tuple([signature(value) for value in given]))

    def _bind(self, arrays: dict[int, Any]) -> Part:
        env = {value: bound_of(array) for value, array in arrays.items()}
        return bind(self.program, self.facts, self.weights, env, 0)

    def _context(self, part: Part) -> Context:
        return part.contexts.take(lambda: make_context(part, self.weights, self.kernels))

    def _run_direct(self, part: Part, given: Sequence[Any]) -> list[Any]:
        """All native: no frame.

        The arrays are as long as the plan says: those of the request by the key under which it was found, the others
        because they are made here.
        """
        if len(part.order) != len(part.externals):
            where = {value: i for i, value in enumerate(self.entries)}
            part.order = tuple(where.get(value, -1) for value in part.externals)
        externals: list[Any] = [None if i < 0 else given[i] for i in part.order]
        for fresh in part.fresh:
            externals[fresh.external] = np.empty(fresh.shape, fresh.dtype)
        context = self._context(part)
        try:
            self._patch(context, externals)
            for table in context.tables:
                self.kernels.run(table, self.threads)
            cell = context.cell
            if cell is not None and cell[0]:
                raise self._outside(part, context, list(cell))
        except BaseException:
            context.forget()
            raise
        finally:
            part.contexts.give(context)
        return [externals[r.external].reshape(r.shape) for r in part.results if r.external is not None]

    def _run_parts(self, part: Part, given: Sequence[Any]) -> list[Any]:
        frame = self.new_frame(given)
        borrowed: list[tuple[Part, Context]] = []
        try:
            while True:
                context = self._context(part)
                borrowed.append((part, context))
                externals = self._walk(part, context, frame)
                if part.next is None:
                    return self._collect(part, externals, frame)
                part = self.following(part, frame)
        except BaseException:
            for _, context in borrowed:
                context.forget()
            raise
        finally:
            for used, context in borrowed:
                used.contexts.give(context)

    def new_frame(self, given: Sequence[Any]) -> list[Any]:
        """A place for every value: constants and inputs are there."""
        frame = self._template.copy()
        for value, array in zip(self.entries, given, strict=True):
            frame[value] = array
        return frame

    def enter(self, part: Part, context: Context, frame: list[Any]) -> list[np.ndarray]:
        """Make the part ready to run in the frame; gives its external arrays."""
        externals = self._externals(part, frame)
        for array, need in zip(externals, context.needs, strict=True):
            if array.nbytes < need:
                raise InputError(f"an array of {array.nbytes} bytes stands where the plan has one of {need}")
        self._patch(context, externals)
        for value, view in context.views:
            frame[value] = view
        for value, external, shape in context.late:
            frame[value] = externals[external].reshape(shape)
        return externals

    def launch(self, part: Part, context: Context, table: Table) -> None:
        """Run one of the part's tables; InputError where a launch met an index outside its axis."""
        self.kernels.run(table, self.threads)
        cell = context.cell
        if cell is not None and cell[0]:
            raise self._outside(part, context, list(cell))

    def _outside(self, part: Part, context: Context, cell: Sequence[int]) -> InputError:
        """What the cell tells, and of which step."""
        word = (cell[BLOCK] - context.blocks.ctypes.data) // 8
        step = self.program.steps[part.names[context.starts.index(word)]]
        indices = step.kernel.inputs[1] if step.kernel is not None and len(step.kernel.inputs) > 1 else None
        name = "" if indices is None else self.program.values[indices].name
        return InputError(f"these inputs do not fit the model: at {step.where}: {said(cell, name)}")

    @staticmethod
    def view(action: View, frame: list[Any]) -> None:
        """Put a value of the frame there under another shape."""
        frame[action.made] = np.reshape(frame[action.source], action.shape)

    def _walk(self, part: Part, context: Context, frame: list[Any]) -> list[np.ndarray]:
        externals = self.enter(part, context, frame)
        tables = iter(context.tables)
        for action in part.actions:
            match action:
                case Native():
                    self.launch(part, context, next(tables))
                case Evaluate():
                    self.evaluate(action, frame)
                case View():
                    self.view(action, frame)
        return externals

    def _externals(self, part: Part, frame: Any) -> list[np.ndarray]:
        arrays: list[Any] = [None if value < 0 else frame[value] for value in part.externals]
        for fresh in part.fresh:
            arrays[fresh.external] = np.empty(fresh.shape, fresh.dtype)
        return arrays

    @staticmethod
    def _patch(context: Context, externals: Sequence[np.ndarray]) -> None:
        addresses = [address_of(array) for array in externals]
        words = context.words
        for word, external, offset in context.patches:
            words[word] = addresses[external] + offset

    def evaluate(self, action: Evaluate, frame: list[Any]) -> None:
        """Run a step in Python: its operator's meaning, or its subprograms."""
        step = self.program.steps[action.step]
        operands = [None if value is None else frame[value] for value in step.inputs]
        version = self.program.version(step.domain)
        try:
            if step.subprograms:
                captures = {sub.attribute: [frame[value] for value in sub.captures] for sub in step.subprograms}
                results = run_control(step, version, self.inner[action.step], operands, captures)
            else:
                results = run_call(
                    Call(step.op, step.domain, version, step.attributes, tuple(operands), len(step.outputs))
                )
        except GraphoptError as error:
            raise misfit(step, error) from error
        if len(results) < len(step.outputs):
            raise InputError(f"{step.op} {step.name!r} gave {len(results)} of {len(step.outputs)} outputs")
        for slot, dtype, shape in action.planned:
            given = results[slot]
            if not isinstance(given, np.ndarray | np.generic) or given.shape != shape or given.dtype != dtype:
                got = f"{given.dtype}{list(given.shape)}" if isinstance(given, np.ndarray) else type(given).__name__
                raise InputError(f"{step.where} gave {got}, its shape rule says {dtype}{list(shape)}")
        targets = dict(action.copies)
        for slot, value in enumerate(step.outputs):
            if value is None:
                continue
            if slot in targets:
                np.copyto(frame[value], results[slot])
            else:
                frame[value] = own(results[slot], operands)

    def following(self, part: Part, frame: list[Any]) -> Part:
        """The part that goes on where this one ended, by what the data gave."""
        assert part.next is not None
        reason = part.next
        if reason.values:
            key: Hashable = tuple([frame[value].tobytes() for value in reason.values])
        else:
            key = tuple([signature(frame[value]) for value in reason.shapes])
        found = part.children.get(key)
        return found if found is not None else part.children.get_or_make(key, lambda: self._bind_next(part, frame))

    def _bind_next(self, part: Part, frame: list[Any]) -> Part:
        assert part.next is not None
        reason = part.next
        env: dict[int, Bound] = {}
        for value, bound in part.env.items():
            if self.facts.last_use[value] < reason.step and value not in reason.values:
                continue
            if isinstance(bound, Tensor) and bound.buffer != WEIGHTS:
                bound = Tensor(bound.dtype, bound.shape, known=bound.known)
            env[value] = bound
        for value in reason.shapes:
            env[value] = bound_of(frame[value])
        for value in reason.values:
            array = np.array(frame[value])
            env[value] = Tensor(array.dtype, array.shape, known=array)
        return bind(self.program, self.facts, self.weights, env, reason.step)

    @staticmethod
    def _collect(part: Part, externals: Sequence[np.ndarray], frame: Sequence[Any]) -> list[Any]:
        made: list[Any] = []
        for result in part.results:
            if result.external is not None and result.shape is not None:
                made.append(externals[result.external].reshape(result.shape))
            elif result.copy:
                made.append(_copy(frame[result.value]))
            else:
                made.append(frame[result.value])
        return made


def signature(value: Any) -> Hashable:
    """What of a value decides the plan: dtype and shape of an array."""
    return (value.dtype.num, value.shape) if isinstance(value, np.ndarray) else type(value)


def address_of(array: Any) -> int:
    """Where an array's elements begin.  A ctypes object over the buffer tells it sooner than `array.ctypes` does."""
    try:
        return addressof(_from_buffer(array))
    except (TypeError, ValueError, BufferError):  # read-only, empty, or of a type the buffer protocol does not know
        return array.ctypes.data


_from_buffer = c_char.from_buffer


def bound_of(array: Any) -> Bound:
    """A value that is there, as binding sees it."""
    return Tensor(array.dtype, array.shape) if isinstance(array, np.ndarray) else Opaque()


def own(result: Any, operands: Sequence[Any]) -> Any:
    """A result as an array of its own: C-contiguous, and sharing no memory with the operands; a map as it is."""
    if isinstance(result, list):
        return [own(item, operands) for item in result]
    if isinstance(result, dict):
        return dict(result)
    if result is None:
        return None
    array = np.asarray(result)
    if not array.flags.c_contiguous or array.base is not None or array is not result:
        return np.array(array, order="C")
    return np.array(array) if any(array is operand for operand in operands) else array


def _copy(value: Any) -> Any:
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if isinstance(value, dict):
        return dict(value)
    return None if value is None else np.array(value, order="C")
