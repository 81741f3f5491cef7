"""The page of operators names every one that has a meaning here, and no other."""

from __future__ import annotations

import re

from graphopt.ops import table
from tests.docs.session import ROOT


def test_the_page_names_the_operators_of_microsofts_domain() -> None:
    assert table.meaning_of("Relu") is not None  # all families are registered
    known = {op for domain, op in vars(table)["_meanings"] if domain == "com.microsoft"}
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    rows = page.partition("| kind | operators")[2].partition("\n\n")[0]
    named = {
        word
        for row in rows.splitlines()[2:]
        for word in re.findall(r"\b[A-Z]\w*[a-z]\w*|CDist|Pad|QGemm", row.split("|")[2])
    }
    assert known - named == set()
    assert {word for word in named if table.meaning_of(word, "com.microsoft") is None} <= {"QLinear", "LSTM"}
