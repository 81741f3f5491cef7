"""FlexAttention: attention whose scores and probabilities graphs in its attributes may change."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from graphopt.errors import ModelError
from graphopt.ir.dtype import DType
from graphopt.ops.table import Call


def flex_attention(call: Call, change: Callable[[str, np.ndarray], np.ndarray]) -> tuple[np.ndarray]:
    """The output, by the text's steps: the softmax in float32 at least, or in the type that `softmax_precision` names.

    `change` runs the graph of an attribute on scores or probabilities.  ModelError where the operands do not fit.
    """
    from graphopt.ops.meaning.attention import softmax  # on demand: it registers every meaning
    from graphopt.ops.meaning.precision import rounded, widened

    q, k, v = call.inputs[:3]
    if not q.ndim == k.ndim == v.ndim == 4 or k.shape[:3] != v.shape[:3] or q.shape[3] != k.shape[3]:
        raise ModelError(f"Q {list(q.shape)}, K {list(k.shape)} and V {list(v.shape)} do not fit each other")
    if not k.shape[1] or q.shape[1] % k.shape[1]:
        raise ModelError(f"{q.shape[1]} heads of Q cannot share {k.shape[1]} heads of K")
    named = call.attributes.get("softmax_precision")
    kind = np.promote_types(np.float32, q.dtype) if named is None and q.dtype.kind == "f" else None
    dtype = DType(int(named or DType.FLOAT32)).numpy if kind is None else kind
    repeat = q.shape[1] // k.shape[1]
    keys, values = (np.repeat(widened(x), repeat, axis=1) for x in (k, v))
    scale = float(call.attributes.get("scale") or 1.0 / math.sqrt(q.shape[3]))
    scores = rounded(np.matmul(widened(q), np.swapaxes(keys, 2, 3)) * scale, dtype)
    if "score_mod" in call.attributes:
        scores = change("score_mod", scores)
    shares = rounded(softmax(widened(scores)), dtype)
    if "prob_mod" in call.attributes:
        shares = change("prob_mod", shares)
    return (rounded(np.matmul(widened(shares), values), v.dtype),)
