"""Every operator refuses operands that do not fit it, in one sentence: by sizes alone, or by known elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from graphopt.check import run_call
from graphopt.errors import MisfitError
from graphopt.infer import infer_call
from graphopt.ir import DType, TensorType, symbol
from graphopt.ops.table import Call

F, I = DType.FLOAT32, DType.INT64  # noqa: E741
N = symbol("N")
Shape = tuple[Any, ...]

MISFITS: list[tuple[str, Sequence[Any], dict[str, Any], str]] = [
    ("Attention", [(1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 6, 4)], {}, "lengths of K and V must agree, got 5 and 6"),
    ("Attention", [(1, 3, 3, 4), (1, 2, 5, 4), (1, 2, 5, 4)], {}, "heads of Q must be a multiple of 2, got 3"),
    ("BatchNormalization", [(1, 3, 2), 3, 3, 2, 3], {}, r"input_mean must have shape \[3\], got \[2\]"),
    ("Clip", [(4,), (2,)], {}, r"min must have one element, got shape \[2\]"),
    ("Col2Im", [(1, 5, 4), [3, 3], [2, 2]], {}, "second dimension of the columns must be a multiple of 4, got 5"),
    ("Col2Im", [(1, 4, 5), [3, 3], [2, 2]], {}, "the columns and the places of the block must agree, got 5 and 4"),
    ("Compress", [(2, 3), (7,)], {}, "the condition has 7 elements for 6 to choose from"),
    ("Conv", [(1, 2, 4), (3, 2, 1), 2], {}, r"the bias must have shape \[3\], got \[2\]"),
    ("Conv", [(1, 2, 4), (3, 1, 1)], {"group": 2}, "channels of the result must be a multiple of 2, got 3"),
    ("Conv", [(1, 2, 4), (3, 2, 1)], {"pads": [-1, 0]}, "pads must not be negative"),
    ("ConvInteger", [(1, 2, 4), (3, 2, 1), (), 2], {}, r"w_zero_point must have shape \[3\], got \[2\]"),
    ("ConvTranspose", [(1, 2, 4), (2, 3, 1), 2], {}, r"the bias must have shape \[3\], got \[2\]"),
    ("CumSum", [(2, 3), np.int64(2)], {}, "axis 2 is outside the 2 dimensions"),
    ("DFT", [(1, 4, 1), np.int64(0)], {"axis": 1}, "dft_length must lie from 1"),
    ("DepthToSpace", [(1, 6, 2, 2)], {"blocksize": 2}, "the channels must be a multiple of 4, got 6"),
    ("DequantizeLinear", [(2, 3), 2], {}, r"x_scale must have shape \[3\], got \[2\]"),
    ("DequantizeLinear", [(2, 3), 3, 2], {}, r"x_zero_point must have shape \[3\], got \[2\]"),
    ("DequantizeLinear", [(2, 5), (2, 2)], {"block_size": 2}, r"x_scale must have shape \[2, 3\], got \[2, 2\]"),
    ("Det", [(2, 3)], {}, "rows and columns must agree, got 2 and 3"),
    ("Einsum", [(2, 3), (4, 5)], {"equation": "ij,jk"}, "cannot broadcast the dimension 3 with 4"),
    ("Expand", [(2,), [-2]], {}, "negative dimension"),
    ("EyeLike", [(2, 3, 4)], {}, "must have 2 dimensions"),
    ("Gather", [(5,), [0, 5]], {}, "index into axis 0 of 5 elements must lie from -5 to 4, got 5"),
    ("Gather", [(5,), [-6]], {}, "must lie from -5 to 4, got -6"),
    ("GatherElements", [(2, 3), (9, 1)], {"axis": 1}, "indices have 9 elements in dimension 0, where the data has 2"),
    ("GatherND", [(2, 3), (4, 1, 1)], {"batch_dims": 1}, "a batch dimension, must agree, got 2 and 4"),
    ("GatherND", [(2, 3), (4, 3)], {}, "an index of 3 numbers does not fit 2 dimensions"),
    ("GatherND", [(2, 3), [[0, 3]]], {}, "dimension 1 of 3 elements must lie from -3 to 2, got 3"),
    ("Gemm", [(2, 3), (3, 4), (3,)], {}, "C has a dimension 3 where the product has 4"),
    ("GridSample", [(1, 1, 2, 2), (3, 1, 1, 2)], {}, "the batches of X and grid must agree, got 1 and 3"),
    ("GridSample", [(1, 1, 2, 2), (1, 1, 1, 3)], {}, "the coordinates of the grid must agree, got 2 and 3"),
    ("GroupNormalization", [(2, 4, 3), 4, 2], {"num_groups": 2}, r"bias must have shape \[4\], got \[2\]"),
    ("GroupNormalization", [(2, 4, 3), 4, 4], {"num_groups": 3}, "channels must be a multiple of 3, got 4"),
    ("InstanceNormalization", [(2, 4, 3), 4, 2], {}, r"B must have shape \[4\], got \[2\]"),
    (
        "LSTM",
        [(2, 1, 3), (1, 8, 3), (1, 8, 2), None, np.array([5], np.int32)],
        {"hidden_size": 2},
        "from 0 to 2, got 5",
    ),
    ("LSTM", [(2, 1, 3), (1, 8, 4), (1, 8, 2)], {"hidden_size": 2}, r"W must have shape \[1, 8, 3\], got \[1, 8, 4\]"),
    ("LSTM", [(2, 1, 3), (1, 8, 3), (1, 8, 2), (1, 8)], {"hidden_size": 2}, r"B must have shape \[1, 16\]"),
    ("GRU", [(2, 1, 3), (1, 6, 3), (1, 6, 2), None, None, (1, 2, 2)], {"hidden_size": 2}, "initial_h must have"),
    ("RNN", [(2, 1, 3), (2, 2, 3), (1, 2, 2)], {"hidden_size": 2}, r"W must have shape \[1, 2, 3\]"),
    ("LayerNormalization", [(2, 3), 2], {}, r"Scale must broadcast to \[2, 3\], got \[2\]"),
    ("MatMulInteger", [(2, 3), (3, 4), 3], {}, r"a_zero_point must have shape \[2\], got \[3\]"),
    ("MatMulInteger", [(2, 3), (3, 4), None, 3], {}, r"b_zero_point must broadcast to \[1, 4\], got \[3\]"),
    ("MaxUnpool", [(1, 1, 2), (1, 1, 3)], {"kernel_shape": [2]}, r"I must have shape \[1, 1, 2\]"),
    ("MaxUnpool", [(1, 1, 2), [[[0, 3]]]], {"kernel_shape": [2]}, "an index of I must lie from 0 to 2, got 3"),
    ("NegativeLogLikelihoodLoss", [(2, 3), [0, 3]], {}, "a target must lie from 0 to 2, got 3"),
    ("NonMaxSuppression", [(1, 5, 4), (1, 1, 6)], {}, r"scores must have shape \[1, any, 5\], got \[1, 1, 6\]"),
    ("NonMaxSuppression", [(1, 5, 4), (1, 1, 5), np.int64(-1)], {}, "must lie from 0"),
    ("OneHot", [(2,), np.int64(-1), (2,)], {}, "depth must not be negative, got -1"),
    ("OneHot", [(2,), np.int64(3), (3,)], {}, r"values must have shape \[2\], got \[3\]"),
    ("PRelu", [(1, 3), (2, 3)], {}, r"slope must broadcast to \[1, 3\]"),
    ("Pad", [(4,), [1, 1], (0,)], {}, r"constant_value must have one element, got shape \[0\]"),
    ("Pad", [(4,), [4, 0]], {"mode": "reflect"}, "mode reflect pads axis 0 by 4, but it has 4 elements"),
    ("QLinearConv", [(1, 2, 4), (), (), (3, 2, 1), 2, (), (), ()], {}, r"w_scale must have shape \[3\], got \[2\]"),
    ("QuantizeLinear", [(2, 3), 2], {"axis": 1}, r"y_scale must have shape \[3\], got \[2\]"),
    ("Range", [np.float32(0), np.float32(np.nan), np.float32(1)], {}, "limit must be finite, got nan"),
    ("Range", [np.int64(0), np.int64(3), np.int64(0)], {}, "delta must not be 0"),
    ("Resize", [(1, 2), None, np.array([1, np.nan], np.float32)], {}, "scales must be finite, got nan"),
    ("Resize", [(1, 2), None, np.array([1, -1], np.float32)], {}, "scales must be positive, got -1"),
    ("Resize", [(1, 2), None, np.array([1, np.inf], np.float32), [1, 2]], {}, "scales must be finite"),
    ("Resize", [(1, 2), None, np.array([1, 2], np.float32), [1, 4]], {}, "both scales and sizes"),
    ("ReverseSequence", [(3, 2), [1, 4]], {}, "sequence_lens must lie from 0 to 3, got 4"),
    ("RoiAlign", [(1, 1, 4, 4), (1, 4), [1]], {}, "batch_indices must lie from 0 to 0, got 1"),
    ("STFT", [(1, 4, 1), np.int64(0), None, np.int64(2)], {}, "frame_step must lie from 1"),
    ("STFT", [(1, 4, 1), np.int64(1), None, np.int64(9)], {}, "a frame of 9 does not fit a signal of 4"),
    ("ScatterElements", [(3, 4), (2, 4), (1, 2)], {}, r"updates must have shape \[2, 4\], got \[1, 2\]"),
    ("ScatterElements", [(3, 4), (2, 5), (2, 5)], {}, "indices have 5 elements in dimension 1, where the data has 4"),
    ("ScatterND", [(2, 4), (1, 1), (1, 2)], {}, r"updates must have shape \[1, 4\], got \[1, 2\]"),
    ("ScatterND", [(4,), [[10**9]], (1,)], {}, "must lie from -4 to 3, got 1000000000"),
    ("SpaceToDepth", [(1, 1, 3, 4)], {"blocksize": 2}, "the height must be a multiple of 2, got 3"),
    ("Split", [(4,), [5, -1]], {}, "negative size"),
    ("TensorScatter", [(1, 4, 2), (1, 2, 2), [3]], {}, "write_indices must lie from 0 to 2, got 3"),
    ("Tile", [(2,), [-1]], {}, "repeats must lie from 0"),
    ("TopK", [(2,), [3]], {}, "k is 3, but axis 0 has 2"),
    ("Trilu", [(2,)], {}, "must have at least 2 dimensions"),
    ("Unsqueeze", [(2,), [3]], {}, "axis 3 is outside"),
    ("Where", [(2,), (3,), (3,)], {}, "cannot broadcast"),
]


@pytest.mark.parametrize(("op", "operands", "attributes", "says"), MISFITS)
def test_operands_that_do_not_fit_are_refused(
    op: str, operands: Sequence[Any], attributes: dict[str, Any], says: str
) -> None:
    types, values = typed(operands)
    with pytest.raises(MisfitError, match=f"^{op}: .*{says}"):
        infer_call(op, "", 24, attributes, types, values, outputs_of(op))


@pytest.mark.parametrize(("op", "operands", "attributes", "says"), MISFITS)
def test_what_is_not_known_yet_is_not_refused(
    op: str, operands: Sequence[Any], attributes: dict[str, Any], says: str
) -> None:
    types, _ = typed(operands)
    opened = [
        None if t is None else TensorType(t.dtype, tuple(symbol(f"d{i}_{axis}") for axis in range(len(t.shape or ()))))
        for i, t in enumerate(types)
    ]
    ranks_alone = {"Trilu", "EyeLike"}
    attributes_alone = "pads must not be negative" in says
    if op not in ranks_alone and not attributes_alone:
        infer_call(op, "", 24, attributes, opened, [None] * len(types), outputs_of(op))
    unknown = [None if t is None else TensorType(t.dtype) for t in types]
    infer_call(op, "", 24, attributes, unknown, [None] * len(types), outputs_of(op))


def outputs_of(op: str) -> int:
    return {"Split": 2, "TopK": 2}.get(op, 1)


def typed(operands: Sequence[Any]) -> tuple[list[TensorType | None], list[np.ndarray | None]]:
    """A tuple is a shape and a number a vector's length; arrays and lists are known elements."""
    types: list[TensorType | None] = []
    values: list[np.ndarray | None] = []
    for operand in operands:
        shape = (operand,) if type(operand) is int else operand
        array = None if operand is None or isinstance(shape, tuple) else np.asarray(operand)
        values.append(array)
        if operand is None:
            types.append(None)
        elif array is not None:
            types.append(TensorType(DType.of(array.dtype), array.shape))
        else:
            types.append(TensorType(F, shape))
    return types, values


