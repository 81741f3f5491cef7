"""A bundle as an ML-BOM: a CycloneDX 1.6 document about the optimised model, what it was made from, how and with what.

Everything in it comes from the manifest and, where there is one, from the federation's verdict.  The same bundle with
the same verdict gives the same bytes: the serial number is a hash of the rest, and a time is there only if given.

Source: CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/ (machine-learning-model, modelCard, formulation).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from graphopt.errors import BundleError
from graphopt.report.bundle import recorded
from graphopt.version import __version__

if TYPE_CHECKING:
    from graphopt.bundle import Manifest

NAMESPACE = "graphopt:"
"""In front of the name of each property that is ours."""

_BUNDLE, _SOURCE = "bundle", "source"
_STABLE = ("status", "member", "model", "version", "expires", "batch", "chain", "contract", "anchored_block", "ledger")
"""What a verdict says that does not change while nothing is decided."""

Document = dict[str, Any]


def bill_of_materials(
    manifest: Manifest,
    *,
    name: str,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    verdict: Mapping[str, Any] | None = None,
    time: int | None = None,
) -> Document:
    """The CycloneDX document of a bundle whose files were checked.

    `inputs` and `outputs`: their names and types, as text.  `verdict`: what `graphopt verify --json` says, where a
    federation was asked.  `time`: seconds since the epoch.  BundleError where the manifest lacks what graphopt records.
    """
    metadata: Document = {
        "lifecycles": [{"phase": "build"}],
        "tools": {"components": [{"type": "application", "name": "graphopt", "version": __version__}]},
        "component": _model(manifest, name, inputs, outputs, verdict),
    }
    if time is not None:
        metadata = {"timestamp": datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")} | metadata
    document: Document = {
        "metadata": metadata,
        "components": [_file(record.name, record.sha256, record.size) for record in manifest.files],
        "dependencies": [
            {"ref": _BUNDLE, "dependsOn": [_SOURCE, *(f"file/{record.name}" for record in manifest.files)]},
            {"ref": _SOURCE},
        ],
        "formulation": [_formula(manifest)],
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        **document,
    }


def _model(
    manifest: Manifest, name: str, inputs: Sequence[str], outputs: Sequence[str], verdict: Mapping[str, Any] | None
) -> Document:
    build = manifest.predicate
    evidence = recorded(build, "evidence", dict[str, Any])
    parameters: Document = {}
    if inputs:
        parameters["inputs"] = [{"format": text} for text in inputs]
    if outputs:
        parameters["outputs"] = [{"format": text} for text in outputs]
    card: Document = {"modelParameters": parameters} if parameters else {}
    if evidence.get("worst_difference") is not None:
        metric = {
            "type": "largest difference from the reference, relative to the largest element of its output",
            "value": str(evidence["worst_difference"]),
        }
        card["quantitativeAnalysis"] = {"performanceMetrics": [metric]}
    properties = [
        ("digest", manifest.digest.hex()),
        *_options(build),
        *(("target", target) for target in recorded(build, "targets", list[Any])),
        *((f"evidence:{key}", value) for key, value in evidence.items()),
        *_approval(manifest, verdict),
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": _BUNDLE,
        "name": name,
        "version": manifest.digest.hex(),
        "description": "a model compiled ahead of time by graphopt; its version is the digest of its manifest",
        "hashes": _hashes(manifest.digest.hex()),
        "pedigree": {"ancestors": [_source(build)]},
        "modelCard": card,
        "externalReferences": [
            {
                "type": "attestation",
                "url": "manifest.json",
                "comment": "in-toto statement in a DSSE envelope (Sigstore bundle)",
                "hashes": _hashes(hashlib.sha256(manifest.to_bytes()).hexdigest()),
            }
        ],
        "properties": _properties(properties),
    }


def _source(build: Mapping[str, Any]) -> Document:
    source = recorded(build, "source", dict[str, Any])
    found: Document = {
        "type": "machine-learning-model",
        "bom-ref": _SOURCE,
        "name": "source model (ONNX)",
        "hashes": _hashes(_sha256(source)),
    }
    external = source.get("external") or []
    if isinstance(external, list) and external:
        listed = cast("list[object]", external)
        found["components"] = [
            _file(recorded(item, "name", str), _sha256(item), None, at="source/file") for item in listed
        ]
    return found


def _formula(manifest: Manifest) -> Document:
    """How it was made: the tools, and one workflow whose steps are the rewrites, in order."""
    build = manifest.predicate
    tools = recorded(build, "tools", dict[str, Any])
    versions = {name: version for name, version in tools.items() if name != "linked"}
    steps = [
        {"name": recorded(entry, "name", str), "properties": _properties([("applied", recorded(entry, "count", int))])}
        for entry in recorded(build, "rewrites", list[Any])
    ]
    workflow: Document = {
        "bom-ref": "workflow/compile",
        "uid": f"compile-{manifest.digest.hex()}",
        "name": "graphopt compile",
        "taskTypes": ["build"],
        "inputs": [
            {"resource": {"ref": _SOURCE}},
            {"parameters": [{"name": key, "value": value} for key, value in _options(build)]},
        ],
        "outputs": [{"type": "artifact", "resource": {"ref": _BUNDLE}}],
        "properties": _properties([("linked", tools["linked"])] if "linked" in tools else []),
    }
    return {
        "bom-ref": "formula",
        "components": [_tool(name, str(version)) for name, version in versions.items()],
        "workflows": [workflow | ({"steps": steps} if steps else {})],
    }


def _tool(name: str, version: str) -> Document:
    found: Document = {"type": "library", "bom-ref": f"tool/{name}", "name": name, "version": version}
    # graphopt itself may come from anywhere; the rest are packages of the Python index
    return found if name == "graphopt" else found | {"purl": f"pkg:pypi/{name}@{version}"}


def _file(name: str, sha256: str, size: int | None, at: str = "file") -> Document:
    found: Document = {"type": "file", "bom-ref": f"{at}/{name}", "name": name, "hashes": _hashes(sha256)}
    return found if size is None else found | {"properties": _properties([("bytes", size)])}


def _options(build: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(f"option:{key}", _text(value)) for key, value in recorded(build, "options", dict[str, Any]).items()]


def _approval(manifest: Manifest, verdict: Mapping[str, Any] | None) -> Iterable[tuple[str, object]]:
    signature = manifest.signature
    yield "signed", signature is not None
    if signature is not None:
        yield "signing-key", f"sha256:{signature.key}"
    if verdict is None:
        return
    yield "approved", verdict["approved"]
    for reason in verdict["reasons"]:
        yield "reason-against", reason["code"]
    for key in _STABLE:
        if key in verdict:
            yield f"federation:{key.replace('_', '-')}", verdict[key]


def _properties(pairs: Iterable[tuple[str, object]]) -> list[Document]:
    return [{"name": NAMESPACE + key, "value": _text(value)} for key, value in pairs]


def _hashes(sha256: str) -> list[Document]:
    return [{"alg": "SHA-256", "content": sha256}]


def _sha256(record: object) -> str:
    digest = recorded(record, "sha256", str)
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise BundleError(f"the manifest records {digest[:80]!a}, which is no SHA-256 in lower-case hexadecimal")
    return digest


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
