"""Measuring in turns, and the engines to measure against."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from graphopt.cli.peers import PeerError, chosen_peers, open_peer
from graphopt.cli.timing import FEWEST_ROUNDS, take_turns
from tests.cli.command import DIGITS


def test_a_slower_engine_has_the_larger_ratio() -> None:
    quick, slow = take_turns({"quick": lambda: time.sleep(0.002), "slow": lambda: time.sleep(0.006)}, 0.1)
    assert quick.ratio == 1.0
    assert slow.ratio > 1.5
    assert quick.rounds >= FEWEST_ROUNDS
    assert quick.least <= quick.lower <= quick.median <= quick.upper


def test_every_engine_runs_equally_often_in_every_place() -> None:
    order: list[str] = []

    def engine(name: str) -> Callable[[], None]:
        def call() -> None:
            order.append(name)
            time.sleep(0.05)  # long enough that one call makes a round

        return call

    take_turns({"a": engine("a"), "b": engine("b")}, 0)
    rounds = order[-2 * FEWEST_ROUNDS :]
    assert [rounds[place] for place in range(0, 2 * FEWEST_ROUNDS, 2)] == ["a", "b", "a", "b", "a"]


def test_onnxruntime_is_a_peer() -> None:
    engine = open_peer("onnxruntime", DIGITS.read_bytes(), 1)
    assert engine({"image": np.zeros((3, 1, 8, 8), np.float32)})["logits"].shape == (3, 10)


def test_a_peer_that_takes_no_model_says_so() -> None:
    with pytest.raises(PeerError, match="onnxruntime does not take this model"):
        open_peer("onnxruntime", b"nothing", 1)


def test_an_unknown_peer_is_named_with_the_known_ones() -> None:
    with pytest.raises(PeerError, match="no engine 'tvm' to compare with; there are onnxruntime, openvino"):
        chosen_peers("onnxruntime,tvm")


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphopt.cli.peers.find_spec", lambda name: None)
    with pytest.raises(PeerError, match="openvino is not installed: pip install openvino"):
        chosen_peers("openvino")
    assert chosen_peers(None) == ()
