"""`graphopt compile`, and what `inspect` and `diff` say of the bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import DIGITS, graphopt, refused


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "digits.bundle"
    assert graphopt("compile", DIGITS, "-o", path).code == 0
    return path


def test_compiling_says_what_became_of_the_model(tmp_path: Path) -> None:
    data = graphopt("compile", DIGITS, "-o", tmp_path / "b", "--target", "x86-64-v3", "--json").data
    assert data["nodes_before"] == 30
    assert data["calls"] == data["native_calls"] + data["calls_not_native"]
    assert data["calls_not_native"] == sum(row["count"] for row in data["not_native"])
    assert data["evidence"]["checked"] is True
    assert 0.0 <= data["evidence"]["worst_difference"] < 1e-4
    assert data["bundle"]["signed"] is False
    assert data["bundle"]["targets"] == "x86-64-v3"
    assert {"model.onnx", "program", "weights"} <= {row["name"] for row in data["files"]}


def test_inspecting_a_bundle_shows_its_record_and_its_model(bundle: Path) -> None:
    data = graphopt("inspect", bundle, "--json").data
    assert data["outputs"] == [{"name": "logits", "type": "float32[N, 10]"}]
    assert len(data["bundle"]["digest"]) == 64
    assert [row["target"] for row in data["calls_by_target"]] == ["x86-64-v3", "x86-64-v4"]


def test_compiling_again_gives_the_same_digest(bundle: Path, tmp_path: Path) -> None:
    again = graphopt("compile", DIGITS, "-o", tmp_path / "again", "--json").data
    assert again["bundle"]["digest"] == graphopt("inspect", bundle, "--json").data["bundle"]["digest"]


def test_a_bundle_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    for targets in ([], ["--target", "x86-64-v3"]):  # every machine that runs the tests has this one
        assert graphopt("compile", DIGITS, "-o", tmp_path / "b", *targets, "--no-check").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert graphopt("inspect", tmp_path / "b", "--json").data["bundle"]["targets"] == "x86-64-v3"


def test_not_checking_is_put_on_record(tmp_path: Path) -> None:
    data = graphopt("compile", DIGITS, "-o", tmp_path / "b", "--no-check", "--json").data
    assert data["evidence"]["checked"] is False
    assert data["evidence"]["worst_difference"] is None


def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    assert "it exists and is no bundle" in refused("compile", DIGITS, "-o", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_an_unknown_target_is_named_with_the_known_ones(tmp_path: Path) -> None:
    sentence = refused("compile", DIGITS, "-o", tmp_path / "b", "--target", "sparc")
    assert "'sparc'" in sentence
    assert "x86-64-v3" in sentence
    assert list(tmp_path.iterdir()) == []


def test_an_altered_bundle_is_not_described(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    graphopt("compile", DIGITS, "-o", copy, "--no-check")
    weights = bytearray((copy / "weights").read_bytes())
    weights[100] ^= 1
    (copy / "weights").write_bytes(weights)
    assert "weights was altered" in refused("inspect", copy)


def test_a_machine_without_a_linker_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linked = graphopt("compile", DIGITS, "-o", tmp_path / "linked", "--target", "x86-64-v3", "--json").data
    assert linked["bundle"]["native_code"] == "linked"
    monkeypatch.setattr("graphopt_kernels.link.linker", lambda: None)
    data = graphopt("compile", DIGITS, "-o", tmp_path / "b", "--target", "x86-64-v3", "--json").data
    assert "no C linker" in data["bundle"]["native_code"]
    assert graphopt("run", tmp_path / "b", "--no-gate", "--random", 0, "--dim", "N=2").code == 0


def test_two_bundles_differ_in_what_their_records_say(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    graphopt("compile", DIGITS, "-o", other, "--target", "x86-64-v3", "--level", "exact", "--no-check")
    rows = {row["entry"]: row for row in graphopt("diff", bundle, other, "--json").data["records"]}
    assert rows["options.level"]["before"] == "reassociate"
    assert rows["options.level"]["after"] == "exact"
    assert "source.sha256" not in rows
    assert rows["file native/x86-64-v4/kernels.so"]["after"] is None
    assert graphopt("diff", bundle, bundle, "--json").data["records"] == []


def test_what_was_compiled_passes_a_policy_on_its_difference(tmp_path: Path) -> None:
    """Compiled, signed, anchored and judged: the number that the compiler writes is the one that a policy reads."""
    bundle, policy = tmp_path / "b.bundle", tmp_path / "policy.toml"
    assert graphopt("compile", DIGITS, "-o", bundle, "--target", "x86-64-v3").code == 0
    assert graphopt("sign", bundle).code == 0
    assert graphopt("anchor", bundle, "--yes").code == 0
    worst = graphopt("inspect", bundle, "--json").data["evidence"]["worst_difference"]
    assert worst > 0
    for most, code in ((2 * worst, 0), (worst, 0), (worst / 2, 19)):
        policy.write_text(f"[bundle]\nworst_difference = {most!r}\n")
        verdict = graphopt("verify", bundle, "--policy", policy)
        assert verdict.code == code
    assert "its outputs differ from the reference's by" in verdict.err
