"""Classic machine learning: the operators of ai.onnx.ml."""

from __future__ import annotations

from graphopt.ir.dim import Dim, product
from graphopt.ir.dtype import DType
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.operand import Result, dtype_of, places, refuse, same_shape, shape_of, unknown, with_rank
from graphopt.ops.table import Inference, shape_rule

_ML = "ai.onnx.ml"


@shape_rule("TreeEnsemble", domain=_ML)
def tree_ensemble(call: Inference) -> Result:
    """[rows, n_targets], in the element type of the data."""
    _check_trees(call)
    return (TensorType(dtype_of(call, 0), (_rows(call), call.attributes.get("n_targets", unknown(call, 1)))),)


@shape_rule("TreeEnsembleRegressor", domain=_ML)
def tree_ensemble_regressor(call: Inference) -> Result:
    """[rows, n_targets] in float32."""
    _check_trees(call)
    return (TensorType(DType.FLOAT32, (_rows(call), call.attributes.get("n_targets", 1))),)


@shape_rule("LinearRegressor", "SVMRegressor", domain=_ML)
def regressor(call: Inference) -> Result:
    """[rows, targets] in float32; at most as many columns of data as a target, or just those that a vector, has."""
    attributes = call.attributes
    linear = call.op == "LinearRegressor"
    targets = attributes.get("targets", 1) if linear else 1
    vectors = attributes.get("n_supports", 0)
    numbers = attributes["coefficients"] if linear or not vectors else attributes["support_vectors"]
    _check_width(call, len(numbers), targets if linear or not vectors else vectors, at_most=linear)
    return (TensorType(DType.FLOAT32, (_rows(call), targets)),)


@shape_rule("TreeEnsembleClassifier", "LinearClassifier", "SVMClassifier", domain=_ML)
def classifier(call: Inference) -> Result:
    """A label for each row, and its scores: one column for each class."""
    attributes = call.attributes
    if call.op == "TreeEnsembleClassifier":
        _check_trees(call)
    if call.op == "LinearClassifier" and (intercepts := attributes.get("intercepts")):
        _check_width(call, len(attributes["coefficients"]), len(intercepts), at_most=True)
    names = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")
    labels = next((attributes[name] for name in names if attributes.get(name)), None)
    texts = bool(attributes.get("classlabels_strings"))
    columns: Dim = unknown(call, 1, 1) if labels is None or call.op == "SVMClassifier" else len(labels)
    rows = _rows(call)
    label = TensorType(DType.STRING if texts else DType.INT64, (rows,))
    return (label, TensorType(DType.FLOAT32, (rows, columns)))[: call.outputs]


@shape_rule("Normalizer", "Scaler", domain=_ML)
def to_float(call: Inference) -> Result:
    """The data's shape in float32."""
    if call.op == "Scaler":
        _check_columns(call, "offset", "scale")
    return (TensorType(DType.FLOAT32, shape_of(call, 0)),)


@shape_rule("Binarizer", "Imputer", domain=_ML)
def same(call: Inference) -> Result:
    """The data's type."""
    if call.op == "Imputer":
        _check_columns(call, "imputed_value_floats", "imputed_value_int64s")
    return (call.types[0],)


@shape_rule("ArrayFeatureExtractor", domain=_ML)
def array_feature_extractor(call: Inference) -> Result:
    """The last axis has the columns that the second operand names."""
    data, names = shape_of(call, 0), shape_of(call, 1)
    if data is None or names is None:
        return (TensorType(dtype_of(call, 0)),)
    with_rank(call, data, 1, "the data")
    places(call, 1, data[-1], "an index", "the last axis")
    count: Dim = 1
    for dim in names:
        count = count * dim
    lead: Shape = data[:-1] if len(data) > 1 else (1,)
    return (TensorType(dtype_of(call, 0), (*lead, count)),)


@shape_rule("FeatureVectorizer", domain=_ML)
def feature_vectorizer(call: Inference) -> Result:
    """The columns of all operands beside each other, in float32."""
    dimensions = call.attributes.get("inputdimensions", ())
    total = sum(dimensions)
    for slot, columns in enumerate(dimensions):
        shape = shape_of(call, slot)
        if shape is not None:
            with_rank(call, shape, 1, f"input {slot}", 2)
            same_shape(call, slot, (columns,) if len(shape) == 1 else (_rows(call), columns), f"input {slot}")
    return (TensorType(DType.FLOAT32, (_rows(call), total or unknown(call, 1))),)


@shape_rule("LabelEncoder", domain=_ML)
def label_encoder(call: Inference) -> Result:
    """The data's shape, in the element type of the values."""
    dtypes = {"values_strings": DType.STRING, "values_int64s": DType.INT64, "values_floats": DType.FLOAT32}
    dtype = next((dtype for name, dtype in dtypes.items() if name in call.attributes), None)
    if dtype is None and "values_tensor" in call.attributes:
        dtype = DType.of(call.attributes["values_tensor"].dtype)
    if dtype is None:  # version 1: text to numbers, numbers to text
        dtype = DType.INT64 if dtype_of(call, 0) is DType.STRING else DType.STRING
    return (TensorType(dtype, shape_of(call, 0)),)


@shape_rule("OneHotEncoder", domain=_ML)
def one_hot_encoder(call: Inference) -> Result:
    """The data's shape with the categories as a last axis, in float32."""
    shape = shape_of(call, 0)
    count = len(call.attributes.get("cats_int64s", ()) or call.attributes.get("cats_strings", ()))
    return (TensorType(DType.FLOAT32, None if shape is None else (*shape, count)),)


def _check_columns(call: Inference, *names: str) -> None:
    """A list of numbers has one, or one for each column of the data."""
    shape = shape_of(call, 0)
    for name in names:
        given = call.attributes.get(name)
        if given and shape and isinstance(shape[-1], int) and len(given) not in (1, shape[-1]):
            refuse(call, f"{name} has {len(given)} numbers for {shape[-1]} columns")


def _check_width(call: Inference, numbers: int, rows: int, *, at_most: bool = False) -> None:
    """A matrix with so many rows and numbers in all is multiplied with the data, flat but for its own rows.

    A linear model may have numbers left over (`at_most`): see `meaning/linear_models.py`.
    """
    shape = shape_of(call, 0)
    if shape is None:
        return
    width = product(shape[1:] if len(shape) > 1 else shape)
    fits = not isinstance(width, int) or (rows * width <= numbers if at_most else rows * width == numbers)
    if rows < 1 or not fits:
        refuse(call, f"{numbers} numbers for {rows} rows do not fit the {width} columns of the data")


def _check_trees(call: Inference) -> None:
    """The data is a matrix; whether it has every column that a node looks at, the meaning says."""
    shape = shape_of(call, 0)
    if shape is not None:
        with_rank(call, shape, 2, "X", 2)


def _rows(call: Inference) -> Dim:
    shape = shape_of(call, 0)
    if shape is None:
        return unknown(call, 0)
    return shape[0] if len(shape) > 1 else 1
