"""Requests from files and from seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from graphopt.cli.feeds import choose_feeds, parse_dims, random_feeds, read_npz
from graphopt.cli.output import OutputError, write_npz
from graphopt.errors import InputError
from graphopt.ir.dim import symbol
from graphopt.ir.dtype import DType
from graphopt.ir.types import SequenceType, TensorType, Type


@dataclass
class Taken:
    name: str
    type: Type | None
    optional: bool = False


FLOATS = TensorType(DType.FLOAT32, (symbol("N"), 3))


def test_the_same_seed_draws_the_same_inputs() -> None:
    first, second = (random_feeds({"x": FLOATS}, 7, {"N": 2})["x"] for _ in range(2))
    assert first.dtype == np.float32
    assert first.shape == (2, 3)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, random_feeds({"x": FLOATS}, 8, {"N": 2})["x"])


def test_a_dimension_without_a_size_is_named() -> None:
    types = {"x": FLOATS, "y": TensorType(DType.INT64, (symbol("?1"), symbol("M") * 2))}
    with pytest.raises(InputError, match=r"add --dim N=SIZE --dim y\.0=SIZE --dim M=SIZE$"):
        random_feeds(types, 0, {})


def test_a_dimension_can_be_named_by_its_place() -> None:
    types = {"y": TensorType(DType.INT64, (symbol("?1"), symbol("M") * 2 + 1))}
    assert random_feeds(types, 0, {"y.0": 3, "M": 4})["y"].shape == (3, 9)


def test_a_size_that_no_dimension_takes_is_an_error() -> None:
    with pytest.raises(InputError, match="no input has a dimension called 'B'"):
        random_feeds({"x": FLOATS}, 0, {"N": 1, "B": 2})


def test_a_size_beyond_reason_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(InputError, match="would take more than"):
        random_feeds({"x": FLOATS}, 0, {"N": 2**62})


def test_what_cannot_be_drawn_says_so() -> None:
    with pytest.raises(InputError, match="no known rank"):
        random_feeds({"x": TensorType(DType.FLOAT32)}, 0, {})
    with pytest.raises(InputError, match="is no tensor"):
        random_feeds({"x": SequenceType(FLOATS)}, 0, {})


@pytest.mark.parametrize("text", ["N", "N=", "=4", "N=-1", "N=4.0", "N=٤"])
def test_a_dim_option_of_another_form_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match="is not NAME=SIZE"):
        parse_dims([text])


def test_one_dimension_cannot_have_two_sizes() -> None:
    with pytest.raises(InputError, match="two sizes, 1 and 2"):
        parse_dims(["N=1", "M=3", "N=2"])


def test_arrays_survive_a_file_whatever_they_are_called(tmp_path: Path) -> None:
    arrays = {"file": np.arange(3), "a/b:0": np.array([["x", "yz"]], object), "allow_pickle": np.array(1.5)}
    write_npz(tmp_path / "f.npz", arrays)
    back = read_npz(tmp_path / "f.npz", {})
    assert back.keys() == arrays.keys()
    assert all(np.array_equal(back[name], arrays[name]) for name in arrays)
    assert [path.name for path in tmp_path.iterdir()] == ["f.npz"]


def test_types_that_numpy_files_cannot_name_are_taken_as_the_model_declares(tmp_path: Path) -> None:
    halves = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    write_npz(tmp_path / "f.npz", {"x": halves})
    back = read_npz(tmp_path / "f.npz", {"x": TensorType(DType.BFLOAT16, (2,))})["x"]
    assert back.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(back, halves)


def test_a_file_of_another_kind_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK but no archive")
    np.save(tmp_path / "x.npy", np.zeros(3))
    for name in ("x.npz", "x.npy"):
        with pytest.raises(InputError, match=r"is not an \.npz file"):
            read_npz(tmp_path / name, {})


def test_a_truncated_archive_is_one_sentence(tmp_path: Path) -> None:
    write_npz(tmp_path / "whole.npz", {"x": np.zeros(1000)})
    (tmp_path / "half.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:4000])
    with pytest.raises(InputError, match="npz"):
        read_npz(tmp_path / "half.npz", {})


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", x=np.array([{"a": 1}], object))
    with pytest.raises(InputError, match="plain arrays"):
        read_npz(tmp_path / "evil.npz", {})


def test_a_folder_is_no_place_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        write_npz(tmp_path, {})
    with pytest.raises(OutputError, match="is no folder"):
        write_npz(tmp_path / "no" / "x.npz", {})


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_text("old")
    with pytest.raises(ValueError, match="pickle"):
        write_npz(tmp_path / "x.npz", {"x": np.zeros(2, [("a", object)])})
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]
    assert (tmp_path / "x.npz").read_text() == "old"


def test_nothing_to_run_on_is_an_error_unless_the_model_takes_nothing() -> None:
    with pytest.raises(InputError, match=r"give --input IN\.npz, or --random SEED"):
        choose_feeds([Taken("x", FLOATS)], None, None, [])
    assert choose_feeds([], None, None, []) == {}


def test_a_file_and_a_seed_exclude_each_other() -> None:
    with pytest.raises(InputError, match="leave out --random and --dim"):
        choose_feeds([Taken("x", FLOATS)], Path("x.npz"), 1, [])


def test_open_dimensions_have_the_default_size_where_there_is_one() -> None:
    feeds = choose_feeds([Taken("x", FLOATS), Taken("b", FLOATS, optional=True)], None, None, [], default_size=5)
    assert {name: array.shape for name, array in feeds.items()} == {"x": (5, 3)}
