"""Object code: the same bytes everywhere, one exported symbol, no text relocations."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.bind import convolution, matmul, run
from graphopt_kernels.cache import emit_cached
from graphopt_kernels.emit import ALLOWED_UNDEFINED, emit
from graphopt_kernels.errors import EmitError, LinkError, LoadError
from graphopt_kernels.link import archive, link, members
from graphopt_kernels.load import open_library
from graphopt_kernels.targets import TARGETS, host_targets

SPECS = run.SPECS
PRODUCTS = (
    matmul.spec("float32"),
    matmul.pack_spec("float32"),
    *(convolution.spec(kernel, "float32") for kernel in ("convolution", "depthwise", "col2im")),
)
OBJDUMP = shutil.which("objdump")
NM = shutil.which("nm")

EMIT = """
import sys, hashlib
from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.emit import emit
from graphopt_kernels.bind import convolution, matmul, run
for spec in (*run.SPECS, matmul.spec("float32"), convolution.spec("col2im", "float32")):
    print(hashlib.sha256(emit(spec, sys.argv[1])).hexdigest())
"""


def hashes_in_a_new_process(target: str, seed: str) -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", EMIT, target]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_two_processes_with_two_hash_seeds_emit_the_same_bytes() -> None:
    first, second = (hashes_in_a_new_process("x86-64-v4", seed) for seed in ("1", "2"))
    # here, other kernels may have been compiled before: counters in Numba's names stand elsewhere
    specs = (*SPECS, matmul.spec("float32"), convolution.spec("col2im", "float32"))
    assert first == second == [hashlib.sha256(emit(spec, "x86-64-v4")).hexdigest() for spec in specs]


@pytest.mark.skipif(OBJDUMP is None, reason="needs objdump")
def test_code_for_avx2_has_no_avx512_and_code_for_avx512_does(tmp_path: Path) -> None:
    for spec in PRODUCTS:
        for target, expected in (("x86-64-v3", False), ("x86-64-v4", True)):
            (tmp_path / "k.o").write_bytes(emit_cached(spec, target))
            command = [str(OBJDUMP), "-d", "--no-show-raw-insn", "k.o"]
            text = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
            wide = bool(re.search(r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])|\{%k", text))
            assert wide <= expected
            assert wide or spec.family in ("matmul_pack", "col2im") or not expected


@pytest.mark.skipif(NM is None, reason="needs nm")
@pytest.mark.parametrize("target", TARGETS)
def test_an_object_exports_its_symbol_alone_and_needs_only_the_c_library(target: str, tmp_path: Path) -> None:
    for spec in (*SPECS, *PRODUCTS):
        (tmp_path / "k.o").write_bytes(emit_cached(spec, target))
        listing = subprocess.run([str(NM), "k.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        assert re.findall(r" [A-TV-Z] (\S+)", listing) == [spec.symbol]
        assert set(re.findall(r" U (\S+)", listing)) <= ALLOWED_UNDEFINED


def test_an_unknown_target_and_an_unknown_family_are_each_one_sentence() -> None:
    with pytest.raises(EmitError, match=r"cannot emit run\(part=loop\) for z80: unknown target; known are x86-64-v4"):
        emit(run.LOOP, "z80")
    with pytest.raises(EmitError, match="there is no family 'poetry'"):
        emit(KernelSpec.of("poetry"), "x86-64-v3")


@pytest.mark.skipif(not host_targets(), reason="no target for this machine")
def test_an_archive_of_objects_is_loaded_where_there_is_no_linker(tmp_path: Path) -> None:
    objects = [emit_cached(spec, host_targets()[-1]) for spec in SPECS]
    archive(objects, tmp_path / "kernels.o")
    library = open_library(tmp_path / "kernels.o")
    assert len({library.address(spec.symbol) for spec in SPECS}) == len(SPECS)
    with pytest.raises(LoadError, match="has no kernel graphopt_poetry"):
        library.address("graphopt_poetry")
    (tmp_path / "short.o").write_bytes((tmp_path / "kernels.o").read_bytes()[:-1])
    with pytest.raises(LoadError, match="cut short"):
        open_library(tmp_path / "short.o")
    assert members((tmp_path / "kernels.o").read_bytes()) == objects


def test_linking_twice_gives_the_same_bytes_and_no_text_relocations(tmp_path: Path) -> None:
    if not host_targets():
        pytest.skip("no target for this machine")
    objects = [emit_cached(spec, host_targets()[0]) for spec in (*SPECS, *PRODUCTS)]
    (tmp_path / "other").mkdir()
    link(objects, tmp_path / "a.so")
    link(objects, tmp_path / "other" / "b.so")
    assert (tmp_path / "a.so").read_bytes() == (tmp_path / "other" / "b.so").read_bytes()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".link")] == []


def test_objects_of_another_machine_are_refused_in_one_sentence(tmp_path: Path) -> None:
    foreign = next(name for name in TARGETS if TARGETS[name].machine != "x86_64")
    with pytest.raises(LinkError, match="cannot link 1 objects"):
        link([emit_cached(run.LOOP, foreign)], tmp_path / "a.so")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_a_library_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.so").write_bytes(b"\x7fELF nothing")
    with pytest.raises(LoadError, match=r"a\.so cannot be loaded"):
        open_library(tmp_path / "a.so")
