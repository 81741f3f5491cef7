"""What governing costs on a chain where gas is money."""

from __future__ import annotations

from .gas_table import measure


def test_a_quorum_of_three_stays_below_the_limits():
    gas = measure(3)
    assert gas["anchor the first version of a model"] <= 105_000
    assert gas["anchor a later version"] <= 85_000
    assert gas["revoke"] <= 66_000
    assert gas["anchor a batch of any size"] <= 85_000
