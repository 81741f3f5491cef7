"""Keys are swapped all or none, wherever the process is killed; rotation and passphrases stand on that."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from graphopt_governance.chains.opening import settle_rotation
from graphopt_governance.decide.governing import found, member_card
from graphopt_governance.decide.rotation import prepare_rotation
from graphopt_governance.errors import BallotError, KeyFileError
from graphopt_governance.home import Home
from graphopt_governance.keys import member_key, pkcs8
from graphopt_governance.keys.key_swap import alone, decide, finish
from graphopt_governance.keys.member_key import load_member_key
from graphopt_governance.keys.pkcs8 import ITERATIONS
from graphopt_governance.keys.rekeying import change_passphrase
from graphopt_governance.keys.sealing_key import load_sealing_key
from graphopt_governance.keys.signing_key import load_signing_key

Keys = tuple[bytes, bytes, bytes]

STEPS = {"os.link", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}
"""What changes a folder; between any two of them a process can be killed."""


def keys_in(folder: Path, passphrase: str | None = None) -> Keys:
    """The public halves of the three keys in a folder."""
    home = Home(folder.parent)

    def secret() -> str | None:
        return passphrase

    return (
        load_member_key(folder / home.member_key.name, secret, make=False).account,
        load_signing_key(folder / home.signing_key.name, secret, make=False).hint,
        load_sealing_key(folder / home.sealing_key.name, secret, make=False).recipient,
    )


def killed_after(steps: int, work: Callable[[], object]) -> bool:
    """Whether `work`, in a process of its own that is killed before its next step after so many, came to its end."""
    child = os.fork()
    if child == 0:
        left = steps

        def count(event: str, _: object) -> None:
            nonlocal left
            if event in STEPS:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        work()
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@pytest.fixture
def ready(tmp_path: Path) -> Home:
    """A home whose new keys wait in `keys/next`."""
    home = Home(tmp_path / "home")
    member_card(home)
    other = Home(tmp_path / "other")
    member_card(other)
    shutil.copytree(other.keys, home.next_keys)
    return home


def test_whenever_a_swap_is_killed_all_keys_are_old_or_all_are_new(ready: Home, tmp_path: Path):
    old, new = keys_in(ready.keys), keys_in(ready.next_keys)
    steps, done, seen = 0, False, set[Keys]()
    while not done:
        home = Home(Path(shutil.copytree(ready.folder, tmp_path / f"killed-{steps}")))
        done = killed_after(steps, lambda home=home: decide(home, home.next_keys, keep="old-1"))
        # at any moment each key that is in use can be read
        for key, one, other in zip(keys_in(home.keys), old, new, strict=True):
            assert key in (one, other)
        finish(home)
        after = keys_in(home.keys)
        assert after in (old, new)
        if after == new:
            assert keys_in(home.keys / "old-1") == old
            assert not list(home.next_keys.glob("*.*"))
        seen.add(after)
        steps += 1
    assert seen == {old, new}
    assert steps > 8


def test_new_keys_are_taken_into_use_when_the_chain_holds_them_and_not_before(home: Home):
    chain = found(home, [member_card(home)], quorum=1)
    old = keys_in(home.keys)
    rotation = prepare_rotation(home, chain)
    again = prepare_rotation(home, chain)
    assert again.account == rotation.account
    assert not settle_rotation(home, chain)
    assert keys_in(home.keys) == old
    new = keys_in(home.next_keys)
    from graphopt_governance.chains.opening import open_chain
    from graphopt_governance.decide.governing import relay

    relay(rotation.signed(chain), chain)
    open_chain(home)
    assert keys_in(home.keys) == new
    assert keys_in(home.keys / f"old-{old[0].hex()}") == old
    assert chain.snapshot().state.standing(new[0])[0] == 1
    folders = [path for path in home.keys.rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    files = [path for path in home.keys.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_who_is_no_member_has_nothing_to_rotate(home: Home, tmp_path: Path):
    chain = found(home, [member_card(home)], quorum=1)
    stranger = Home(tmp_path / "stranger")
    member_card(stranger)
    with pytest.raises(BallotError, match="is not a member's account"):
        prepare_rotation(stranger, chain)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases that cost little to try: what is tested is not how long that takes."""
    monkeypatch.setattr(member_key, "_COST_WITH_PASSPHRASE", 4)
    monkeypatch.setattr(pkcs8, "ITERATIONS", 65536)


@pytest.mark.usefixtures("cheap")
def test_the_passphrase_changes_and_the_keys_stay(home: Home):
    member_card(home)
    before = keys_in(home.keys)
    assert change_passphrase(home, lambda: None, lambda: "new one") == 3
    assert keys_in(home.keys, "new one") == before
    with pytest.raises(KeyFileError, match="another passphrase"):
        change_passphrase(home, lambda: "old one", lambda: "x")
    assert change_passphrase(home, lambda: "new one", lambda: None) == 3
    assert keys_in(home.keys) == before
    assert {path.name for path in home.keys.iterdir()} == {"member.json", "signing.pem", "sealing.age"}


def test_a_signing_key_is_as_costly_to_guess_as_the_standard_asks(home: Home):
    load_signing_key(home.signing_key, lambda: "secret")
    text = home.signing_key.read_text()
    der = base64.b64decode("".join(text.splitlines()[1:-1]))
    assert b"\x02\x03" + ITERATIONS.to_bytes(3, "big") in der
    loaded = serialization.load_pem_private_key(text.encode(), b"secret")
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    with pytest.raises(ValueError, match="password"):
        serialization.load_pem_private_key(text.encode(), b"other")


@pytest.mark.usefixtures("cheap")
def test_whenever_a_change_of_passphrase_is_killed_one_passphrase_opens_all(home: Home, tmp_path: Path):
    load_signing_key(home.signing_key)
    load_member_key(home.member_key)
    shutil.copytree(home.keys, home.keys / "old-1")
    steps, done, seen = 0, False, set[str | None]()
    while not done:
        one = Home(Path(shutil.copytree(home.folder, tmp_path / f"killed-{steps}")))
        done = killed_after(steps, lambda one=one: change_passphrase(one, lambda: None, lambda: "new"))
        finish(one)
        encrypted = set[bool]()
        for folder in (one.keys, one.keys / "old-1"):
            encrypted.add(b"ENCRYPTED" in (folder / "signing.pem").read_bytes())
            encrypted.add(json.loads((folder / "member.json").read_bytes())["crypto"]["kdfparams"]["n"] == 4)
        assert len(encrypted) == 1
        seen.add("new" if encrypted.pop() else None)
        # and it can be tried again
        assert change_passphrase(one, lambda: "new", lambda: None) == 4
        steps += 1
    assert seen == {"new", None}


def test_two_processes_do_not_change_the_passphrase_at_once(home: Home):
    member_card(home)
    before = keys_in(home.keys)
    with alone(home), pytest.raises(KeyFileError, match="another process is changing the keys"):
        change_passphrase(home, lambda: None, lambda: "new")
    assert keys_in(home.keys) == before


def test_during_a_rotation_the_passphrase_is_left_alone(ready: Home):
    with pytest.raises(KeyFileError, match="a rotation of keys is under way"):
        change_passphrase(ready, lambda: None, lambda: "new")


def test_where_there_are_no_keys_there_is_nothing_to_encrypt(home: Home):
    with pytest.raises(KeyFileError, match="there are no keys"):
        change_passphrase(home, lambda: None, lambda: "new")
