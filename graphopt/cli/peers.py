"""Other engines on the same model, for comparison: each is there when its package is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from graphopt.errors import GraphoptError

Feeds = Mapping[str, Any]
Engine = Callable[[Feeds], dict[str, Any]]


class PeerError(GraphoptError):
    """An engine to compare with is not known, not installed, or cannot run the model."""


def chosen_peers(against: str | None) -> tuple[str, ...]:
    """The engines of a comma-separated list, each of which must be installed; with None, ONNX Runtime where it is."""
    if against is None:
        return ("onnxruntime",) if find_spec("onnxruntime") else ()
    names = tuple(dict.fromkeys(name.strip() for name in against.split(",") if name.strip()))
    for name in names:
        if name not in ENGINES:
            raise PeerError(f"there is no engine {name!r} to compare with; there are {', '.join(ENGINES)}")
        if not find_spec(name):
            raise PeerError(f"{name} is not installed: pip install {name}")
    return names


def open_peer(name: str, model: bytes, threads: int) -> Engine:
    """The engine on a serialised ONNX model; PeerError when it does not take the model."""
    try:
        return ENGINES[name](model, threads)
    except Exception as error:
        raise PeerError(f"{name} does not take this model: {error}") from error


def _onnxruntime(model: bytes, threads: int) -> Engine:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # its threads spin between calls, and would run in the other engine's turn
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def call(feeds: Feeds) -> dict[str, Any]:
        return dict(zip(names, session.run(None, dict(feeds)), strict=True))

    return call


def _openvino(model: bytes, threads: int) -> Engine:
    core: Any = import_module("openvino").Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(model, b""), "CPU", settings)
    request = compiled.create_infer_request()
    names = [sorted(port.get_names())[0] for port in compiled.outputs]

    def call(feeds: Feeds) -> dict[str, Any]:
        results = request.infer(dict(feeds), share_inputs=True)
        return {name: results[index] for index, name in enumerate(names)}

    return call


ENGINES: dict[str, Callable[[bytes, int], Engine]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}
