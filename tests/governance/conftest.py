"""A bundle to govern, and a home for keys and ledger that no other test shares."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from graphopt.bundle import write_manifest
from graphopt_governance import actions
from graphopt_governance.home import Home
from graphopt_governance.share.store import Store

from .anvil_node import AnvilNode, Node, anvil_node, snapshot, turn_back
from .ethereum_node import InProcessNode
from .evm import EmbeddedEvm, Evm, anvils
from .federation import Federation, Found
from .members import homes

FILES = {
    "model.onnx": b"\x08\x0a" + bytes(range(64)),
    "weights": bytes(300),
    "native/x86-64-v3/kernels.so": b"\x7fELF" * 20,
}


def make_bundle(folder: Path, source: str = "ab" * 32) -> Path:
    """A bundle whose digest depends on `source` alone."""
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    build = {"source": {"sha256": source}, "options": {"level": "exact"}, "targets": ["x86-64-v3"]}
    write_manifest(folder, build)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("GRAPHOPT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GRAPHOPT_CHAIN", raising=False)
    monkeypatch.delenv("GRAPHOPT_PASSPHRASE", raising=False)
    monkeypatch.delenv("GRAPHOPT_PASSPHRASE_FILE", raising=False)
    return Home.default()


@pytest.fixture(scope="session")
def approved_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that was approved as `digits`, beside the home that did it: for `anchored` to copy."""
    folder = tmp_path_factory.mktemp("approved")
    bundle, owner = make_bundle(folder / "bundle"), Home(folder / "home")
    actions.sign(bundle, owner)
    actions.anchor(bundle, "digits", home=owner)
    return folder


@pytest.fixture
def anchored(approved_once: Path, tmp_path: Path, home: Home) -> Path:
    """A bundle that is approved as `digits` in `home`."""
    shutil.copytree(approved_once / "home", home.folder)
    return shutil.copytree(approved_once / "bundle", tmp_path / "bundle")


NODES = ["eth-tester", pytest.param("anvil", marks=pytest.mark.anvil)]
"""What a test runs against that asks a node: py-evm in this process, and then anvil."""


@pytest.fixture(scope="session")
def session_anvil() -> Generator[AnvilNode]:
    """The anvil that all tests share which do not end it."""
    with anvil_node() as node:
        yield node


@contextmanager
def fresh_node(kind: str, request: pytest.FixtureRequest) -> Generator[Node]:
    """A node of this kind, whose chain is as before when it is given back."""
    if kind == "eth-tester":
        yield InProcessNode()
        return
    node: AnvilNode = request.getfixturevalue("session_anvil")
    before = snapshot(node)
    yield node
    node.finalized, node.before, node.makes_final = None, None, True
    turn_back(node, before)


@pytest.fixture(scope="session")
def borrowed_anvil() -> Generator[Callable[[], Evm]]:
    """Lends chains of anvil's; one runs for the whole session, a second only where a test needs two at once."""
    with anvils() as borrow:
        yield borrow


@pytest.fixture(params=["embedded", pytest.param("anvil", marks=pytest.mark.anvil)])
def machine(request: pytest.FixtureRequest) -> Callable[[], Evm]:
    """Virtual machines: the embedded chain's, and then anvil."""
    return EmbeddedEvm if request.param == "embedded" else request.getfixturevalue("borrowed_anvil")


@pytest.fixture
def found(machine: Callable[[], Evm]) -> Generator[Found]:
    """Founds federations that end with the test."""
    with ExitStack() as open_ones:

        def founded(*args: Any, **options: Any) -> Federation:
            evm = machine()
            open_ones.callback(evm.close)
            return Federation(*args, evm=evm, **options)

        yield founded


@pytest.fixture
def fed(found: Found) -> Federation:
    """Three members, quorum two, no delay."""
    return found()


@pytest.fixture
def owners(tmp_path: Path) -> list[Home]:
    """Two members, each with a home of his own."""
    return homes(tmp_path, "north", "east")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store in a folder."""
    return Store.at(str(tmp_path / "store"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a bundle that is taken gets its place; nothing else is in its folder."""
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox" / "bundle"
