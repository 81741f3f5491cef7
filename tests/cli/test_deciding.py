"""Deciding together on the command line: what is refused, in which words, and that nothing was signed then."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from graphopt.bundle import FileRecord, Manifest, save_manifest
from graphopt.bundle.statement import new_manifest
from graphopt_governance import actions
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.chains.where import Where
from graphopt_governance.decide.deciding import approve
from graphopt_governance.decide.governing import found, member_card
from graphopt_governance.exchange.proposal import read_proposal
from graphopt_governance.home import Home
from graphopt_governance.keys.signing_key import load_signing_key
from graphopt_governance.protocol.action import Kind
from graphopt_governance.protocol.subject import build_key
from tests.cli.command import Done, graphopt
from tests.compiler.test_rebuild import write_model

NAMES = ("north", "east", "west")
Act = Callable[..., Done]


def tie(world: Path) -> None:
    """Let the three homes be in the federation of the world's ledger."""
    domain = Ledger.open(world / "ledger.sqlite3").domain
    for name in NAMES:
        Where(domain, 1, world / "ledger.sqlite3").write(Home(world / name), instead=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three members with a quorum of two, a model with its weights beside it, a signed bundle, and its proposal."""
    world = tmp_path_factory.mktemp("world")
    north, *others = (Home(world / name) for name in NAMES)
    cards = [member_card(home) for home in (north, *others)]
    found(north, cards, quorum=2, ledger=world / "ledger.sqlite3")
    tie(world)
    model = write_model(world / "model")
    assert graphopt("compile", model, "-o", world / "m.bundle", "--target", "x86-64-v3").code == 0
    actions.sign(world / "m.bundle", north)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAPHOPT_HOME", str(north.folder))
        propose = ("propose", world / "m.bundle", "--model", "m", "-o", world / "m.proposal")
        assert graphopt(*propose, "--source", model, "--yes").code == 0
    return world


@pytest.fixture
def here(world: Path, tmp_path: Path) -> Path:
    """A copy of the world to change."""
    here = Path(shutil.copytree(world, tmp_path / "world"))
    tie(here)
    return here


@pytest.fixture
def act(here: Path, monkeypatch: pytest.MonkeyPatch) -> Act:
    """Runs a command as one of the members."""

    def as_member(name: str, *arguments: object) -> Done:
        monkeypatch.setenv("GRAPHOPT_HOME", str(here / name))
        return graphopt(*arguments)

    return as_member


def sentence(done: Done, folder: Path) -> str:
    """Why a command signed nothing: exit code 2, one line, and no signature on the proposal."""
    assert (done.code, done.out) == (2, ""), done
    assert read_proposal(folder).ballot.signatures == ()
    (line,) = done.err.splitlines()
    return line.removeprefix("graphopt: ")


def test_a_model_is_rebuilt_approved_anchored_and_runs(here: Path, act: Act) -> None:
    folder = here / "m.proposal"
    first = act("east", "approve", folder, "--rebuild", "--yes", "--json")
    assert first.data == {
        "subject": read_proposal(folder).manifest.digest.hex(),
        "member": 2,
        "rebuilt": True,
        "signatures": 1,
        "needed": 2,
        "missing": 1,
        "written": str(folder / "ballot.json"),
    }
    shown = first.err.splitlines()
    assert "  model: m" in shown
    assert any(line.startswith("  rebuilt here, the same in every file; own evidence: worst") for line in shown)
    assert act("west", "approve", folder, "--source", here / "model" / "m.onnx", "--rebuild", "--yes").code == 0
    assert act("north", "anchor", folder, "--json").data["what"] == "approve a manifest as a version of a model"
    ran = act("west", "run", here / "m.bundle", "--random", 0, "--dim", "N=2", "--json")
    assert ran.data["outputs"][0]["type"] == "float32[2, 16]"


def test_without_a_terminal_and_without_yes_nothing_is_signed(here: Path, act: Act) -> None:
    done = act("east", "approve", here / "m.proposal")
    assert done.code == 2
    assert "NOTHING WAS REBUILT" in done.err
    assert done.err.splitlines()[-1].startswith("graphopt: nothing was signed: there is no terminal")
    assert read_proposal(here / "m.proposal").ballot.signatures == ()


def lying(here: Path, manifest: Manifest) -> Path:
    """A proposal whose manifest and ballot agree with each other, signed by a member, and are not of this model."""
    folder = here / "m.proposal"
    key = load_signing_key(Home(here / "north").signing_key)
    save_manifest(folder, manifest.signed(key.sign(manifest.pre_authentication)))
    ballot = read_proposal(folder).ballot
    action = replace(ballot.action, subject=manifest.digest, evidence=build_key(manifest.predicate))
    replace(ballot, action=action).save(folder / "ballot.json")
    return folder


def test_one_other_byte_in_a_kernel_is_found_by_rebuilding(here: Path, act: Act) -> None:
    manifest = read_proposal(here / "m.proposal").manifest

    def altered(record: FileRecord) -> FileRecord:
        return replace(record, sha256="ab" * 32) if record.name.startswith("native/") else record

    folder = lying(here, new_manifest([altered(record) for record in manifest.files], manifest.predicate))
    said = sentence(act("east", "approve", folder, "--rebuild", "--yes"), folder)
    assert said.startswith("the rebuild differs: native/x86-64-v3/kernels.so has SHA-256 abababababababab… on record")
    assert "C linker" in said
    # without a rebuild nobody can know; that is said, and it is what the policy is for
    (here / "east" / "policy.toml").write_text("[approve]\nrebuild = true\n")
    assert "your policy" in sentence(act("east", "approve", folder, "--yes"), folder)


def test_other_tools_are_named(here: Path, act: Act) -> None:
    manifest = read_proposal(here / "m.proposal").manifest
    tools = {**manifest.predicate["tools"], "numba": "0.0.1"}
    folder = lying(here, new_manifest(manifest.files, {**manifest.predicate, "tools": tools}))
    said = sentence(act("east", "approve", folder, "--rebuild", "--yes"), folder)
    assert said.startswith("the rebuild differs: tools.numba: 0.0.1 recorded, ")


def test_a_swapped_source_or_its_weights_are_named(here: Path, act: Act) -> None:
    folder = here / "m.proposal"
    for name in ("m.data", "model.onnx"):
        with (folder / "source" / name).open("r+b") as file:
            first = file.read(1)
            file.seek(0)
            file.write(bytes([first[0] ^ 1]))
        said = sentence(act("east", "approve", folder, "--rebuild", "--yes"), folder)
        assert f"source/{name} is not what the bundle was made from" in said
    other = write_model(here / "other", scale=2.0)
    said = sentence(act("east", "approve", folder, "--rebuild", "--source", other, "--yes"), folder)
    assert "source.external[0].sha256" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("anchor", "{m.bundle}"), "approves with 2 signatures: propose the bundle"),
        (("anchor", "{m.proposal}"), "2 of 2 signatures are missing"),
        (("anchor", "{m.proposal}", "--model", "m"), "a proposal says itself"),
        (("anchor", "{m.bundle}", "{m.bundle}"), "with --batch"),
        (("anchor", "{m.bundle}", "-o", "{x}"), "-o goes with --batch"),
        (("anchor", "--batch", "{m.bundle}", "{m.bundle}", "-o", "{x}", "--yes"), "none of them twice"),
        (("anchor", "--batch", "{m.bundle}", "--yes"), "this takes 2 signatures"),
        (("anchor", "--batch", "{m.bundle}", "--model", "m"), "a batch has no versions"),
        (("propose", "{m.bundle}", "--model", "m", "-o", "{x}"), "or leave it out (--no-source)"),
        (("propose", "{m.bundle}", "--model", "m", "--no-source", "-o", "{x}", "--lasts", "soon"), "no length of time"),
        (("propose", "{m.bundle}", "--model", "m", "--no-source", "-o", "{x}", "--days", "inf"), "no number of days"),
        (("propose", "{m.bundle}", "--model", "m", "--no-source", "-o", "{m.proposal}"), "exists"),
        (("propose", "{m.bundle}", "--model", "m", "--no-source", "-o", "{x}/y"), "there is no folder"),
        (("approve", "{m.proposal}", "--source", "{model}"), "add --rebuild"),
        (("approve", "{none}"), "cannot be read"),
        (("approve", "{m.bundle}"), "cannot be read"),
        (("approve", "{m.proposal}/ballot.json"), "sign it in its proposal"),
        (("revoke", "{m.bundle}", "--yes"), "say where to write it"),
        (("revoke", "{m.bundle}", "--reason", "a reason of more than thirty-two bytes"), "may have 32"),
        (("restore", "{m.bundle}", "-o", "{x}"), "nothing to restore"),
        (("rollback", "{m.bundle}", "-o", "{x}"), "only an approved version"),
        (("report", "{m.bundle}", "{none}"), "No such file"),
    ],
)
def test_what_cannot_be_is_one_sentence(here: Path, act: Act, arguments: tuple[str, ...], words: str) -> None:
    filled = [text.replace("{", f"{here}/").replace("}", "") if "{" in text else text for text in arguments]
    done = act("north", *filled)
    assert (done.code, done.out) == (2, "")
    assert words in done.err.splitlines()[-1]
    assert len(done.err.splitlines()) == 1, done.err


def test_a_batch_goes_through_the_same_hands(here: Path, act: Act) -> None:
    batch = here / "batch.proposal"
    assert act("north", "anchor", "--batch", here / "m.bundle", "-o", batch, "--yes", "--json").data["missing"] == 1
    assert act("east", "approve", batch, "--yes").code == 0
    assert act("west", "anchor", batch, "--json").data["inclusions"] == 1
    verdict = act("west", "verify", here / "m.bundle", "--json")
    assert (verdict.code, verdict.data["approved"], verdict.data["of"]) == (0, True, 1)
    assert act("east", "verify", here / "m.bundle").code == 14


def test_a_killed_signer_leaves_a_ballot_that_reads(here: Path) -> None:
    folder = here / "m.proposal"
    clean = (folder / "ballot.json").read_bytes()
    for _ in range(12):
        (folder / "ballot.json").write_bytes(clean)
        child = os.fork()
        if child == 0:
            try:
                approve(folder, home=Home(here / "east"))
            finally:
                os._exit(0)
        time.sleep(random.uniform(0, 0.12))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        ballot = read_proposal(folder).ballot
        assert ballot.action.kind is Kind.ANCHOR
        assert len(ballot.signatures) in (0, 1)
