"""A seeded random protein, as the graph of atoms that the PaiNN model reads."""

from __future__ import annotations

import numpy as np

_ATOMS = 14  # per residue
_NEIGHBOURS = 32
_REACH = 8.0  # ångström
_ELEMENTS = [3, 1, 1, 2, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0]


def protein(random: np.random.Generator, residues: int) -> dict[str, np.ndarray]:
    """The model's inputs for a chain of residues along a random walk, edges between atoms that are close."""
    count = residues * _ATOMS
    walk = np.cumsum(random.normal(0, 2.2, (residues, 3)), 0)
    position = (walk[:, None] + random.normal(0, 1.4, (residues, _ATOMS, 3))).reshape(count, 3)
    residue = np.repeat(np.arange(residues), _ATOMS)
    distance = np.sqrt(((position[:, None] - position[None]) ** 2).sum(-1))
    np.fill_diagonal(distance, 99)
    source, target = _edges(distance)
    amino_acid = random.integers(0, 20, residues).astype(np.int64)
    normal = random.normal(size=(count, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    bonded = (random.random(len(source)) < 0.02).astype(np.float32)
    return {
        "element": np.tile(np.array(_ELEMENTS, np.int64), residues),
        "amino_acid": amino_acid.repeat(_ATOMS),
        "atom_role": np.tile(np.arange(_ATOMS), residues).astype(np.int64),
        "bfactor": random.normal(0, 1, count).astype(np.float32),
        "edge_index": np.stack([source, target]),
        "edge_dist": distance[target, source].astype(np.float32),
        "seq_sep": np.minimum(np.abs(residue[source] - residue[target]), 32).astype(np.int64),
        "same_residue": (residue[source] == residue[target]).astype(np.float32),
        "target_indices": (np.arange(residues)[:, None] * _ATOMS + np.arange(6)[None]).astype(np.int64),
        "target_mask": np.ones((residues, 6), bool),
        "residue_types": amino_acid,
        "residue_geometry": random.normal(0, 0.7, (residues, 52)).astype(np.float32),
        "target_environment": random.random((residues, 6, 15)).astype(np.float32),
        "temperature_feature": np.zeros((residues, 1), np.float32),
        "target_atom_rsasa": random.random((residues, 6)).astype(np.float32),
        "pos": position.astype(np.float32),
        "node_normal": normal.astype(np.float32),
        "is_hbond": bonded,
        "hb_cos": (bonded * -0.8).astype(np.float32),
    }


def _edges(distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    source: list[int] = []
    target: list[int] = []
    for atom, row in enumerate(distance):
        near = np.argsort(row)[:_NEIGHBOURS]
        near = near[row[near] < _REACH]
        source += near.tolist()
        target += [atom] * len(near)
    return np.array(source, np.int64), np.array(target, np.int64)
