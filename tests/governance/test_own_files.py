"""A file that decides is a plain file, of this account or root, and nobody else can write to it: one rule for all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from graphopt.errors import GraphoptError
from graphopt_governance import actions
from graphopt_governance.chains.fees import Fees
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.chains.outbox import Attempt, Outbox, Outgoing
from graphopt_governance.chains.transaction import Transaction
from graphopt_governance.chains.where import Where
from graphopt_governance.errors import PolicyError
from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import load_member_key
from graphopt_governance.keys.sealing_key import load_sealing_key
from graphopt_governance.keys.signing_key import load_signing_key
from graphopt_governance.protocol.contract import deployment
from graphopt_governance.verdict.policy import VARIABLE, Policy

from .conftest import make_bundle

STRANGER = 12345
"""A user who is neither root nor the one that runs the tests."""

Used = Callable[[], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that was approved and verified, and a home that has every kind of file that decides."""
    folder = tmp_path_factory.mktemp("made")
    bundle, home = make_bundle(folder / "bundle"), Home(folder / "home")
    actions.sign(bundle, home)
    actions.anchor(bundle, home=home)
    load_sealing_key(home.sealing_key)
    Where(Ledger.open(home.ledger).domain, 1, Path(home.ledger.name)).write(home)
    home.policy.write_text("[bundle]\nchecked = false\n")
    assert actions.verify(bundle, home).approved
    return folder


@pytest.fixture
def verified(made: Path, tmp_path: Path, home: Home) -> Path:
    """A copy of all that, to break."""
    shutil.copytree(made / "home", home.folder)
    return shutil.copytree(made / "bundle", tmp_path / "bundle")


KINDS = ("policy", "named policy", "federation", "ledger", "floor", "proof", "member", "signing", "sealing", "outbox")


@pytest.fixture(params=KINDS)
def deciding(
    request: pytest.FixtureRequest, verified: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Used]:
    """A file that decides, and a use of it."""

    def verify() -> object:
        return actions.verify(verified)

    match request.param:
        case "policy":
            return home.policy, verify
        case "named policy":
            named = home.policy.rename(home.folder / "other.toml")
            monkeypatch.setenv(VARIABLE, str(named))
            return named, verify
        case "federation":
            return home.federation, verify
        case "ledger":
            return home.ledger, verify
        case "floor":
            return next(home.proofs.glob("floor-*.json")), verify
        case "proof":
            kept = next(path for path in home.proofs.glob("*.json") if not path.name.startswith("floor-"))
            return kept, lambda: actions.verify(verified, offline=True, max_age=1e6)
        case "member":
            return home.member_key, lambda: load_member_key(home.member_key, make=False)
        case "signing":
            return home.signing_key, lambda: load_signing_key(home.signing_key, make=False)
        case "outbox":
            outbox, fees, data = Outbox(home.folder), Fees(2, 1), deployment((), quorum=1, delay=0)
            raw = Transaction(1, 0, None, data, 9, fees).signed(load_member_key(home.member_key))
            outbox.save(Outgoing("it", 1, bytes(20), 0, None, data, 9, (Attempt(raw, fees),)))
            return outbox.path, outbox.load
        case _:
            return home.sealing_key, lambda: load_sealing_key(home.sealing_key, make=False)


def becomes_a_strangers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root gives it away; anybody else is taken for another user than the one whose file it is."""
    if os.geteuid() == 0:
        os.chown(path, STRANGER, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)


def becomes_a_link(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.symlink_to(path.rename(path.with_name("elsewhere")))


def becomes_a_fifo(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def becomes_a_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    path.mkdir(0o700)


def becomes_a_device(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    path.symlink_to("/dev/null")


BREAKS: dict[str, Callable[[Path, pytest.MonkeyPatch], object]] = {
    "group writes": lambda path, monkeypatch: path.chmod(0o620),
    "others write": lambda path, monkeypatch: path.chmod(0o602),
    "folder of others": lambda path, monkeypatch: becomes_a_strangers(path.parent, monkeypatch),
    "folder that others write to": lambda path, monkeypatch: path.parent.chmod(0o777),
    "file of others": becomes_a_strangers,
    "link": becomes_a_link,
    "fifo": becomes_a_fifo,
    "folder": becomes_a_folder,
    "device": becomes_a_device,
}


@pytest.mark.parametrize("breaks", BREAKS)
def test_a_file_that_breaks_the_rule_is_one_sentence(
    deciding: tuple[Path, Used], breaks: str, monkeypatch: pytest.MonkeyPatch
):
    path, use = deciding
    use()
    BREAKS[breaks](path, monkeypatch)
    with pytest.raises(GraphoptError) as caught:
        use()
    assert "\n" not in str(caught.value)
    assert str(path.parent) in str(caught.value)


def test_a_policy_that_is_gone_from_a_folder_of_others_is_not_one_that_asks_nothing(verified: Path, home: Home):
    home.policy.unlink()
    assert actions.verify(verified).approved
    home.folder.chmod(0o777)
    with pytest.raises(GraphoptError, match="others can write to its folder"):
        actions.verify(verified)


def test_an_empty_device_empties_no_policy(verified: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, os.devnull)
    with pytest.raises(PolicyError, match="not a plain file"):
        actions.verify(verified)
    with pytest.raises(PolicyError, match="not a plain file"):
        Policy.load(Path("/dev/zero"))


def test_what_root_owns_counts_for_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if os.geteuid() != 0:
        pytest.skip("only root makes files of root's")
    (tmp_path / "policy.toml").write_text("[bundle]\nchecked = true\n")
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    assert Policy.load(tmp_path / "policy.toml").checked
