"""Feature operators of ai.onnx.ml: scaling, encoding, imputing, mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning.symbolic import objects
from graphopt.ops.table import Call, meaning

_ML = "ai.onnx.ml"


@meaning("Scaler", domain=_ML)
def _scaler(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0].astype(np.float64)
    offset = np.array(call.attributes.get("offset") or [0.0], np.float64)
    scale = np.array(call.attributes.get("scale") or [1.0], np.float64)
    return (((x - offset) * scale).astype(np.float32),)


@meaning("Normalizer", domain=_ML)
def _normalizer(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0].astype(np.float64)
    match str(call.attributes.get("norm", "MAX")):
        case "MAX":
            norm = np.abs(x).max(axis=-1, keepdims=True)  # the text has max(X); runtimes and scikit-learn take |X|
        case "L1":
            norm = np.abs(x).sum(axis=-1, keepdims=True)
        case _:
            norm = np.sqrt(np.square(x).sum(axis=-1, keepdims=True))
    return (np.where(norm == 0, x, x / np.where(norm == 0, 1.0, norm)).astype(np.float32),)


@meaning("Binarizer", domain=_ML)
def _binarizer(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    return ((x > call.attributes.get("threshold", 0.0)).astype(x.dtype),)


@meaning("Imputer", domain=_ML)
def _imputer(call: Call) -> tuple[np.ndarray]:
    x, a = call.inputs[0], call.attributes
    whole = x.dtype.kind in "iu"
    wanted = a.get("replaced_value_int64", 0) if whole else a.get("replaced_value_float", 0.0)
    new = np.array(a["imputed_value_int64s"] if whole else a["imputed_value_floats"]).astype(x.dtype)
    missing = np.isnan(x) if not whole and np.isnan(wanted) else x == wanted
    return (np.where(missing, new, x).astype(x.dtype),)


@meaning("FeatureVectorizer", domain=_ML)
def _feature_vectorizer(call: Call) -> tuple[np.ndarray]:
    parts = [x.reshape(1, -1) if x.ndim == 1 else x for x in call.inputs]
    return (np.concatenate(parts, axis=1).astype(np.float32),)


@meaning("OneHotEncoder", domain=_ML)
def _one_hot_encoder(call: Call) -> tuple[np.ndarray]:
    x, a = call.inputs[0], call.attributes
    categories = list(a.get("cats_strings") or a.get("cats_int64s") or ())
    if x.dtype == object:
        hit = np.array([[str(item) == c for c in categories] for item in x.ravel()], bool)
    else:
        hit = x.astype(np.int64).reshape(-1, 1) == np.array(categories, np.int64)
    if not a.get("zeros", 1) and not hit.any(axis=1).all():
        raise ModelError("an element is in none of the categories")
    return (hit.reshape(*x.shape, len(categories)).astype(np.float32),)


@meaning("CategoryMapper", domain=_ML)
def _category_mapper(call: Call) -> tuple[np.ndarray]:
    x, a = call.inputs[0], call.attributes
    words, numbers = [str(w) for w in a["cats_strings"]], [int(n) for n in a["cats_int64s"]]
    if x.dtype == object:
        table: dict[Any, Any] = dict(zip(words, numbers, strict=True))
        default = int(a.get("default_int64", -1))
        return (np.array([table.get(str(item), default) for item in x.ravel()], np.int64).reshape(x.shape),)
    table = dict(zip(numbers, words, strict=True))
    return (objects([table.get(int(item), a.get("default_string", "_Unused")) for item in x.ravel()], x.shape),)


def _side(a: Mapping[str, Any], side: str) -> np.ndarray:
    """The keys or values of a LabelEncoder, however they are given."""
    for name, dtype in (("tensor", None), ("strings", object), ("int64s", np.int64), ("floats", np.float32)):
        given = a.get(f"{side}_{name}")
        if given is not None:
            return np.array(given, dtype) if dtype is not None else np.asarray(given)
    raise ModelError(f"{side} are missing")


@meaning("LabelEncoder", domain=_ML)
def _label_encoder(call: Call) -> tuple[np.ndarray]:
    x, a = call.inputs[0], call.attributes
    if "classes_strings" in a:  # version 1: strings and their positions
        words = [str(w) for w in a["classes_strings"]]
        if x.dtype != object:
            default = a.get("default_string", "_Unused")
            named = [words[int(i)] if 0 <= i < len(words) else default for i in x.ravel()]
            return (objects(named, x.shape),)
        place = {word: i for i, word in enumerate(words)}
        found = [place.get(str(item), int(a.get("default_int64", -1))) for item in x.ravel()]
        return (np.array(found, np.int64).reshape(x.shape),)
    keys, values = _side(a, "keys"), _side(a, "values")
    table = {_key(k): v for k, v in zip(keys.ravel().tolist(), values.ravel().tolist(), strict=True)}
    made = [table.get(_key(item), _default(a, values)) for item in x.ravel().tolist()]
    if values.dtype == object:
        return (objects(made, x.shape),)
    return (np.array(made, values.dtype).reshape(x.shape),)


def _key(item: Any) -> Any:
    return "NaN" if isinstance(item, float) and np.isnan(item) else item.decode() if isinstance(item, bytes) else item


def _default(a: Mapping[str, Any], values: np.ndarray) -> Any:
    if "default_tensor" in a:
        return np.asarray(a["default_tensor"]).ravel()[0]
    if values.dtype == object:
        return a.get("default_string", "_Unused")
    return int(a.get("default_int64", -1)) if values.dtype.kind in "iu" else float(a.get("default_float", -0.0))


@meaning("ZipMap", domain=_ML)
def _zip_map(call: Call) -> tuple[list[dict[Any, float]]]:
    keys = call.attributes.get("classlabels_strings") or call.attributes.get("classlabels_int64s") or ()
    rows = np.atleast_2d(call.inputs[0])
    return ([dict(zip(keys, row.tolist(), strict=True)) for row in rows],)
