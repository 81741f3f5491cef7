"""What governing costs on a chain where gas is money."""

from __future__ import annotations

from pathlib import Path

from .federation import Found
from .gas_table import measure

PAGE = Path(__file__).parents[2] / "docs" / "gas.md"


def test_a_quorum_of_three_stays_below_the_limits_and_costs_what_the_page_says(found: Found):
    gas = measure(3, found)
    assert gas["anchor the first version of a model"] <= 105_000
    assert gas["anchor a later version"] <= 85_000
    assert gas["revoke"] <= 66_000
    assert gas["anchor a batch of any size"] <= 85_000
    page = PAGE.read_text()
    for what, amount in gas.items():
        [line] = [line for line in page.splitlines() if line.startswith(f"| {what} |")]
        assert line.split("|")[3].strip() == f"{amount:,}"
