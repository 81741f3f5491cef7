"""Every error that graphopt raises on purpose: one base class, one sentence each.

A message says what happened, where, what was expected, what came, and what to do about it.  The command
line prints `str(error)` and exits with 2; it never shows a traceback for one of these.
"""

from __future__ import annotations


class GraphoptError(Exception):
    """The base of all errors that a user can cause or mend."""


class ModelError(GraphoptError):
    """A model cannot be read, is not well formed, or uses what this version does not know."""


class MisfitError(ModelError):
    """Operands do not fit their operator; `problem` says how, without the operator's name."""

    def __init__(self, op: str, problem: str) -> None:
        super().__init__(f"{op}: {problem}")
        self.op = op
        self.problem = problem


class InputError(GraphoptError):
    """A request does not fit the model's signature (name, dtype, rank, dimension)."""


class BundleError(GraphoptError):
    """A bundle is incomplete, altered, or of another format version."""


class UnsafeFolderError(GraphoptError):
    """A folder for private copies is open to others, who could put something else in their place."""


class RefusedError(GraphoptError):
    """The gate refused a bundle: not approved, revoked, or approved by nobody we know."""


class CompileError(GraphoptError):
    """A model was read but cannot be compiled for the requested target."""


class RewriteError(GraphoptError):
    """A pass broke the graph or did not come to an end: a defect of the pass, never of the model."""

    def __init__(self, rewrite: str, graph: str, problem: str) -> None:
        super().__init__(
            f"{rewrite} left graph {graph!r} broken: {problem}; this is a defect of {rewrite}, "
            f"skip it (skip={rewrite!r}) and report it"
        )
        self.rewrite = rewrite
        self.graph = graph
        self.problem = problem
