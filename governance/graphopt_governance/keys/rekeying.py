"""Another passphrase for all keys of a home, or none of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from graphopt_governance.errors import KeyFileError
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import Passphrase, create_key_file, passphrase_for_new_key
from graphopt_governance.keys.key_swap import alone, decide, finish
from graphopt_governance.keys.member_key import encode_member_key, load_member_key
from graphopt_governance.keys.sealing_key import encode_sealing_key, load_sealing_key
from graphopt_governance.keys.signing_key import encode_signing_key, load_signing_key


def change_passphrase(home: Home, old: Passphrase, new: Passphrase) -> int:
    """Encrypt the key files of `home` under another passphrase ("" or None: not at all); how many there are.

    Those that a rotation left behind are among them, where they open with the same passphrase.

    `new` is asked after the keys were opened with `old`.  KeyFileError when a key does not open, or a rotation is under
    way.
    """
    finish(home)
    if (home.next_keys / home.member_key.name).exists():
        raise KeyFileError(
            f"a rotation of keys is under way: relay its ballot, or remove {home.next_keys} to give it up"
        )
    with alone(home):
        opened = _opened(home, home.keys, old)
        if not opened:
            raise KeyFileError(f"there are no keys at {home.keys} yet; `graphopt fed card` makes them")
        for folder in sorted(home.keys.glob("old-*")):
            # one that is under yet another passphrase stays so
            with suppress(KeyFileError):
                opened += _opened(home, folder, old)
        secret = passphrase_for_new_key(new)
        # left by a process that was killed before it decided
        shutil.rmtree(home.rekeyed, ignore_errors=True)
        for path, encode in opened:
            create_key_file(home.rekeyed / path.relative_to(home.keys), encode(secret))
        decide(home, home.rekeyed)
    return len(opened)


def _opened(home: Home, folder: Path, passphrase: Passphrase) -> list[tuple[Path, Callable[[str | None], bytes]]]:
    """Each key file in a folder, and what writes its key under another passphrase."""
    opened: list[tuple[Path, Callable[[str | None], bytes]]] = []
    if (path := folder / home.member_key.name).exists():
        opened.append((path, partial(encode_member_key, load_member_key(path, passphrase, make=False))))
    if (path := folder / home.signing_key.name).exists():
        opened.append((path, partial(encode_signing_key, load_signing_key(path, passphrase, make=False))))
    if (path := folder / home.sealing_key.name).exists():
        opened.append((path, partial(encode_sealing_key, load_sealing_key(path, passphrase, make=False))))
    return opened
