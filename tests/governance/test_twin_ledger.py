"""A twin of a ledger, with other members or another history, takes and gives no signature, and is joined by nobody."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from graphopt_governance.chains import embedded, ledger
from graphopt_governance.chains.founding_account import contract_address, founding_key
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.chains.ledger_log import LedgerLog
from graphopt_governance.chains.opening import open_chain, reach
from graphopt_governance.chains.where import Where
from graphopt_governance.decide.founding import Joining, prepare_to_join
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.exchange.invitation import Invitation
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import ALL_RIGHTS, Action, Kind, model_id
from graphopt_governance.protocol.contract import Founder, deployment, execution

from .federation import digest, key
from .ledger_work import anchor

NORTH, EAST, MALLORY = (Founder(key(n).account, ALL_RIGHTS, digest(f"signing {n}")) for n in (1, 2, 3))
BEGAN = 1_800_000_000


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A maker of ledgers chooses the chain's id and the time."""
    monkeypatch.setattr(secrets, "randbelow", lambda below: 7)
    monkeypatch.setattr(time, "time", lambda: float(BEGAN))


@pytest.fixture
def real(fixed: None, tmp_path: Path) -> Ledger:
    """The ledger of a federation of two, of whom both must approve."""
    return Ledger.create(tmp_path / "real" / "ledger.sqlite3", [NORTH, EAST], quorum=2)


def test_what_is_signed_for_a_twin_with_other_members_counts_for_nothing(real: Ledger, tmp_path: Path):
    for number, (founders, quorum) in enumerate((([NORTH, MALLORY], 1), ([NORTH, EAST], 1), ([EAST, NORTH], 2))):
        twin = Ledger.create(tmp_path / str(number) / "ledger.sqlite3", founders, quorum)
        assert twin.domain.chain_id == real.domain.chain_id
        assert twin.domain.contract != real.domain.contract
    same = Ledger.create(tmp_path / "same" / "ledger.sqlite3", [NORTH, EAST], quorum=2)
    assert same.domain == real.domain, "the same founding, at the same time, is the same founding"


def test_a_signature_for_a_twin_is_turned_down(real: Ledger, tmp_path: Path):
    twin = Ledger.create(tmp_path / "twin" / "ledger.sqlite3", [NORTH, MALLORY], quorum=1)
    action = Action(Kind.ANCHOR, subject=digest("a"), name=model_id("a"), amount=1, epoch=1, deadline=2**40)
    signatures = sorted(key(n).sign(action.identity(twin.domain)) for n in (1, 2))
    with pytest.raises(ActionError):
        real.submit(execution(action, signatures), "a")