def test_however_many_indices_there_are_each_is_looked_at() -> None:
    indices = np.zeros(10_000, np.int64)
    indices[-1] = 5
    with pytest.raises(MisfitError, match="must lie from -5 to 4, got 5"):
        run_call(Call("Gather", "", 17, {}, (np.zeros(5, np.float32), indices), 1))


def test_a_class_out_of_range_is_off_everywhere_as_onnx_says() -> None:
    values = np.array([0, 1], np.float32)
    places = np.array([3, -4, -1], np.int64)
    (made,) = run_call(Call("OneHot", "", 17, {}, (places, np.int64(3), values), 1))
    np.testing.assert_array_equal(made, [[0, 0, 0], [0, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("dims", [(2**62, 2**62), (0, 2**62, 2**20), (2**63,)])
def test_no_tensor_is_larger_than_numpy_can_count(dims: Shape) -> None:
    with pytest.raises(MisfitError, match="too large to be"):
        infer_call("ConstantOfShape", "", 17, {}, [TensorType(I, (len(dims),))], [np.array(dims, object)])


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("Softmax", (np.zeros(3, np.float32), None, None, None), {"axis": "last"}),
        ("Concat", (np.zeros((2, 3), np.float32),), {"axis": "last"}),
        ("Conv", (np.zeros((1, 1, 3), np.float32), np.zeros((1, 1, 1), np.float32)), {"strides": [None]}),
    ],
)
def test_what_nobody_foresaw_is_said_in_our_words(op: str, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> None:
    with pytest.raises(MisfitError, match=rf"^{op}: it cannot take float32\[[^:]*\(opset 17\)$"):
        run_call(Call(op, "", 17, attributes, inputs, 1))
