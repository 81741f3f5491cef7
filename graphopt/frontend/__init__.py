"""Reading and writing models: ONNX on the outside, `Graph` on the inside."""

from graphopt.frontend.external import external_files
from graphopt.frontend.read_model import read_onnx
from graphopt.frontend.save import save_onnx
from graphopt.frontend.write_model import write_onnx

__all__ = ["external_files", "read_onnx", "save_onnx", "write_onnx"]