def with_founder_of(real: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is founded next be founded by the account of `real`: its key is no secret."""
    began, calls, _ = real.history()
    known = founding_key(real.domain.chain_id, began, calls[0].data)
    monkeypatch.setattr(embedded, "founding_key", lambda *_: known)


def twin_at(real: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger with other members whose contract is at the address of the real one."""
    with monkeypatch.context() as patch:
        with_founder_of(real, patch)
        patch.setattr(ledger, "contract_address", lambda key: real.domain.contract)
        assert Ledger.create(path, [NORTH, MALLORY], quorum=1).domain == real.domain
    return path


def test_a_twin_at_the_same_address_is_not_opened(real: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    twin = twin_at(real, tmp_path / "twin" / "ledger.sqlite3", monkeypatch)
    for opened in (Ledger.open, Ledger.of_others):
        with pytest.raises(ChainError, match="was founded otherwise"):
            opened(twin)


def test_a_twin_that_shows_the_real_founding_and_another_state_is_not_joined(
    real: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    twin = twin_at(real, tmp_path / "twin" / "ledger.sqlite3", monkeypatch)
    with sqlite3.connect(real.path) as here:
        (raw,) = here.execute("SELECT raw FROM transactions WHERE block = 1").fetchone()
    here.close()
    with sqlite3.connect(twin) as there:
        there.execute("UPDATE transactions SET raw = ? WHERE block = 1", (raw,))
    there.close()
    invitation = Invitation(real.domain, 1)
    assert Ledger.of_others(twin).snapshot().state.number("quorum") == 1
    with pytest.raises(ChainError, match="is not what its members decided"):
        prepare_to_join(Home(tmp_path / "east"), invitation, twin)
    assert prepare_to_join(Home(tmp_path / "east"), invitation, real.path).standing.quorum == 2


@pytest.mark.parametrize("chain_id", [0, 1, 2**48 - 1, 2**49, 2**63])
def test_the_id_of_another_chain_is_no_ledgers(
    real: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chain_id: int
):
    made = tmp_path / "made" / "ledger.sqlite3"
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "CHAIN_IDS", [*range(7), chain_id] if chain_id > 7 else [chain_id] * 9)
        Ledger.create(made, [NORTH])
    for opened in (Ledger.open, Ledger.of_others):
        with pytest.raises(ChainError, match=f"has chain id {chain_id}, and those of ledgers are"):
            opened(made)
    began, calls, head = real.history()
    with pytest.raises(ChainError, match=f"the log has chain id {chain_id}, "):
        LedgerLog(chain_id, began, tuple(calls), head).rebuild(tmp_path / "rebuilt" / "ledger.sqlite3")


def test_no_node_serves_a_ledger(real: Ledger, tmp_path: Path):
    with pytest.raises(ChainError, match="is a ledger, and no node serves it"):
        reach(Where(real.domain, 1).reached_by(("http://127.0.0.1:1",)), Home(tmp_path / "east"))


def test_a_ledger_of_the_version_before_says_what_to_do(real: Ledger):
    with sqlite3.connect(real.path) as db:
        db.execute("UPDATE ledger SET value = x'31' WHERE key = 'format'")
    db.close()
    with pytest.raises(ChainError, match=r"made by an earlier version.* found the federation again"):
        Ledger.open(real.path)


def join(home: Home, real: Ledger, place: Path, *, instead: bool = False) -> Joining:
    found = prepare_to_join(home, Invitation(real.domain, 1), place, instead=instead)
    found.keep(home, instead=instead)
    return found


def test_another_place_for_the_same_federation_is_asked_for(real: Ledger, tmp_path: Path):
    east = Home(tmp_path / "east")
    join(east, real, real.path)
    join(east, real, real.path)
    join(east, real, real.path.parent / ".." / "real" / "ledger.sqlite3")
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(real.path, copy)
    with pytest.raises(ChainError, match="only with --replace"):
        join(east, real, copy)
    with pytest.raises(ChainError, match="only with --replace"):
        prepare_to_join(Home(east.folder, "http://127.0.0.1:1"), Invitation(real.domain, 1))
    assert join(east, real, copy, instead=True).replayed


def test_a_home_with_its_own_ledger_takes_no_copy_of_it_unasked(real: Ledger, tmp_path: Path):
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(real.path, copy)
    with pytest.raises(ChainError, match="only with --replace"):
        join(Home(real.path.parent), real, copy)


def test_a_place_that_shows_less_than_was_seen_is_not_joined(fixed: None, tmp_path: Path):
    home = Home(tmp_path / "north")
    one = Ledger.create(home.ledger, [NORTH])
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(home.ledger, copy)
    east = Home(tmp_path / "east")
    join(east, one, home.ledger)
    anchor(one, "a")
    reach_from(east)
    with pytest.raises(ChainError, match="went back"):
        join(east, one, copy, instead=True)


def reach_from(home: Home) -> None:
    chain = open_chain(home)
    assert chain is not None
    chain.snapshot()


def test_the_address_is_that_of_the_founding_alone():
    code = deployment([NORTH, EAST], 2, 0)
    one = contract_address(founding_key(2**48, BEGAN, code))
    others = [
        founding_key(2**48 + 1, BEGAN, code),
        founding_key(2**48, BEGAN + 1, code),
        founding_key(2**48, BEGAN, deployment([NORTH, EAST], 1, 0)),
        founding_key(2**48, BEGAN, deployment([NORTH, EAST], 2, 1)),
        founding_key(2**48, BEGAN, deployment([NORTH, MALLORY], 2, 0)),
    ]
    assert one not in {contract_address(other) for other in others}
