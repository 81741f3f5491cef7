"""The key that opens sealed bundles: age's own formats, the owner's alone, nothing secret in what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt_governance.errors import KeyFileError
from graphopt_governance.home import Home
from graphopt_governance.keys import age_passphrase, bech32
from graphopt_governance.keys.age import library
from graphopt_governance.keys.sealing_key import is_usable, load_sealing_key, recipient_bytes, recipient_text

SECRET = "a passphrase that must not show"
KNOWN = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
"""The public key in age's own README."""
BITS_BEYOND = "a1qpamnt9j"


def nothing() -> None:
    return None


def test_a_sealing_key_is_made_once_in_the_form_of_age_keygen_and_is_its_owner_s_alone(home: Home):
    key = load_sealing_key(home.sealing_key, nothing)
    comment, secret = home.sealing_key.read_text().splitlines()
    assert comment == f"# public key: {key.recipient_text}"
    assert str(library().x25519.Identity.from_str(secret).to_public()) == key.recipient_text
    assert home.sealing_key.stat().st_mode & 0o777 == 0o600
    assert load_sealing_key(home.sealing_key, nothing).recipient == key.recipient
    home.sealing_key.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_sealing_key(home.sealing_key, nothing)


def test_showing_a_sealing_key_shows_nothing_secret(home: Home):
    key = load_sealing_key(home.sealing_key, nothing)
    secret = home.sealing_key.read_text().splitlines()[1]
    assert secret not in f"{key!r} {key}"
    assert key.recipient_text in repr(key)


def test_with_a_passphrase_the_file_is_age_s_own_and_opens_with_it_alone(home: Home):
    key = load_sealing_key(home.sealing_key, lambda: SECRET)
    content = home.sealing_key.read_bytes()
    assert content.startswith(b"age-encryption.org/v1\n-> scrypt ")
    assert load_sealing_key(home.sealing_key, lambda: SECRET).recipient == key.recipient
    with pytest.raises(KeyFileError, match="needs a passphrase"):
        load_sealing_key(home.sealing_key, nothing)
    with pytest.raises(KeyFileError, match="another passphrase") as caught:
        load_sealing_key(home.sealing_key, lambda: "wrong")
    assert "wrong" not in str(caught.value)


def test_age_opens_what_we_put_under_a_passphrase_and_we_what_age_did():
    ours = age_passphrase.encrypt(b"a key", SECRET)
    assert library().passphrase.decrypt(ours, SECRET) == b"a key"
    theirs = bytes(library().passphrase.encrypt(b"a key", SECRET))
    assert age_passphrase.decrypt(theirs, SECRET) == b"a key"


def test_a_file_under_a_passphrase_opens_whole_with_it_or_not_at_all(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(age_passphrase, "_COST", 1)
    good = age_passphrase.encrypt(b"a key", SECRET)
    assert age_passphrase.decrypt(good, SECRET) == b"a key"
    assert age_passphrase.encrypt(b"a key", SECRET) != good
    altered = [good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :] for at in range(len(good))]
    # a cost that was altered upwards takes as long as it says, and is refused beyond a gigabyte
    costs = [good.replace(b" 1\n", b" %d\n" % cost) for cost in (2, 21, 99)]
    for data in (*altered, *costs, *(good[:at] for at in range(len(good))), good + b"\0", good + good, b""):
        with pytest.raises(ValueError, match=r"not a file of age|another passphrase|base64"):
            age_passphrase.decrypt(data, SECRET)
    with pytest.raises(ValueError, match="another passphrase"):
        age_passphrase.decrypt(good, "wrong")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"# only a comment\n",
        KNOWN.encode(),
        b"AGE-SECRET-KEY-1QQQQ\n",
        b"age-encryption.org/v1\n-> scrypt",
    ],
)
def test_what_is_no_sealing_key_is_one_sentence_that_does_not_quote_it(home: Home, content: bytes):
    home.sealing_key.parent.mkdir(parents=True)
    home.sealing_key.write_bytes(content)
    home.sealing_key.chmod(0o600)
    with pytest.raises(KeyFileError, match="cannot be read") as caught:
        load_sealing_key(home.sealing_key, lambda: SECRET)
    assert "SECRET-KEY" not in str(caught.value)


def test_a_file_of_two_keys_is_refused(home: Home, tmp_path: Path):
    for name in ("one", "two"):
        load_sealing_key(tmp_path / name, nothing)
    home.sealing_key.parent.mkdir(parents=True)
    home.sealing_key.write_bytes((tmp_path / "one").read_bytes() + (tmp_path / "two").read_bytes())
    home.sealing_key.chmod(0o600)
    with pytest.raises(KeyFileError, match="of one key"):
        load_sealing_key(home.sealing_key, nothing)


def test_where_none_may_be_made_none_is(home: Home):
    with pytest.raises(KeyFileError, match="there is no sealing key"):
        load_sealing_key(home.sealing_key, nothing, make=False)
    assert not home.folder.exists()


def test_points_of_low_order_are_not_usable(home: Home):
    assert is_usable(load_sealing_key(home.sealing_key, nothing).recipient)
    assert not is_usable(bytes(32))
    assert not is_usable(b"\1" + bytes(31))
    assert not is_usable((2**255 - 20).to_bytes(32, "little"))


def test_a_known_public_key_is_read_and_written():
    assert recipient_text(recipient_bytes(KNOWN)) == KNOWN


@given(st.binary(min_size=32, max_size=32))
def test_every_public_key_is_written_as_age_writes_it(raw: bytes):
    text = recipient_text(raw)
    assert recipient_bytes(text) == raw
    assert str(library().x25519.Recipient.from_str(text)) == text


@given(st.binary(max_size=70), st.sampled_from(["a", "age", "x1y"]))
def test_bech32_comes_back(data: bytes, prefix: str):
    assert bech32.decode(prefix, bech32.encode(prefix, data)) == data


@given(st.data())
def test_one_character_changed_is_refused(data: st.DataObject):
    at = data.draw(st.integers(0, len(KNOWN) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda character: character != KNOWN[at]))
    with pytest.raises(KeyFileError, match="not an age public key"):
        recipient_bytes(KNOWN[:at] + other + KNOWN[at + 1 :])


@given(st.text(max_size=80))
def test_any_other_text_is_refused(text: str):
    with pytest.raises(KeyFileError):
        recipient_bytes(text)


@pytest.mark.parametrize("text", [KNOWN.upper(), f" {KNOWN}", recipient_text(bytes(31)), recipient_text(bytes(33)), ""])
def test_other_forms_and_lengths_are_refused(text: str):
    with pytest.raises(KeyFileError):
        recipient_bytes(text)


def test_bits_beyond_the_last_byte_are_refused():
    # BIP 173's checksum of the groups 0 and 1, where one byte needs the last two bits of the second to be zero
    with pytest.raises(ValueError, match="bits beyond"):
        bech32.decode("a", BITS_BEYOND)
