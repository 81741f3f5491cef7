"""The lowered form: `Program`, its steps, and its file format.  Imports numpy alone."""

from graphopt.program.decode import decode
from graphopt.program.encode import encode
from graphopt.program.program import (
    Image,
    KernelCall,
    Output,
    Program,
    Step,
    StepKind,
    Subprogram,
    ValueInfo,
    Weight,
)

__all__ = [
    "Image",
    "KernelCall",
    "Output",
    "Program",
    "Step",
    "StepKind",
    "Subprogram",
    "ValueInfo",
    "Weight",
    "decode",
    "encode",
]
