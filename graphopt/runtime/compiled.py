"""A compiled model: call it with arrays by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np

from graphopt.errors import InputError, RefusedError
from graphopt.ir.types import TensorType
from graphopt.program import Program
from graphopt.runtime.executor import Executor
from graphopt.runtime.native import Kernels
from graphopt.runtime.profile import CallTime, profile
from graphopt.runtime.signature import Port, conform
from graphopt.runtime.weights import Weights


class Compiled:
    """A model ready to run.

    `compiled({name: array}) -> {name: array}` may be called from several threads at once; the arrays it returns belong
    to the caller.  `inputs` and `outputs` are the signature, `report` what compiling or loading knows of the model.
    """

    def __init__(
        self,
        program: Program,
        weights: Weights,
        kernels: Kernels,
        report: Any,
        threads: int,
        save: Callable[[Path], object],
    ) -> None:
        self.program = program
        self.report = report
        self._executor = Executor(program, weights, kernels, threads)
        self._save = save
        self.inputs: tuple[Port, ...] = tuple(
            Port(program.values[value].name, program.values[value].type, value in program.defaults)
            for value in program.inputs
        )
        self.outputs: tuple[Port, ...] = tuple(
            Port(output.name, program.values[output.value].type) for output in program.outputs
        )
        self._defaults = [
            weights.array(program.defaults[value]) if value in program.defaults else None for value in program.inputs
        ]
        self._names = [output.name for output in program.outputs]
        self._fast = [(port.name, _native(port)) for port in self.inputs]

    @property
    def threads(self) -> int:
        """How many threads take part in a large call."""
        return self._executor.threads

    @threads.setter
    def threads(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"threads must be at least 1, got {count}")
        self._executor.set_threads(count)

    def __call__(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs by name, as arrays of their own.

        InputError, in one sentence with what was expected and what came, for inputs that do not fit the signature.
        """
        if type(feeds) is not dict and not hasattr(feeds, "keys"):
            raise InputError(f"expected inputs by name, as in {{'x': array}}, got {type(feeds).__name__}")
        try:
            arrays = self._plain(feeds)
            part = None if arrays is None else self._executor.known(arrays)
            if arrays is None or part is None:
                results = self._executor.run(self._arrays(feeds))
            else:
                results = self._executor.run_part(part, arrays)
        except MemoryError as error:
            raise InputError(f"this request needs more memory than there is ({error}); make it smaller") from error
        return dict(zip(self._names, results, strict=True))

    def profile(self, feeds: Mapping[str, Any], repeats: int = 10) -> list[CallTime]:
        """Where the time goes, step by step; inputs as for a call."""
        return profile(self._executor, self._arrays(feeds), repeats)

    def save(self, path: str | Path) -> None:
        """Write the bundle to `path`, a folder that does not exist yet or is a bundle; it appears complete or not."""
        self._save(Path(path))

    def withdraw(self, why: str) -> None:
        """Refuse every further call with RefusedError and this sentence; a call that has begun ends as it began.

        For any thread, and for good.  It costs a call nothing: what runs is taken away, so nothing has to be asked.
        """
        self._executor = cast("Executor", _Withdrawn(why))

    def _arrays(self, feeds: Mapping[str, Any]) -> list[Any]:
        return conform(self.inputs, feeds, self._defaults)

    def _plain(self, feeds: Mapping[str, Any]) -> list[Any] | None:
        """The arrays in order, where they can be taken as they are if there is a plan for their shapes."""
        if len(feeds) != len(self._fast):
            return None
        arrays: list[Any] = []
        for name, dtype in self._fast:
            array = feeds.get(name)
            if type(array) is not np.ndarray or (array.dtype is not dtype and array.dtype != dtype):
                return None
            flags = array.flags
            if not (flags.c_contiguous and flags.aligned):
                return None
            arrays.append(array)
        return arrays


class _Withdrawn:
    """Stands where the executor was."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __getattr__(self, name: str) -> NoReturn:
        raise RefusedError(f"refused while it was running: {self._why}; once it may run again, load it again")


def _native(port: Port) -> np.dtype | None:
    if not isinstance(port.type, TensorType) or port.type.dtype is None:
        return None
    dtype = port.type.dtype.numpy
    return None if dtype.kind == "O" else dtype
