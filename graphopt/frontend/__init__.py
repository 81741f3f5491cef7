"""Reading and writing models: ONNX on the outside, `Graph` on the inside."""

from graphopt.frontend.read_model import read_onnx
from graphopt.frontend.save import save_onnx
from graphopt.frontend.source import Source
from graphopt.frontend.write_model import write_onnx

__all__ = ["Source", "read_onnx", "save_onnx", "write_onnx"]
