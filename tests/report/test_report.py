"""Reports: one content, two forms."""

from __future__ import annotations

import json
import sys

import pytest

from graphopt.report import Column, Entry, Facts, Format, Report, Table, show
from graphopt.report.wording import worded
from graphopt.text import one_sentence

REPORT = Report(
    (
        Facts("", "Model", (Entry("nodes", "nodes", 1234, Format.COUNT), Entry("name", "name", "a[red]b\x1b[2J"))),
        Table(
            "calls",
            "Calls",
            (
                Column("op", "operator"),
                Column("seconds", "time", Format.SECONDS),
                Column("worst", "worst", Format.ERROR),
            ),
            (("Conv", 0.00123, float("inf")), ("Relu", 0.0, None)),
        ),
    )
)


def test_json_is_the_data_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    show(REPORT, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "nodes": 1234,
        "name": "a[red]b\x1b[2J",
        "calls": [
            {"op": "Conv", "seconds": 0.00123, "worst": "inf"},
            {"op": "Relu", "seconds": 0.0, "worst": None},
        ],
    }


def test_a_table_shows_every_value_with_its_unit(capsys: pytest.CaptureFixture[str]) -> None:
    show(REPORT)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if "nodes" in line or "Conv" in line] == [
        ["nodes", "1,234"],
        ["Conv", "1.23", "ms", "inf"],
    ]


def test_names_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(REPORT)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"a[red]b\x1b[2J" in out


def test_two_sections_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="'nodes'"):
        Report((Facts("", "", (Entry("nodes", "n", 1),)), Facts("nodes", "", ()))).data()


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0, Format.BYTES, "0 B"),
        (999, Format.BYTES, "999 B"),
        (1234, Format.BYTES, "1.23 kB"),
        (999_999, Format.BYTES, "1 MB"),
        (2.5e-7, Format.SECONDS, "250 ns"),
        (0.0, Format.SECONDS, "0 ns"),
        (61.5, Format.SECONDS, "61.5 s"),
        (1.5, Format.RATIO, "1.50×"),
        (0.98519, Format.PERCENT, "98.52 %"),
        (3.14e-7, Format.ERROR, "3.1e-07"),
        (0.0, Format.ERROR, "0"),
        (None, Format.COUNT, "–"),
        (True, Format.TEXT, "yes"),
    ],
)
def test_values_are_worded(value: int | float | bool | None, form: Format, text: str) -> None:
    assert worded(value, form) == text


def test_an_error_is_one_line_whatever_its_message_holds() -> None:
    assert one_sentence(ValueError("first\n  second\x07")) == r"first second\x07"
    assert one_sentence(ValueError()) == "ValueError"


def test_a_long_fact_is_not_folded_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["graphopt.report.show"], "WIDTH_OF_A_PIPE", 40)
    show(Report((Facts("", "Bundle", (Entry("digest", "digest", "0123456789abcdef" * 4),)),)))
    assert "  digest  " + "0123456789abcdef" * 4 in capsys.readouterr().out.splitlines()
