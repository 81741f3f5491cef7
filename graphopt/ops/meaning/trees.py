"""Tree ensembles of ai.onnx.ml: all rows go down all trees together, one level a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning.scores import finished
from graphopt.ops.meaning.symbolic import objects
from graphopt.ops.table import Call, meaning

_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER", "LEAF")
_LEAF = _MODES.index("LEAF")
_SUM, _AVERAGE, _MIN, _MAX = "SUM", "AVERAGE", "MIN", "MAX"


@dataclass(frozen=True, slots=True)
class _Forest:
    """Nodes of all trees in one table; a child that is a leaf is `-1 - leaf`."""

    roots: np.ndarray
    features: np.ndarray
    splits: np.ndarray
    modes: np.ndarray
    """An index into `_MODES`."""
    true: np.ndarray
    false: np.ndarray
    missing_is_true: np.ndarray
    members: Sequence[np.ndarray]
    """For each node the set it tests membership in; empty for other modes."""

    def leaves(self, x: np.ndarray) -> np.ndarray:
        """The leaf each row reaches in each tree: (rows, trees); ModelError when a node looks at a column beyond."""
        looked_at = self.features[self.modes != _LEAF]
        if looked_at.size and not 0 <= looked_at.min() <= looked_at.max() < x.shape[1]:
            raise ModelError(f"X has {x.shape[1]} columns, but nodes look at {looked_at.min()} to {looked_at.max()}")
        at = np.broadcast_to(self.roots, (len(x), len(self.roots))).copy()
        rows = np.broadcast_to(np.arange(len(x))[:, None], at.shape)
        while (going := at >= 0).any():
            nodes = at[going]
            value = x[rows[going], self.features[nodes]]
            taken = self._test(value, nodes) | (np.isnan(value) & self.missing_is_true[nodes])
            at[going] = np.where(taken, self.true[nodes], self.false[nodes])
        return -1 - at

    def _test(self, value: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        split, mode = self.splits[nodes], self.modes[nodes]
        tests = (value <= split, value < split, value >= split, value > split, value == split, value != split)
        taken = np.choose(np.minimum(mode, 5), tests)
        for i in np.flatnonzero(mode == 6):
            taken[i] = bool(np.any(self.members[int(nodes[i])] == value[i]))
        return taken


def _aggregate(weights: np.ndarray, hit: np.ndarray, how: str) -> np.ndarray:
    """From (rows, leaves of all trees, targets) weights and whether each applies, the score of each target."""
    if how in (_SUM, _AVERAGE):
        return np.where(hit, weights, 0.0).sum(axis=1)
    end = np.inf if how == _MIN else -np.inf
    found = np.where(hit, weights, end)
    found = found.min(axis=1) if how == _MIN else found.max(axis=1)
    return np.where(np.isfinite(found), found, 0.0)


def _scores(
    reached: np.ndarray, leaf_of: np.ndarray, target_of: np.ndarray, weight_of: np.ndarray, targets: int, how: str
) -> np.ndarray:
    """The score of each target for each row; a leaf may vote for several targets."""
    leaves = int(max(leaf_of.max(initial=-1), reached.max(initial=-1))) + 1
    weights, hit = np.zeros((leaves, targets)), np.zeros((leaves, targets), np.bool_)
    np.add.at(weights, (leaf_of, target_of), weight_of)
    hit[leaf_of, target_of] = True
    scores = np.zeros((len(reached), targets))
    step = max(1, 4_000_000 // max(reached.shape[1] * targets, 1))  # rows at once: keeps the table in a few megabytes
    for start in range(0, len(reached), step):
        part = reached[start : start + step]
        scores[start : start + step] = _aggregate(weights[part], hit[part], how)
    return scores / max(reached.shape[1], 1) if how == _AVERAGE else scores


@meaning("TreeEnsemble", domain="ai.onnx.ml")
def _tree_ensemble(call: Call) -> tuple[np.ndarray]:
    x, a = call.inputs[0], call.attributes
    count = len(a["nodes_featureids"])
    true, false = np.array(a["nodes_truenodeids"], np.int64), np.array(a["nodes_falsenodeids"], np.int64)
    true = np.where(np.array(a["nodes_trueleafs"], bool), -1 - true, true)
    false = np.where(np.array(a["nodes_falseleafs"], bool), -1 - false, false)
    modes = np.array([int(m) for m in np.asarray(a["nodes_modes"]).ravel()], np.int64)
    numbering = np.array([0, 1, 2, 3, 4, 5, 6], np.int64)  # the text's: LEQ, LT, GTE, GT, EQ, NEQ, MEMBER
    roots = np.array(a["tree_roots"], np.int64)
    splits = np.asarray(a["nodes_splits"])
    forest = _Forest(
        # a root whose both children are the same leaf stands for a tree that is one leaf
        roots,
        np.array(a["nodes_featureids"], np.int64),
        splits,
        numbering[modes],
        true,
        false,
        np.array(a.get("nodes_missing_value_tracks_true") or [0] * count, bool),
        _memberships(modes, a.get("membership_values")),
    )
    targets = int(a.get("n_targets", 1))
    leaf = np.arange(len(a["leaf_targetids"]))
    weights = np.asarray(a["leaf_weights"]).astype(np.float64)
    how = (_AVERAGE, _SUM, _MIN, _MAX)[int(a.get("aggregate_function", 1))]
    scores = _scores(forest.leaves(x), leaf, np.array(a["leaf_targetids"], np.int64), weights, targets, how)
    post = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")[int(a.get("post_transform", 0))]
    return (finished(scores, post).astype(x.dtype),)


def _memberships(modes: np.ndarray, values: Any) -> list[np.ndarray]:
    """The sets of the nodes that test membership: `values` lists them in order, each ended by NaN."""
    sets: list[np.ndarray] = []
    if values is not None:
        flat = np.asarray(values)
        ends = np.flatnonzero(np.isnan(flat))
        starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64) if len(ends) else []
        sets = [flat[s:e] for s, e in zip(starts, ends, strict=True)]
    given = iter(sets)
    return [next(given) if mode == 6 else np.zeros(0) for mode in modes]


def _older_forest(a: Any) -> tuple[_Forest, dict[tuple[int, int], int]]:
    """The trees of TreeEnsembleClassifier and -Regressor, and the leaf that stands for each (tree, node)."""
    trees = [int(t) for t in a["nodes_treeids"]]
    keys = list(zip(trees, (int(n) for n in a["nodes_nodeids"]), strict=True))
    modes = np.array([_MODES.index(str(m)) for m in a["nodes_modes"]], np.int64)
    place: dict[tuple[int, int], int] = {}
    leaf_of: dict[tuple[int, int], int] = {}
    for row, key in enumerate(keys):
        place[key] = -1 - len(leaf_of) if modes[row] == 7 else row
        if modes[row] == 7:
            leaf_of[key] = len(leaf_of)
    children = [
        [
            place.get((tree, int(child)), row) if modes[row] != 7 else row
            for row, (tree, child) in enumerate(zip(trees, a[name], strict=True))
        ]
        for name in ("nodes_truenodeids", "nodes_falsenodeids")
    ]
    roots = [place[key] for key in _roots(keys, modes, a)]
    splits = a.get("nodes_values_as_tensor", a.get("nodes_values"))
    missing = a.get("nodes_missing_value_tracks_true") or [0] * len(keys)
    forest = _Forest(
        np.array(roots, np.int64),
        np.array(a["nodes_featureids"], np.int64),
        np.asarray(splits, None if isinstance(splits, np.ndarray) else np.float32),
        modes,
        np.array(children[0], np.int64),
        np.array(children[1], np.int64),
        np.array(missing, bool),
        [np.zeros(0)] * len(keys),
    )
    return forest, leaf_of


def _roots(keys: list[tuple[int, int]], modes: np.ndarray, a: Any) -> list[tuple[int, int]]:
    """The first node of each tree that is no other node's child."""
    inner = [
        (key, t, f)
        for key, m, t, f in zip(keys, modes, a["nodes_truenodeids"], a["nodes_falsenodeids"], strict=True)
        if m != 7
    ]
    children = {(key[0], int(child)) for key, t, f in inner for child in (t, f)}
    roots: dict[int, tuple[int, int]] = {}
    for key in keys:
        if key not in children:
            roots.setdefault(key[0], key)
    return list(roots.values())


