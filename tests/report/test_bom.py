"""The ML-BOM: valid CycloneDX, everything on record in it, and the same bytes for the same bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from graphopt.bundle import Manifest, write_manifest
from graphopt.errors import BundleError
from graphopt.report.bom import bill_of_materials
from graphopt_governance.home import Home
from tests.cli.command import DIGITS, graphopt, refused
from tests.governance.members import approve, homes

BUILD: dict[str, Any] = {
    "source": {"sha256": "ab" * 32, "external": [{"name": "w.bin", "sha256": "cd" * 32}]},
    "options": {"level": "exact", "skip": [], "check": True},
    "targets": ["x86-64-v3"],
    "rewrites": [{"name": "fuse-gelu", "count": 3}],
    "tools": {"graphopt": "0.3", "numba": "0.66", "linked": "yes"},
    "evidence": {"checked": True, "worst_difference": "1e-06", "seeds": [0, 1]},
}


def manifest_of(folder: Path, build: dict[str, Any] = BUILD) -> Manifest:
    folder.mkdir()
    (folder / "weights").write_bytes(b"123")
    return write_manifest(folder, build)


def check(document: dict[str, Any]) -> None:
    """The schema of CycloneDX 1.6, and references that lead somewhere."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))
    assert error is None, error
    refs = _all(document, "bom-ref")
    assert len(refs) == len(set(refs))
    assert set(_all(document, "ref")) | set(_all(document, "dependsOn")) <= set(refs)


def _all(value: Any, key: str) -> list[str]:
    found: list[str] = []
    if isinstance(value, dict):
        for name, item in value.items():
            found += (item if isinstance(item, list) else [item]) if name == key else _all(item, key)
    elif isinstance(value, list):
        for item in value:
            found += _all(item, key)
    return found


def properties(component: dict[str, Any]) -> dict[str, str]:
    return {item["name"].removeprefix("graphopt:"): item["value"] for item in component["properties"]}


def test_everything_on_record_is_in_a_valid_document(tmp_path: Path):
    manifest = manifest_of(tmp_path / "b")
    document = bill_of_materials(manifest, name="m", inputs=["x: float32[N]"], outputs=["y: float32[N]"])
    check(document)
    model = document["metadata"]["component"]
    assert (model["type"], model["version"]) == ("machine-learning-model", manifest.digest.hex())
    assert model["modelCard"]["modelParameters"]["inputs"] == [{"format": "x: float32[N]"}]
    assert model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]["value"] == "1e-06"
    (source,) = model["pedigree"]["ancestors"]
    assert source["hashes"][0]["content"] == "ab" * 32
    assert source["components"][0]["hashes"][0]["content"] == "cd" * 32
    told = properties(model)
    assert (told["option:level"], told["target"], told["signed"]) == ("exact", "x86-64-v3", "false")
    assert told["evidence:seeds"] == "[0, 1]"
    assert [(file["name"], file["hashes"][0]["content"]) for file in document["components"]] == [
        (record.name, record.sha256) for record in manifest.files
    ]
    formula = document["formulation"][0]
    assert {tool["name"]: tool["version"] for tool in formula["components"]} == {"graphopt": "0.3", "numba": "0.66"}
    (step,) = formula["workflows"][0]["steps"]
    assert (step["name"], properties(step)["applied"]) == ("fuse-gelu", "3")


def test_the_same_bundle_gives_the_same_document_and_another_gives_another_serial_number(tmp_path: Path):
    one, two = manifest_of(tmp_path / "one"), manifest_of(tmp_path / "two")
    other = manifest_of(tmp_path / "other", BUILD | {"targets": ["x86-64-v4"]})
    first = bill_of_materials(one, name="m")
    assert first == bill_of_materials(two, name="m")
    assert "timestamp" not in first["metadata"]
    dated = bill_of_materials(one, name="m", time=1_800_000_000)
    check(dated)
    assert dated["metadata"]["timestamp"] == "2027-01-15T08:00:00Z"
    serials = {document["serialNumber"] for document in (first, dated, bill_of_materials(other, name="m"))}
    assert len(serials) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"source": {}},
        {"source": {"sha256": "not one"}},
        {"source": {"sha256": "ab" * 32, "external": [1]}},
        {"rewrites": [7]},
        {"rewrites": [{"name": "x"}]},
        {"tools": []},
        {"options": None},
        {"evidence": "none"},
        {"targets": "all"},
    ],
)
def test_a_manifest_of_another_tool_is_one_sentence(tmp_path: Path, change: dict[str, Any]):
    manifest = manifest_of(tmp_path / "b", BUILD | change)
    with pytest.raises(BundleError, match="manifest"):
        bill_of_materials(manifest, name="m")


def test_the_command_exports_a_compiled_bundle_with_what_the_federation_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (home,) = homes(tmp_path, "home")
    monkeypatch.setenv("GRAPHOPT_HOME", str(home.folder))
    monkeypatch.delenv("GRAPHOPT_CHAIN", raising=False)
    bundle, file = tmp_path / "b.bundle", tmp_path / "b.cdx.json"
    graphopt("compile", DIGITS, "-o", bundle, "--no-check")
    document = graphopt("bom", bundle).data
    check(document)
    card = document["metadata"]["component"]["modelCard"]["modelParameters"]
    assert card["inputs"] == [{"format": "image: float32[N, 1, 8, 8]"}]
    assert card["outputs"] == [{"format": "logits: float32[N, 10]"}]
    assert "approved" not in properties(document["metadata"]["component"])

    approve(bundle, Home.default())
    written = graphopt("bom", bundle, "-o", file, "--json").data
    document = json.loads(file.read_text())
    check(document)
    assert written["serial_number"] == document["serialNumber"]
    told = properties(document["metadata"]["component"])
    assert (told["approved"], told["federation:status"], told["federation:member"]) == ("true", "approved", "1")
    assert file.read_text() == graphopt("bom", bundle).out
    graphopt("revoke", bundle, "--yes")
    told = properties(graphopt("bom", bundle).data["metadata"]["component"])
    assert (told["approved"], told["reason-against"]) == ("false", "revoked")

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    assert graphopt("bom", bundle, "--dated").data["metadata"]["timestamp"] == "2027-01-15T08:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert "SOURCE_DATE_EPOCH" in refused("bom", bundle, "--dated")
    assert "is a folder" in refused("bom", bundle, "-o", tmp_path)
    with (bundle / "weights").open("ab") as opened:
        opened.write(b"x")
    assert "weights was altered" in refused("bom", bundle)


def test_a_document_that_names_what_is_not_there_is_noticed():
    """The check itself."""
    with pytest.raises(AssertionError):
        check({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": "one"})
    with pytest.raises(AssertionError):
        check({"bomFormat": "CycloneDX", "specVersion": "1.6", "dependencies": [{"ref": "nowhere"}]})
