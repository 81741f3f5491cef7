"""A stranger's bundle is looked at without copying it, in a moment, whatever its record says."""

from __future__ import annotations

import base64
import json
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from graphopt.bundle import manifest as manifests
from graphopt.bundle import read_manifest, write_manifest
from graphopt.bundle.statement import MAX_PREDICATE, parse_manifest
from graphopt.errors import BundleError
from graphopt.report import Report
from graphopt.report.bom import bill_of_materials
from graphopt.report.bundle import describe_bundle
from graphopt.report.records import describe_records
from graphopt.report.show import as_json_text, as_text
from tests.cli.command import graphopt
from tests.compiler.test_source import small

RECORDS = int(os.environ.get("GRAPHOPT_FUZZ_RECORDS", "1500"))
BUILD: dict[str, Any] = {
    "source": {"sha256": "ab" * 32, "external": [{"name": "m.data", "sha256": "cd" * 32}]},
    "options": {"level": "exact", "skip": ["a"], "check": True},
    "targets": ["x86-64-v3"],
    "rewrites": [{"name": "fold", "count": 3}],
    "tools": {"numpy": "2", "linked": "yes"},
    "program": {
        "x86-64-v3": {"steps": 3, "native": 1, "alias": 1, "settled": 0, "meanings": {"If": 1}, "reference": ["If"]}
    },
    "evidence": {"checked": True, "worst_difference": "1e-07", "seeds": [0, 1], "sizes": {"N": 2}, "reason": ""},
}
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**53 - 1,
    1.5,
    "",
    "nan",
    "\u202e\x1b[2K",
    [],
    {},
    [[]],
    {"a": {}},
    ["a", 1],
    "9" * 400,
)


def bundle_of(folder: Path, build: Any) -> Path:
    folder.mkdir(exist_ok=True)
    small(folder / "model.onnx", 2)
    write_manifest(folder, build)
    return folder


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, item in inner for place in places(item, (*at, key)))]


def changed(generator: random.Random) -> Any:
    """The record with something else, or nothing, in one or two places."""
    build = json.loads(json.dumps(BUILD))
    for _ in range(generator.choice((1, 1, 2))):
        place = generator.choice([place for place in places(build) if place])
        inside = build
        for key in place[:-1]:
            inside = inside[key]
        if generator.random() < 0.2:
            del inside[place[-1]]
        else:
            inside[place[-1]] = generator.choice(ODD)
    return build


def test_whatever_a_record_says_it_is_shown_or_refused_in_a_sentence(tmp_path: Path) -> None:
    generator = random.Random(3)
    good = read_manifest(bundle_of(tmp_path / "good", BUILD))
    shown = 0
    for _ in range(RECORDS):
        (tmp_path / "good" / "manifest.json").unlink()
        manifest = write_manifest(tmp_path / "good", changed(generator))
        for describe in (
            lambda m: Report(describe_bundle(m)),
            lambda m: Report((describe_records(good, m),)),
            lambda m: bill_of_materials(m, name="x"),
        ):
            try:
                told = describe(manifest)
                if isinstance(told, Report):
                    assert not {c for c in as_text(told) + as_json_text(told) if not c.isprintable() and c != "\n"}
                    shown += 1
            except BundleError:
                pass
    assert shown > RECORDS / 4


def envelope(payload: bytes) -> bytes:
    outer = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [],
        },
    }
    return rfc8785.dumps(outer)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "value",
    [
        [1] * 2_000_000,
        [0.1234567] * 500_000,
        [[]] * 1_500_000,
        ["a"] * 1_500_000,
        {f"k{i}": 1 for i in range(400_000)},
        '"' * 3_000_000,
        "\x01" * 1_500_000,
        "x" * 10_000_000,
    ],
    ids=["integers", "floats", "lists", "texts", "keys", "quotes", "controls", "a text"],
)
def test_a_record_that_would_take_long_to_read_is_refused_before(value: Any, tmp_path: Path) -> None:
    statement = json.loads(read_manifest(bundle_of(tmp_path / "b", BUILD)).payload)
    statement["predicate"]["build"]["more"] = value
    data = envelope(rfc8785.dumps(statement))
    assert len(data) < 16 * 2**20
    begin = time.process_time()
    with pytest.raises(BundleError, match=rf"may hold more than|has more than {MAX_PREDICATE} bytes"):
        parse_manifest(data)
    assert time.process_time() - begin < 3


def test_values_around_the_statement_are_refused_too() -> None:
    data = b'{"dsseEnvelope":[' + b"1," * 3_000_000 + b"1]}"
    begin = time.process_time()
    with pytest.raises(BundleError, match="may hold more than 64 values"):
        parse_manifest(data)
    assert time.process_time() - begin < 1


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def test_inspecting_a_bundle_copies_nothing(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = bundle_of(tmp_path / "b", BUILD)
    temporary.chmod(0o500)
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *_, **__: pytest.fail("a copy was made"))  # pyright: ignore
    assert graphopt("inspect", bundle).code == 0
    assert graphopt("diff", bundle, bundle).code == 0


def test_a_file_of_holes_fills_no_disk(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes are compared first; what has its size is copied only where there is room for it."""
    from graphopt.bundle import FileRecord, open_verified, save_manifest
    from graphopt.bundle.statement import new_manifest

    bundle = bundle_of(tmp_path / "b", BUILD)
    with (bundle / "weights").open("wb") as file:
        file.truncate(1 << 42)
    model = read_manifest(bundle).files[0]
    monkeypatch.setattr(manifests, "_LARGE", 1 << 60)
    for size, sentence in ((1 << 40, "longer than the"), (1 << 42, "a private copy of the bundle takes")):
        manifest = new_manifest([model, FileRecord("weights", "00" * 32, size)], BUILD)
        save_manifest(bundle, manifest)
        with pytest.raises(BundleError, match=sentence):
            open_verified(bundle)
        assert not any(temporary.iterdir())


def test_a_file_of_holes_is_not_hashed_for_hours(tmp_path: Path) -> None:
    from graphopt.bundle import FileRecord, check_files, save_manifest
    from graphopt.bundle.statement import new_manifest

    bundle = bundle_of(tmp_path / "b", BUILD)
    with (bundle / "weights").open("wb") as file:
        file.truncate(1 << 42)
        file.seek(1 << 30)
        file.write(b"something")
    manifest = new_manifest([read_manifest(bundle).files[0], FileRecord("weights", "00" * 32, 1 << 42)], BUILD)
    save_manifest(bundle, manifest)
    with pytest.raises(BundleError, match="weights is a file of 4,398,046,511,104 bytes that is next to nothing but"):
        check_files(bundle, manifest)
    assert "next to nothing but holes" in graphopt("inspect", bundle).err
