"""Keys: made once and whole, their owner's alone, in the formats that other tools read, opened by a passphrase."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from graphopt.bundle import Signature
from graphopt_governance.errors import BallotError, KeyFileError
from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import load_member_key, recover
from graphopt_governance.keys.signing_key import load_signing_key, signature_holds

from .federation import key

SECRET = "a passphrase that must not show"


def no_passphrase() -> str | None:
    return None


def test_key_files_are_in_the_formats_of_the_field(home: Home):
    signing, member = load_signing_key(home.signing_key), load_member_key(home.member_key)
    loaded = serialization.load_pem_private_key(home.signing_key.read_bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    assert home.signing_key.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert loaded.private_numbers() == signing.private.private_numbers()
    keystore = json.loads(home.member_key.read_bytes())
    assert keystore["version"] == 3
    assert keystore["address"].lower() == member.account.hex()


def test_with_a_passphrase_nothing_opens_without_it(home: Home):
    signing = load_signing_key(home.signing_key, lambda: SECRET)
    member = load_member_key(home.member_key, lambda: SECRET)
    assert home.signing_key.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert load_signing_key(home.signing_key, lambda: SECRET).hint == signing.hint
    assert load_member_key(home.member_key, lambda: SECRET).account == member.account
    for passphrase, sentence in ((no_passphrase, "needs a passphrase"), (lambda: "wrong", "another passphrase")):
        with pytest.raises(KeyFileError, match=sentence) as caught:
            load_signing_key(home.signing_key, passphrase)
        assert SECRET not in str(caught.value)
        with pytest.raises(KeyFileError, match=sentence):
            load_member_key(home.member_key, passphrase)


def test_the_passphrase_comes_from_a_file_or_the_environment(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("GRAPHOPT_PASSPHRASE", SECRET)
    hint = load_signing_key(home.signing_key).hint
    monkeypatch.delenv("GRAPHOPT_PASSPHRASE")
    (tmp_path / "secret").write_text(f"{SECRET}\nsecond line\n")
    monkeypatch.setenv("GRAPHOPT_PASSPHRASE_FILE", str(tmp_path / "secret"))
    assert load_signing_key(home.signing_key).hint == hint
    monkeypatch.setenv("GRAPHOPT_PASSPHRASE_FILE", str(tmp_path / "absent"))
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_signing_key(home.signing_key)


def test_a_key_that_others_can_open_is_not_used(home: Home):
    load_signing_key(home.signing_key)
    home.signing_key.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_signing_key(home.signing_key)


def test_a_link_or_a_folder_in_the_place_of_a_key_is_refused(home: Home, tmp_path: Path):
    load_signing_key(tmp_path / "elsewhere.pem")
    home.signing_key.parent.mkdir(parents=True)
    home.signing_key.symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(KeyFileError, match="cannot be opened"):
        load_signing_key(home.signing_key)
    home.member_key.mkdir()
    with pytest.raises(KeyFileError, match="it is a folder"):
        load_member_key(home.member_key)


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"{}", b"[]", b'{"crypto": 1}', b'{"version": 3, "crypto": {"kdfparams": {}}}']
)
def test_what_is_no_key_is_one_sentence(home: Home, content: bytes):
    for path, load in ((home.signing_key, load_signing_key), (home.member_key, load_member_key)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(KeyFileError, match="cannot be read"):
            load(path, lambda: SECRET)


def test_a_key_of_another_curve_is_refused(home: Home):
    private = ec.generate_private_key(ec.SECP384R1())
    home.signing_key.parent.mkdir(parents=True)
    home.signing_key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    home.signing_key.chmod(0o600)
    with pytest.raises(KeyFileError, match="not a P-256 key"):
        load_signing_key(home.signing_key)


def test_processes_that_make_the_first_key_at_once_all_use_the_same_one(home: Home):
    script = (
        "from graphopt_governance.keys.signing_key import load_signing_key; from graphopt_governance.home import Home; "
        "print(load_signing_key(Home.default().signing_key).hint.hex())"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "GRAPHOPT_HOME": str(home.folder)}
    running = [
        subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE) for _ in range(4)
    ]
    printed = {process.communicate()[0] for process in running}
    assert len(printed) == 1
    assert [path.name for path in home.signing_key.parent.iterdir()] == ["signing.pem"]


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_signature_holds_for_its_message_and_key_alone(
    tmp_path_factory: pytest.TempPathFactory, message: bytes, other: bytes
):
    signing = load_signing_key(tmp_path_factory.getbasetemp() / "one.pem")
    signature = signing.sign(message)
    assert signature_holds(signature, message)
    assert signature_holds(signature, other) == (message == other)
    assert not signature_holds(Signature(signature.value, "00" * 32), message)


@given(st.binary(max_size=90))
def test_no_invented_signature_holds_or_crashes(value: bytes):
    assert not signature_holds(Signature(value, "00" * 32), b"message")


@given(st.binary(min_size=32, max_size=32), st.integers(1, 6))
def test_a_vote_is_of_65_bytes_in_low_form_and_names_its_account(identity: bytes, person: int):
    signature = key(person).sign(identity)
    assert len(signature) == 65
    assert int.from_bytes(signature[32:64], "big") < 2**255
    assert recover(identity, signature) == key(person).account


@given(st.binary(max_size=70))
def test_an_invented_vote_is_nobodys_or_some_strangers(signature: bytes):
    with contextlib.suppress(BallotError):
        assert recover(bytes(32), signature) not in {key(person).account for person in range(1, 6)}


DUMPABLE = """
import ctypes, sys
from pathlib import Path
from graphopt_governance.keys.member_key import load_member_key
from graphopt_governance.keys.sealing_key import load_sealing_key
from graphopt_governance.keys.signing_key import load_signing_key

dumpable = lambda: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
before = dumpable()
{load}(Path(sys.argv[1]))
print(before, dumpable())
"""


@pytest.mark.parametrize("load", ["load_member_key", "load_signing_key", "load_sealing_key"])
def test_a_process_with_an_open_key_leaves_no_core_and_is_nobodys_to_look_into(tmp_path: Path, load: str):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", DUMPABLE.format(load=load), str(tmp_path / "key")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["1", "0"]
