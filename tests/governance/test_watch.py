"""A running process notices a revocation within the time it stated, and never runs on unwatched."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphopt
from graphopt.bundle import Manifest, read_manifest
from graphopt.errors import RefusedError
from graphopt.ir.types import TensorType
from graphopt.runtime.compiled import Compiled
from graphopt_governance import actions
from graphopt_governance.errors import ChainError, UnreachableError
from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home
from graphopt_governance.verdict.verify import Code, Reason, Verdict
from graphopt_governance.verdict.watch import Watch

from .conftest import make_bundle

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"
EVERY = 0.05


def until(condition: Callable[[], bool], patience: float = 20.0) -> None:
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Model:
    """Something loaded."""

    def __init__(self) -> None:
        self.why: str | None = None

    def withdraw(self, why: str) -> None:
        self.why = why


class Federation:
    """Answers as it is told to."""

    def __init__(self) -> None:
        self.answer: Verdict | Exception = Verdict(())
        self.asked = 0
        self.silent_about: bytes | None = None

    def judge(self, manifest: Manifest) -> Verdict:
        self.asked += 1
        if manifest.digest == self.silent_about:
            raise ChainError("the node at far.away does not prove what it says")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def federation() -> Federation:
    return Federation()


@pytest.fixture
def watch(federation: Federation) -> Generator[Watch]:
    watch = Watch(federation.judge)
    yield watch
    watch.close()


def watchers() -> int:
    return sum(thread.name == "graphopt-gate" for thread in threading.enumerate())


REVOKED = Verdict((Reason(Code.REVOKED, "revoked by the federation"),))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "bundle"
    graphopt.compile(DIGITS, level="reassociate").save(path)
    return path


def feeds(compiled: Compiled) -> dict[str, Any]:
    """Zeros, one request."""
    given: dict[str, Any] = {}
    for port in compiled.inputs:
        assert isinstance(port.type, TensorType)
        assert port.type.shape is not None
        given[port.name] = np.zeros([d if isinstance(d, int) else 1 for d in port.type.shape], np.float32)
    return given


def test_a_loaded_model_stops_when_its_approval_is_revoked(digits: Path, home: Home):
    actions.sign(digits)
    actions.anchor(digits)
    with ChainGate.default(home) as gate:
        compiled = graphopt.load(digits, gate=gate, recheck=EVERY)
        other = graphopt.load(digits)
        given = feeds(compiled)
        compiled(given)
        actions.revoke(digits, "wrong labels")

        def stopped() -> bool:
            try:
                compiled(given)
            except RefusedError as error:
                assert "revoked by the federation" in str(error)  # noqa: PT017 - which of the two comes is a matter of time
                return True
            return False

        until(stopped)
        with pytest.raises(RefusedError, match="wrong labels"):
            compiled.profile(given)
        other(given)


def test_one_thread_watches_all_models_of_a_gate(bundle: Path, federation: Federation, watch: Watch):
    before = watchers()
    models = [Model() for _ in range(5)]
    for model in models:
        watch.add(read_manifest(bundle), model, EVERY)
    until(lambda: federation.asked > 2)
    assert watchers() == before + 1
    federation.answer = REVOKED
    until(lambda: all(model.why == "revoked by the federation" for model in models))


def test_nobody_asks_about_what_was_let_go(bundle: Path, federation: Federation, watch: Watch):
    before = watchers()
    model = Model()
    watch.add(read_manifest(bundle), model, EVERY)
    until(lambda: federation.asked > 0)
    del model
    gc.collect()
    until(lambda: watchers() == before)
    # and the next one is watched again
    model = Model()
    watch.add(read_manifest(bundle), model, EVERY)
    federation.answer = REVOKED
    until(lambda: model.why is not None)


def test_a_chain_that_stays_silent_ends_it_after_three_questions(bundle: Path, federation: Federation, watch: Watch):
    model = Model()
    watch.add(read_manifest(bundle), model, EVERY)
    federation.answer = UnreachableError("the node at far.away does not answer")
    until(lambda: model.why is not None)
    assert model.why is not None
    assert "could not be asked for" in model.why
    assert federation.asked >= 3


def test_answers_about_one_bundle_do_not_make_up_for_silence_about_another(
    bundle: Path, tmp_path: Path, federation: Federation, watch: Watch
):
    manifests = [read_manifest(bundle), read_manifest(make_bundle(tmp_path / "other", "cd" * 32))]
    models = [Model(), Model()]
    federation.silent_about = manifests[0].digest
    for manifest, model in zip(manifests, models, strict=True):
        watch.add(manifest, model, EVERY)
    until(lambda: models[0].why is not None)
    assert models[1].why is None


def test_a_chain_that_is_out_of_reach_is_asked_once_a_round_and_not_for_each_bundle(
    tmp_path: Path, federation: Federation, watch: Watch
):
    models = [Model() for _ in range(20)]
    federation.answer = UnreachableError("the node at far.away does not answer")
    for at, model in enumerate(models):
        watch.add(read_manifest(make_bundle(tmp_path / str(at), f"{at:064x}")), model, 0.3)
    until(lambda: all(model.why is not None for model in models))
    assert federation.asked < 12


def test_an_interval_beyond_what_a_thread_can_wait_for_is_an_interval(
    bundle: Path, federation: Federation, watch: Watch
):
    model = Model()
    watch.add(read_manifest(bundle), model, float("inf"))
    watch.add(read_manifest(bundle), shorter := Model(), EVERY)
    until(lambda: federation.asked > 0)
    assert model.why is None
    assert shorter.why is None


def test_a_short_silence_ends_nothing(bundle: Path, federation: Federation, watch: Watch):
    model = Model()
    watch.add(read_manifest(bundle), model, 0.2)
    federation.answer = UnreachableError("the node at far.away does not answer")
    until(lambda: federation.asked == 1)
    federation.answer = Verdict(())
    until(lambda: federation.asked == 3)
    assert model.why is None


def test_a_closed_gate_leaves_nothing_running(bundle: Path, watch: Watch):
    before = watchers()
    model = Model()
    watch.add(read_manifest(bundle), model, 1000.0)
    watch.close()
    assert model.why == "the gate that watched it was closed"
    until(lambda: watchers() == before)
    with pytest.raises(RefusedError, match="closed"):
        watch.add(read_manifest(bundle), model, EVERY)


def test_a_shorter_interval_is_not_kept_waiting_by_a_longer_one(bundle: Path, federation: Federation, watch: Watch):
    models = [Model(), Model()]
    watch.add(read_manifest(bundle), models[0], 1000.0)
    watch.add(read_manifest(bundle), models[1], EVERY)
    until(lambda: federation.asked > 0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watcher_that_fails_takes_its_models_with_it(bundle: Path, federation: Federation, watch: Watch):
    before = watchers()
    model = Model()
    federation.answer = AssertionError("a defect")
    watch.add(read_manifest(bundle), model, EVERY)
    until(lambda: model.why is not None and watchers() == before)
    assert model.why is not None
    assert "asking again failed" in model.why


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_asks_for_itself(bundle: Path, federation: Federation, watch: Watch):
    model = Model()
    watch.add(read_manifest(bundle), model, EVERY)
    until(lambda: federation.asked > 0)
    child = os.fork()
    if child == 0:
        federation.answer = REVOKED
        end = time.monotonic() + 20
        while model.why is None and time.monotonic() < end:
            time.sleep(0.01)
        os._exit(0 if model.why else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert model.why is None


def test_a_gate_that_cannot_watch_is_not_asked_to(digits: Path):
    class Once:
        def admit(self, manifest: Manifest) -> None:
            """Everything."""

    with pytest.raises(ValueError, match="needs a gate that can watch"):
        graphopt.load(digits, gate=Once(), recheck=1.0)
    with pytest.raises(ValueError, match="above 0"):
        graphopt.load(digits, gate=ChainGate(None), recheck=0.0)
