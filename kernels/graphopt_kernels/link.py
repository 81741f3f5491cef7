"""From object code to one file that `load` opens: a shared library, or an archive where there is no linker."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from graphopt_kernels.errors import LinkError

OPTIONS = (
    "-shared",
    "-nostartfiles",
    "-Wl,-z,text",
    "-Wl,-z,noexecstack",
    "-Wl,--build-id=none",
    "-Wl,-soname,kernels.so",
    "-Wl,--hash-style=gnu",
)
"""No start files, build identifier or text relocations: the library is a function of the objects and the linker."""


def linker() -> str | None:
    """The machine's C compiler, which knows where its linker and libm are; None where there is none."""
    return shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")


def link(objects: Sequence[bytes], path: str | Path) -> None:
    """Write a shared library of the objects to `path`, replacing it in one step.

    LinkError when there is no linker, or when it cannot link these (those of another machine, say).
    """
    compiler, path = linker(), Path(path)
    if compiler is None:
        raise LinkError(
            "there is no C linker on this machine (looked for cc, gcc and clang): install one, or keep object code"
        )
    with tempfile.TemporaryDirectory(prefix=".link-", dir=path.parent) as folder:
        names = [f"{i}.o" for i in range(len(objects))]
        for name, code in zip(names, objects, strict=True):
            (Path(folder) / name).write_bytes(code)
        command = [compiler, *OPTIONS, "-o", "kernels.so", *names, "-lm", "-lc"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = next((line for line in done.stderr.splitlines() if line.strip()), f"exit code {done.returncode}")
            raise LinkError(f"{compiler} cannot link {len(objects)} objects: {reason}")
        (Path(folder) / "kernels.so").replace(path)


MAGIC = b"!<arch>\n"


def archive(objects: Sequence[bytes], path: str | Path) -> None:
    """Write the objects to `path` as a static library (`ar`, no dates or owners), replacing it in one step."""
    path = Path(path)
    parts = [MAGIC]
    for i, code in enumerate(objects):
        header = (
            f"{i}.o/".ljust(16) + "0".ljust(12) + "0".ljust(6) * 2 + "644".ljust(8) + str(len(code)).ljust(10) + "`\n"
        )
        parts += [header.encode(), code, b"\n" * (len(code) % 2)]
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(b"".join(parts))
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def members(data: bytes) -> list[bytes]:
    """The objects of an archive that `archive` wrote; LinkError when it is cut short or something else."""
    if not data.startswith(MAGIC):
        raise LinkError("not an archive of object code")
    objects, at = list[bytes](), len(MAGIC)
    while at < len(data):
        size = data[at + 48 : at + 58].strip()
        start = at + 60
        if not size.isdigit() or start + int(size) > len(data):
            raise LinkError("an archive of object code is cut short")
        objects.append(data[start : start + int(size)])
        at = start + int(size) + int(size) % 2
    return objects