def _older_scores(call: Call, prefix: str, targets: int) -> np.ndarray:
    a, x = call.attributes, call.inputs[0]
    forest, leaf_of = _older_forest(a)
    keys = zip(a[f"{prefix}_treeids"], a[f"{prefix}_nodeids"], strict=True)
    votes = [leaf_of.get((int(tree), int(node)), -1) for tree, node in keys]
    kept = np.array(votes, np.int64) >= 0  # weights at inner nodes are never reached
    leaf = np.array(votes, np.int64)[kept]
    ids = np.array(a[f"{prefix}_ids"], np.int64)[kept]
    weights = a.get(f"{prefix}_weights_as_tensor", a.get(f"{prefix}_weights"))
    numbers = np.asarray(weights, None if isinstance(weights, np.ndarray) else np.float32).astype(np.float64)[kept]
    wide = x if x.dtype.kind == "f" else x.astype(np.float32)
    return _scores(forest.leaves(wide), leaf, ids, numbers, targets, str(a.get("aggregate_function", _SUM)))


def _base_values(a: Any) -> np.ndarray:
    given = a.get("base_values_as_tensor", a.get("base_values"))
    return np.zeros(0) if given is None else np.asarray(given, np.float64)


@meaning("TreeEnsembleRegressor", domain="ai.onnx.ml")
def _regressor(call: Call) -> tuple[np.ndarray]:
    a = call.attributes
    targets = int(a.get("n_targets", 1))
    scores = _older_scores(call, "target", targets)
    base = _base_values(a)
    scores = scores + base if base.size else scores
    return (finished(scores, str(a.get("post_transform", "NONE"))).astype(np.float32),)


@meaning("TreeEnsembleClassifier", domain="ai.onnx.ml")
def _classifier(call: Call) -> tuple[np.ndarray, ...]:
    a = call.attributes
    strings = a.get("classlabels_strings")
    labels: list[Any] = list(strings or a.get("classlabels_int64s") or ())
    voted = sorted({int(i) for i in a["class_ids"]})
    scores = _older_scores(call, "class", len(labels))
    base = _base_values(a)
    post = str(a.get("post_transform", "NONE"))
    if len(labels) == 2 and len(voted) == 1:
        # one score for two classes: that of the second, the first has what is left
        score = scores[:, voted[0]] + (base[-1] if base.size else 0.0)
        weights = np.asarray(a.get("class_weights_as_tensor", a.get("class_weights")))
        probability = bool(np.all(weights >= 0))
        second = score > (0.5 if probability else 0.0)
        if post == "LOGISTIC":
            both = np.stack([-score, score], axis=1)
        elif probability and post == "NONE":
            both = np.stack([1.0 - score, score], axis=1)
        else:
            both = np.stack([-score, score], axis=1)
        best = second.astype(np.int64)
        made = finished(both, post)
    else:
        scores = scores + base if base.size == scores.shape[1] else scores
        best = np.argmax(scores, axis=1)
        made = finished(scores, post)
    if strings:
        return (objects([labels[i] for i in best], (len(best),)), made.astype(np.float32))
    return (np.array(labels, np.int64)[best], made.astype(np.float32))
