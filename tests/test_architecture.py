"""The architecture as docs/architecture.md states it, held against every import in the three packages."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"graphopt_kernels": "kernels", "graphopt": "", "graphopt_governance": "governance"}
HEAVY = ("onnx", "numba", "llvmlite", "networkx", "web3", "onnxruntime", "hypothesis", "rich", "google.protobuf")


@dataclass(frozen=True)
class Room:
    name: str
    forbidden: tuple[str, ...]


def rooms() -> list[Room]:
    """The rows of the architecture's table, in order."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found: list[Room] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `") or len(cells) != 3:
            continue
        everything = cells[2] == "anything" or "heavy imports" in cells[2]
        named = tuple(word for word in HEAVY if re.search(rf"\b{re.escape(word)}\b", cells[2]))
        found += [Room(name, HEAVY if everything else named) for name in re.findall(r"`(\w+)`", cells[0])]
    return found


ROOMS = rooms()
ORDER = {room.name: place for place, room in enumerate(ROOMS)}


@dataclass(frozen=True)
class Import:
    where: str
    module: str

    def __str__(self) -> str:
        return f"{self.where} imports {self.module}"


def sources(package: str) -> Iterator[tuple[str, Path]]:
    """Every module of a package: its dotted name and its file."""
    base = ROOT / PACKAGES[package]
    for path in sorted((base / package).rglob("*.py")):
        parts = path.relative_to(base).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(package: str) -> Iterator[Import]:
    """Every import statement of a package, wherever in a module it stands."""
    for module, path in sources(package):
        for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
            match node:
                case ast.Import(names=names):
                    yield from (Import(module, alias.name) for alias in names)
                case ast.ImportFrom(module=str(origin), level=0):
                    yield Import(module, origin)
                    yield from (Import(module, f"{origin}.{alias.name}") for alias in node.names)
                case ast.ImportFrom():
                    pytest.fail(f"{path}:{node.lineno}: a relative import hides where it points")
                case _:
                    pass


def room_of(module: str) -> str | None:
    """`passes` for `graphopt.passes.pipeline`; None for `graphopt` itself and for what is no room."""
    parts = module.split(".")
    return parts[1] if parts[0] == "graphopt" and len(parts) > 1 and parts[1] in ORDER else None


def loaded_by(statement: str) -> set[str]:
    """The modules of `HEAVY` and of ours that a fresh interpreter holds after the statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    paths = [str(ROOT / folder) for folder in PACKAGES.values()]
    code = f"import sys; sys.path[:0] = {paths!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_the_table_names_every_room_of_graphopt() -> None:
    there = {path.name.removesuffix(".py") for path in (ROOT / "graphopt").iterdir() if path.suffix in {"", ".py"}}
    assert there - {"__init__", "__pycache__"} <= ORDER.keys()


def test_a_room_imports_only_from_rooms_above_it() -> None:
    backwards = [
        str(found)
        for found in imports("graphopt")
        if (here := room_of(found.where)) and (there := room_of(found.module)) and ORDER[there] > ORDER[here]
    ]
    assert not backwards


def test_kernels_know_neither_the_compiler_nor_governance() -> None:
    wrong = [str(found) for found in imports("graphopt_kernels") if found.module.split(".")[0] in PACKAGES]
    assert [line for line in wrong if " graphopt_kernels" not in line] == []


def test_only_the_command_line_knows_governance() -> None:
    knows = {f.where for f in imports("graphopt") if f.module.split(".")[0] == "graphopt_governance"}
    assert {room_of(where) for where in knows} <= {"cli"}


def test_governance_imports_point_one_way() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Governance")[2]
    order = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
    folders = {path.parent.name for path in (ROOT / "governance" / "graphopt_governance").glob("*/__init__.py")}
    assert set(order) == folders
    shared = {"errors", "wording", "documents", "home"}

    def place(module: str) -> int:
        room = module.split(".")[1]
        return -1 if room in shared else order.index(room) if room in order else len(order)

    inside = [found for found in imports("graphopt_governance") if found.module.startswith("graphopt_governance.")]
    assert [str(found) for found in inside if place(found.module) > place(found.where)] == []


def test_governance_does_not_know_the_compiler() -> None:
    """Of graphopt it may use what a verifier needs: the manifest, the gate's protocol, the errors, files of others read safely."""
    rooms_used = {room_of(found.module) for found in imports("graphopt_governance")} - {None}
    assert rooms_used <= {"errors", "version", "strict_json", "files", "text", "private", "bundle"}


@pytest.mark.parametrize("room", [room for room in ROOMS if room.forbidden], ids=lambda room: room.name)
def test_importing_a_room_loads_nothing_that_is_forbidden_to_it(room: Room) -> None:
    modules = [module for module, _ in sources("graphopt") if room_of(module) == room.name]
    assert modules, f"graphopt.{room.name} stands in the table and is not there"
    loaded = loaded_by("\n".join(f"import {module}" for module in modules))
    assert loaded.isdisjoint(room.forbidden)


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        ("graphopt", (*HEAVY, "numpy")),
        ("graphopt.cli.main", (*HEAVY, "numpy")),
        ("graphopt_kernels.bind", ("numba", "llvmlite", "onnx")),
        ("graphopt_governance", ("numba", "llvmlite", "onnx")),
    ],
)
def test_a_door_that_must_be_light_is(modules: str, forbidden: tuple[str, ...]) -> None:
    package = modules.split(".")[0]
    below = [name for name, _ in sources(package) if name == modules or name.startswith(f"{modules}.")]
    below = below if package != "graphopt" else [modules]
    assert below, f"{modules} is not there"
    assert loaded_by("\n".join(f"import {name}" for name in below)).isdisjoint(forbidden)
