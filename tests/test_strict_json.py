"""Whoever sends JSON decides what is in it, and not how long reading it takes."""

from __future__ import annotations

import time

import pytest

from graphopt import strict_json
from graphopt.errors import BundleError


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'"' + b'\\"' * 300_000, "not JSON"),
        (b'{"a":"' + b'\\"' * 300_000, "not JSON"),
        (
            b"{%s,%s}" % (b",".join(b'"k%d":1' % at for at in range(60_000)), b'"k59999":1'),
            "gives the key 'k59999' twice",
        ),
        (b'"' + b"[" * 300_000, "not JSON"),
        (b'["\\\\",' + b"[" * 40, "nested deeper"),
    ],
)
def test_a_hostile_document_is_refused_in_the_time_that_reading_it_takes(data: bytes, sentence: str):
    begin = time.process_time()
    with pytest.raises(BundleError, match=sentence):
        strict_json.decode(data, "the manifest")
    # both took minutes while they were quadratic
    assert time.process_time() - begin < 5
