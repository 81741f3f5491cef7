"""A ledger's log rebuilds it, block for block; a log that was changed does not, and members vouch for its head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from graphopt.errors import GraphoptError
from graphopt_governance.chains.ledger import Call, Ledger
from graphopt_governance.chains.ledger_log import LedgerLog
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.protocol.action import ALL_RIGHTS, Action, Kind, model_id
from graphopt_governance.protocol.contract import Founder, artifact, execution

from .federation import digest, key


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A federation of one that has anchored two versions."""
    made = Ledger.create(tmp_path / "one" / "ledger.sqlite3", [Founder(key(1).account, ALL_RIGHTS, digest("key"))])
    for version in (1, 2):
        subject = digest(f"version {version}")
        action = Action(Kind.ANCHOR, subject=subject, name=model_id("m"), amount=version, epoch=1, deadline=2**40)
        made.submit(execution(action, [key(1).sign(action.identity(made.domain))]), "anchoring")
    return made


def test_a_log_rebuilds_the_same_ledger(ledger: Ledger, tmp_path: Path):
    log = LedgerLog.of(ledger).signed(key(1))
    log.save(tmp_path / "log.json")
    loaded = LedgerLog.load(tmp_path / "log.json")
    assert loaded == log
    rebuilt = loaded.rebuild(tmp_path / "two" / "ledger.sqlite3")
    assert rebuilt.domain == ledger.domain
    assert rebuilt.events() == ledger.events()
    assert LedgerLog.of(rebuilt) == replace(log, signatures=())
    for account in loaded.signers():
        assert rebuilt.snapshot().state.standing(account)[0] == 1


CHANGES: list[Callable[[LedgerLog], LedgerLog]] = [
    lambda log: replace(log, calls=log.calls[:-1]),
    lambda log: replace(log, calls=(*log.calls[:-1], replace(log.calls[-1], time=log.calls[-1].time + 1))),
    lambda log: replace(log, chain_id=log.chain_id + 1),
    lambda log: replace(log, genesis_time=log.genesis_time - 1),
    lambda log: replace(log, head=bytes(32)),
    lambda log: replace(log, calls=(log.calls[0], log.calls[2], log.calls[1])),
    lambda log: replace(log, calls=(*log.calls, log.calls[-1])),
    lambda log: replace(log, calls=(*log.calls, Call(log.calls[-1].time + 1, b"nonsense"))),
    lambda log: replace(log, calls=()),
    lambda log: replace(log, calls=(Call(log.calls[0].time, b"\xfe"), *log.calls[1:])),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_log_does_not_replay_and_loses_its_signatures(
    ledger: Ledger, tmp_path: Path, change: Callable[[LedgerLog], LedgerLog]
):
    log = LedgerLog.of(ledger).signed(key(1))
    path = tmp_path / "two" / "ledger.sqlite3"
    with pytest.raises((ChainError, ActionError)):
        change(log).rebuild(path)
    assert not Ledger.is_made(path)
    log.rebuild(path)
    with pytest.raises(ChainError, match="already"):
        log.rebuild(path)


def test_a_signature_covers_chain_length_and_head(ledger: Ledger):
    log = LedgerLog.of(ledger).signed(key(1))
    assert log.signers() == {key(1).account}
    for other in (replace(log, chain_id=1), replace(log, head=bytes(32)), replace(log, calls=log.calls[:-1])):
        try:
            assert key(1).account not in other.signers()
        except GraphoptError as error:
            assert "nobody" in str(error)  # noqa: PT017 - either way it does not count


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"7", b'{"calls":[],"format":"graphopt/ledger-log/v1"}'])
def test_a_file_that_is_no_log_is_one_sentence(tmp_path: Path, content: bytes):
    (tmp_path / "log.json").write_bytes(content)
    with pytest.raises(GraphoptError) as caught:
        LedgerLog.load(tmp_path / "log.json")
    assert "\n" not in str(caught.value)


hostile = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**53 - 1) | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdef", max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(["format", "chain", "genesis_time", "calls", "head", "signatures"]), hostile)
def test_a_log_with_a_hostile_field_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: object
):
    code: str = artifact()["bytecode"][2:]
    document: dict[str, object] = {
        "format": "graphopt/ledger-log/v1",
        "chain": "7",
        "genesis_time": 1,
        "calls": [{"time": 2, "data": code + "00" * 31}],
        "head": "00" * 32,
        "signatures": [],
    }
    file = tmp_path_factory.mktemp("log") / "log.json"
    file.write_bytes(rfc8785.dumps(cast("Any", document | {field: value})))
    # whatever the field says, the log claims a head that it does not come to
    with pytest.raises(GraphoptError) as caught:
        LedgerLog.load(file).rebuild(file.with_name("ledger.sqlite3"))
    assert "\n" not in str(caught.value)
