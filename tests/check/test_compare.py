"""Comparison of results: what counts as the same at each level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphopt.check import compare
from graphopt.rewrite import Exactness

F32 = np.float32
BIG = float(np.finfo(F32).max)


def f32(*items: float) -> np.ndarray:
    return np.array(items, F32)


@pytest.mark.parametrize(
    ("expected", "got", "kind"),
    [
        (f32(1, np.nan), f32(1, -np.nan), ""),
        (f32(0.0), f32(-0.0), "zero"),
        (f32(1), f32(1.0000001), "value"),
        (f32(np.nan), f32(0), "nan"),
        (f32(np.inf), f32(-np.inf), "infinity"),
        (f32(np.inf), f32(BIG), "infinity"),
        (f32(1), np.array([1.0]), "dtype"),
        (f32(1), f32(1, 1), "shape"),
        (np.array([1, 2]), np.array([1, 3]), "value"),
        (np.array(["a", "b"], object), np.array(["a", "b"], object), ""),
        (np.array(["a", "b"], object), np.array(["a", "c"], object), "value"),
        (f32(1), None, "missing"),
        ([f32(1)], [f32(1), f32(2)], "length"),
    ],
)
def test_exact_means_bit_for_bit_with_one_nan_and_two_zeros(expected: Any, got: Any, kind: str) -> None:
    assert compare(expected, got).kind == kind


def test_the_worst_wrong_element_is_the_one_that_is_shown() -> None:
    found = compare(f32(1, 2, 4), f32(1, 2.5, 3))
    assert (found.where, found.expected, found.got, found.count) == ((2,), "4.0", "3.0", 2)
    assert found.worst_relative == pytest.approx(0.25)


def test_reassociation_without_a_derived_allowance_is_one_rounding() -> None:
    near = np.nextafter(f32(1), f32(2))
    assert compare(f32(1), near, Exactness.REASSOCIATE).agrees
    assert not compare(f32(1), near + near - 1 + F32(1e-6), Exactness.REASSOCIATE).agrees


def test_reassociation_still_propagates_nan_and_infinities() -> None:
    allowed = np.full(1, 1e30)
    assert compare(f32(np.nan), f32(1), "reassociate", allowed).kind == "nan"
    assert compare(f32(np.inf), f32(-np.inf), "reassociate", allowed).kind == "infinity"
    assert compare(f32(np.inf), f32(1), "reassociate", allowed).kind == "infinity"


def test_rounding_may_carry_what_is_almost_too_large_over_the_edge() -> None:
    assert compare(f32(BIG), f32(np.inf), "reassociate", np.array([np.inf])).agrees


def test_an_approximation_may_be_off_by_its_stated_bound() -> None:
    assert compare(f32(1, 100), f32(1.5, 100), "approximate", bound=0.01).agrees
    assert not compare(f32(1, 100), f32(2.5, 100), "approximate", bound=0.01).agrees
