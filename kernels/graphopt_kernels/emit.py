"""From a `KernelSpec` to relocatable object code for a named target: the same bytes on every machine.

Numba turns the family's Python core into LLVM IR; Numba's own optimisation would look at the host's CPU, so the IR is
taken from before it, given to LLVM's O3 pipeline with a target machine of our own, and stripped of every name but the
exported symbol (mangled names carry a process-wide counter).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import codegen, compiler, cpu, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from graphopt_kernels import registry
from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.c_library import ALLOWED_UNDEFINED
from graphopt_kernels.errors import EmitError
from graphopt_kernels.targets import TARGETS, Target

__all__ = ["ALLOWED_UNDEFINED", "assembly", "emit"]


def emit(spec: KernelSpec, target: str) -> bytes:
    """A relocatable ELF object with one exported function, `spec.symbol`, of abi.py's signature.

    EmitError when the target is unknown, or the core does what needs Python or Numba at run time (raising, allocating).
    """
    if target not in TARGETS:
        raise EmitError(spec.text, target, f"unknown target; known are {', '.join(TARGETS)}")
    machine = _Machine(TARGETS[target])
    with global_compiler_lock:
        module = _optimised(spec, machine)
        return machine.emit_object(module)


def assembly(spec: KernelSpec, target: str) -> str:
    """The same code as text, for those who tune a kernel."""
    machine = _Machine(TARGETS[target])
    with global_compiler_lock:
        return machine.emit_assembly(_optimised(spec, machine))


class _Machine:
    """LLVM's view of a target."""

    def __init__(self, target: Target) -> None:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        self.target = target
        self.tm: Any = llvm.Target.from_triple(target.triple).create_target_machine(
            cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="default"
        )

    def optimise(self, module: Any) -> None:
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = options.loop_interleaving = (
            True
        )
        builder = llvm.create_pass_builder(self.tm, options)
        builder.getModulePassManager().run(module, builder)

    def emit_object(self, module: Any) -> bytes:
        return self.tm.emit_object(module)

    def emit_assembly(self, module: Any) -> str:
        return self.tm.emit_assembly(module)


class _RawLibrary(codegen.AOTCodeLibrary):
    """A code library that leaves IR as Numba wrote it, and makes nothing that Python could call."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = str(self.codegen.target_data)

    def _optimize_final_module(self) -> None:
        pass

    def get_pointer_to_function(self, name: str) -> int:
        return 0


class _RawCodegen(codegen.AOTCPUCodegen):
    _library_class = _RawLibrary

    def set_env(self, env_name: str, env: Any) -> None:
        """Environments serve Python objects, of which cores have none."""


_ARGUMENTS = (types.int64, types.int64, types.int64)
_codegen: list[_RawCodegen] = []
_internal: dict[Any, Any] = {}


@contextmanager
def _raw_context() -> Generator[Any]:
    """Numba's CPU context, for the moment with a code generator of our own; hold the compiler's lock.

    It is one generator for the process, as dispatchers keep the libraries of what cores call.
    """
    context: Any = cpu_target.target_context
    context.refresh()
    if not _codegen:
        _codegen.append(_RawCodegen("graphopt"))
    kept = context._internal_codegen, context.cached_internal_func, context.aot_mode
    context._internal_codegen, context.cached_internal_func, context.aot_mode = _codegen[0], _internal, True
    try:
        yield context
    finally:
        context._internal_codegen, context.cached_internal_func, context.aot_mode = kept


def _optimised(spec: KernelSpec, machine: _Machine) -> Any:
    core = registry.core(spec, machine.target)
    module = llvm.parse_assembly(_raw_ir(core, spec))
    module.triple = machine.target.triple
    module.data_layout = str(machine.tm.target_data)
    for item in (*module.functions, *module.global_variables):
        if item.is_declaration:
            continue
        if item.name != spec.symbol:
            item.linkage = "internal"
    machine.optimise(module)
    _strip(module, spec, machine.target)
    return module


def _strip(module: Any, spec: KernelSpec, target: Target) -> None:
    """Names of the module's own are made private and numbered; names that nobody will define are an error."""
    private = 0
    for item in (*module.functions, *module.global_variables):
        if not item.is_declaration and item.name != spec.symbol:
            item.name, item.linkage = f"g{private}", "private"
            private += 1
        elif item.is_declaration and not item.name.startswith("llvm.") and item.name not in ALLOWED_UNDEFINED:
            raise EmitError(spec.text, target.name, f"its code needs {item.name}, which no C library defines")
    module.name = spec.symbol


def _raw_ir(core: Callable[[int, int, int], None], spec: KernelSpec) -> str:
    """The core and all it calls as Numba's unoptimised IR, with a C entry point named `spec.symbol`."""
    if list(inspect.signature(core).parameters) != ["block", "member", "team"]:
        raise TypeError(f"{core} is not a core: its parameters are not (block, member, team)")
    typing = cpu_target.typing_context
    flags: Any = compiler.Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.nrt = False
    flags.error_model = "numpy"
    with _raw_context() as context:
        library = context.codegen().create_library(spec.symbol)
        result = compiler.compile_extra(
            typing, context, core, _ARGUMENTS, types.none, flags, locals={}, library=library
        )
        _add_entry(library, context, result.fndesc, spec.symbol)
        library.finalize()
        return library.get_llvm_str()


def _add_entry(library: Any, context: cpu.CPUContext, described: Any, symbol: str) -> None:
    """`void symbol(int64, int64, int64)`, which calls the compiled core by Numba's own convention."""
    module = library.create_ir_module("entry")
    word = ir.IntType(64)
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), [word] * 3), symbol)
    builder = ir.IRBuilder(entry.append_basic_block("entry"))
    callee = context.declare_function(module, described)
    context.call_conv.call_function(builder, callee, types.none, _ARGUMENTS, list(entry.args))
    builder.ret_void()
    library.add_ir_module(module)
