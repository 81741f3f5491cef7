"""Work on a ledger for processes of their own, which a test may kill at any moment.

They are forked from a server that has the imports and no threads, so starting one takes milliseconds.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from graphopt_governance import actions
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import ALL_RIGHTS, Action, Kind, model_id
from graphopt_governance.protocol.contract import Founder, execution

from .federation import digest, key

FOUNDERS = [Founder(key(1).account, ALL_RIGHTS, digest("signing 1"))]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["tests.governance.ledger_work", "graphopt_governance.chains.embedded", "graphopt_governance.chains.rpc_sending"]
)


def anchor(ledger: Ledger, text: str) -> int:
    """Approve the digest of `text` as the first version of a model of its own; the block it is in."""
    action = Action(Kind.ANCHOR, subject=digest(text), name=model_id(text), amount=1, epoch=1, deadline=2**40)
    return ledger.submit(execution(action, [key(1).sign(action.identity(ledger.domain))]), text).block


def anchor_many(told: Connection, path: Path, name: str, count: int) -> None:
    """Anchor again and again, and tell when each begins, and each name and block as soon as it is reported."""
    ledger = Ledger.open(path)
    told.send("ready")
    for number in range(count):
        text = f"{name}-{number}"
        told.send(("begins", time.monotonic()))
        told.send((text, anchor(ledger, text)))


def create(told: Connection, path: Path) -> None:
    """Make a ledger, and tell its chain id."""
    told.send("ready")
    told.send(Ledger.create(path, FOUNDERS).domain.chain_id)


def anchor_on_node(told: Connection, folder: Path, url: str, bundle: Path) -> None:
    """Anchor a bundle on the chain behind a node, and tell its block."""
    told.send("ready")
    told.send(actions.anchor(bundle, home=Home(folder, url)).block)


def revoke_on_node(told: Connection, folder: Path, url: str, bundle: Path) -> None:
    """Revoke a bundle on the chain behind a node, and tell the block."""
    told.send("ready")
    told.send(actions.revoke(bundle, "wrong", home=Home(folder, url)).block)


@cache
def _serving() -> None:
    # the server imports by its environment alone, and passes over what it cannot find
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path))
        forkserver.ensure_running()


def started(work: Any, *arguments: Any) -> tuple[ForkServerProcess, Connection]:
    """A process that does `work`, ready to begin, and the end of the pipe on which it tells."""
    _serving()
    heard, told = _context.Pipe(duplex=False)
    process = _context.Process(target=work, args=(told, *arguments))
    process.start()
    told.close()
    assert heard.recv() == "ready"
    return process, heard


def everything(heard: Connection) -> list[Any]:
    """All that was told and not read yet, once the process is gone."""
    messages: list[Any] = []
    try:
        while True:
            messages.append(heard.recv())
    except (EOFError, OSError):
        heard.close()
        return messages
