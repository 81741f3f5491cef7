"""Types of all values of a graph: our rules, completed by onnx's inference."""

from graphopt.infer.graph import infer_elements, infer_types
from graphopt.ops.infer_call import infer_call

__all__ = ["infer_call", "infer_elements", "infer_types"]
