"""A small forest, as the attributes of ai.onnx.ml's tree ensembles."""

from __future__ import annotations

from typing import Any


def tree_attributes(kind: str, ids: int) -> dict[str, Any]:
    """Two trees of three and five nodes; node 0 is not always listed first."""
    modes = ["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_GT", "BRANCH_LT", "LEAF", "LEAF", "LEAF"]
    attributes: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0, 1, 1, 1, 1, 1],
        "nodes_nodeids": [0, 1, 2, 0, 1, 2, 3, 4],
        "nodes_featureids": [0, 0, 0, 1, 2, 0, 0, 0],
        "nodes_values": [0.1, 0.0, 0.0, -0.2, 0.3, 0.0, 0.0, 0.0],
        "nodes_modes": modes,
        "nodes_truenodeids": [1, 0, 0, 1, 3, 0, 0, 0],
        "nodes_falsenodeids": [2, 0, 0, 2, 4, 0, 0, 0],
        f"{kind}_treeids": [0, 0, 1, 1, 1],
        f"{kind}_nodeids": [1, 2, 2, 3, 4],
        f"{kind}_ids": [i % ids for i in (0, 1, 2, 0, 1)],
        f"{kind}_weights": [0.5, -0.7, 0.9, 0.2, 1.1],
    }
    return attributes
