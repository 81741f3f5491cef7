"""What changed between the records of two bundles: source, options, versions, evidence, files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from graphopt.report.content import Column, Table

if TYPE_CHECKING:
    from graphopt.bundle import Manifest


def describe_records(before: Manifest, after: Manifest) -> Table:
    """One row for each entry of the two manifests that is not the same in both."""
    old, new = _entries(before), _entries(after)
    rows = tuple(
        (key, old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)
    )
    columns = (Column("entry", "entry"), Column("before", "before"), Column("after", "after"))
    return Table("records", "Manifests", columns, rows)


def _entries(manifest: Manifest) -> dict[str, str]:
    signature = manifest.signature
    found = {"digest": manifest.digest.hex(), "signed by": signature.key if signature is not None else "nobody"}
    _flatten("", manifest.predicate, found)
    for record in manifest.files:
        found[f"file {record.name}"] = f"{record.size} bytes, SHA-256 {record.sha256}"
    return found


def _flatten(prefix: str, value: object, into: dict[str, str]) -> None:
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            _flatten(f"{prefix}.{key}" if prefix else key, item, into)
    else:
        into[prefix] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
