"""What a library would bring with it is read from it before it is loaded, and refused."""

from __future__ import annotations

import os
import platform
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from graphopt_kernels.elf import check_library, check_object
from graphopt_kernels.errors import LoadError
from graphopt_kernels.link import OPTIONS, archive, link, linker
from graphopt_kernels.load import open_library

CC = linker()
FLIPS = int(os.environ.get("GRAPHOPT_FLIPS_ELF", "3000"))
pytestmark = [
    pytest.mark.skipif(CC is None, reason="needs a C compiler"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the libraries are for x86-64"),
]

KERNEL = """
#include <string.h>
#include <math.h>
static double graphopt_table[4] = {1, 2, 3, 4};
void graphopt_kernel(long block, long member, long team) {
    memmove((void*)block, (void*)member, team); graphopt_table[0] = erf(graphopt_table[1]);
}
"""


def objects(folder: Path, source: str = KERNEL, *options: str) -> bytes:
    (folder / "k.c").write_text(source)
    command = [str(CC), "-O1", "-fPIC", "-fno-builtin", "-fno-stack-protector", "-c", "k.c", "-o", "k.o", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "k.o").read_bytes()


def library(folder: Path, source: str = KERNEL, *options: str, usual: bool = True) -> Path:
    """A shared library as `link` makes one, with `options` added."""
    objects(folder, source)
    path = folder / "kernels.so"
    command = [str(CC), *(OPTIONS if usual else ()), "-shared", "-o", str(path), "k.o", *options, "-lm", "-lc"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return path


def test_what_link_makes_is_let_in(tmp_path: Path) -> None:
    link([objects(tmp_path)], tmp_path / "kernels.so")
    assert open_library(tmp_path / "kernels.so").address("graphopt_kernel")


def helper(folder: Path) -> str:
    (folder / "h.c").write_text("int help(void) { return 7; }")
    subprocess.run([str(CC), "-shared", "-o", "helper.so", "h.c"], cwd=folder, check=True, capture_output=True)
    return str(folder / "helper.so")


def constructor(folder: Path) -> str:
    return (
        KERNEL
        + f"""
#include <fcntl.h>
__attribute__((constructor)) static void begin(void) {{ creat("{folder}/ran", 0600); }}
"""
    )


IFUNC = (
    KERNEL
    + """
static void mine(long a, long b, long c) {}
static void *choose(void) { return mine; }
void graphopt_other(long, long, long) __attribute__((ifunc("choose")));
"""
)
DESTRUCTOR = "__attribute__((destructor)) static void end(void) { graphopt_table[1] = 5; }"
THREADS = "__thread long graphopt_own; long *graphopt_get() { return &graphopt_own; }"
COMPARES = "int memcmp(const void *a, const void *b, unsigned long n) { return 0; }"
CALLS = 'int system(const char *); int graphopt_s(void) { return system("id"); }'
OPENS = 'void *dlopen(const char *, int); void *graphopt_s(void) { return dlopen("x", 1); }'
BAD: dict[str, tuple[str, tuple[str, ...], str]] = {
    "a search path": (KERNEL, ("-Wl,-rpath,/tmp", "-Wl,--disable-new-dtags"), "RPATH"),
    "a new search path": (KERNEL, ("-Wl,-rpath,/tmp", "-Wl,--enable-new-dtags"), "RUNPATH"),
    "an initialiser": (KERNEL, ("-Wl,-init,graphopt_kernel",), "INIT"),
    "a finaliser": (KERNEL, ("-Wl,-fini,graphopt_kernel",), "FINI"),
    "a destructor": (KERNEL + DESTRUCTOR, (), "FINI_ARRAY"),
    "an auditor": (KERNEL, ("-Wl,--depaudit=/tmp/a.so",), "DEPAUDIT"),
    "an auditor of its own": (KERNEL, ("-Wl,--audit=/tmp/a.so",), "AUDIT"),
    "a stand-in": (KERNEL, ("-Wl,-f,/tmp/a.so",), "AUXILIARY"),
    "a filter": (KERNEL, ("-Wl,-F,/tmp/a.so",), "FILTER"),
    "another name": (KERNEL, ("-Wl,-soname,libm.so.6",), r"calls itself 'libm\.so\.6'"),
    "a stack that runs": (KERNEL, ("-Wl,-z,execstack",), "the stack executable"),
    "a function for an address": (IFUNC, (), "is looked up"),
    "memory of a thread's own": (KERNEL + THREADS, (), "segment of kind 0x7"),
    "a name of somebody's": (KERNEL + COMPARES, (), "defines 'memcmp'"),
    "a call": (KERNEL + CALLS, (), "calls 'system'"),
    "a call that opens": (KERNEL + OPENS, (), "calls 'dlopen'"),
    "tables of a special place": (KERNEL, ("-Wl,-z,origin",), "something special"),
    "symbols for all": (KERNEL, ("-Wl,-z,global",), "something special"),
    "a table of another kind": (KERNEL, ("-Wl,--hash-style=sysv",), "dynamic entry 0x4"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_brings_more_than_its_kernels_is_refused_in_one_sentence(what: str, tmp_path: Path) -> None:
    source, options, sentence = BAD[what]
    with pytest.raises(LoadError, match=rf"kernels\.so cannot be loaded: its? .*{sentence}"):
        open_library(library(tmp_path, source, *options))


def test_a_library_that_needs_another_is_refused_and_the_other_not_loaded(tmp_path: Path) -> None:
    path = library(tmp_path, KERNEL, "-Wl,--no-as-needed", helper(tmp_path))
    with pytest.raises(LoadError, match=r"it loads '.*helper\.so', and a bundle's code needs libc\.so\.6 and"):
        open_library(path)
    assert "helper.so" not in Path("/proc/self/maps").read_text()


def test_a_constructor_never_runs(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="constructors"):
        open_library(library(tmp_path, constructor(tmp_path)))
    with pytest.raises(LoadError, match="a constructor"):
        open_library(library(tmp_path, constructor(tmp_path), usual=False))
    assert not (tmp_path / "ran").exists()


def test_a_program_and_another_machines_library_are_refused(tmp_path: Path) -> None:
    (tmp_path / "kernels.so").write_bytes(Path("/proc/self/exe").read_bytes())
    with pytest.raises(LoadError, match="cannot be loaded"):
        open_library(tmp_path / "kernels.so")
    data = library(tmp_path).read_bytes()
    with pytest.raises(LoadError, match="for another machine"):
        check_library(data, "aarch64")


def test_what_is_read_is_what_the_loader_reads(tmp_path: Path) -> None:
    """The dynamic table is found by address: one that a file shows elsewhere is not taken for it."""
    data = bytearray(library(tmp_path, constructor(tmp_path)).read_bytes())
    good = bytearray(library(tmp_path).read_bytes())
    phoff, phnum = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    table = next(at for at in range(phoff, phoff + 56 * phnum, 56) if struct.unpack_from("<I", data, at)[0] == 2)
    # the offset now leads to a table of a library without constructors, the address to the true one
    (offset,) = struct.unpack_from("<Q", good, table + 8)
    struct.pack_into("<Q", data, table + 8, len(data))
    data += good[offset : offset + 512]
    (tmp_path / "kernels.so").write_bytes(data)
    with pytest.raises(LoadError, match="constructors"):
        open_library(tmp_path / "kernels.so")
    assert not (tmp_path / "ran").exists()


def answered(check: Callable[[bytes, str], None], data: bytes) -> None:
    """The library is let in or refused in a sentence: most changes are refused, some are of no consequence."""
    with suppress(LoadError):
        check(data, "x86_64")


def test_whatever_is_changed_in_a_library_there_is_an_answer(tmp_path: Path) -> None:
    data = library(tmp_path).read_bytes()
    head = [at for at in range(len(data)) if at < 0x600 or data[at]]
    generator = random.Random(7)
    for _ in range(FLIPS):
        changed = bytearray(data)
        for _ in range(generator.choice((1, 1, 4))):
            at = generator.choice(head)
            changed[at] = generator.choice((0, 1, 0xFF, changed[at] ^ 1 << generator.randrange(8)))
        answered(
            check_library, bytes(changed[: generator.choice((len(data), len(data), generator.randrange(len(data))))])
        )


def test_object_code_is_held_to_the_same(tmp_path: Path) -> None:
    check_object(objects(tmp_path), "x86_64")
    for source, sentence in (
        (constructor(tmp_path), "calls 'creat'|constructors"),
        (KERNEL + "__attribute__((constructor)) static void begin(void) { graphopt_table[0] = 1; }", "constructors"),
        (KERNEL + 'int system(const char *); int graphopt_s(void) { return system("id"); }', "calls 'system'"),
        (KERNEL + "int memcmp(const void *a, const void *b, unsigned long n) { return 0; }", "defines 'memcmp'"),
        (IFUNC, "is looked up"),
    ):
        archive([objects(tmp_path, source)], tmp_path / "kernels.a")
        with pytest.raises(LoadError, match=f"kernels.a cannot be loaded: .*({sentence})"):
            open_library(tmp_path / "kernels.a")
    assert shutil.which("cc") is None or not (tmp_path / "ran").exists()
    data = objects(tmp_path)
    generator = random.Random(7)
    for _ in range(FLIPS // 3):
        changed = bytearray(data)
        changed[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        answered(check_object, bytes(changed[: generator.choice((len(data), generator.randrange(len(data))))]))
