"""What a rewrite rule is: a law that is tried at a node, and either applies or says why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graphopt.ir import Node

if TYPE_CHECKING:
    from graphopt.rewrite.exactness import Exactness
    from graphopt.rewrite.rewriter import Rewriter


@dataclass(frozen=True, slots=True)
class Declined:
    """The shape of the rule was there, but a condition of its law was not: which one, as a sentence."""

    reason: str


class Rule(Protocol):
    """A law such as `Add(MatMul(a, b), c) → Gemm(a, b, c)`; a frozen dataclass whose docstring states it."""

    @property
    def name(self) -> str:
        """The kebab-case name under which reports, manifests and `skip` know it."""
        ...

    @property
    def exactness(self) -> Exactness:
        """The least level at which the law holds."""
        ...

    @property
    def ops(self) -> frozenset[str] | None:
        """The qualified operators at which the rule is tried; None for every one."""
        ...

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        """Change the graph around `node` through the rewriter, or do nothing.

        Nothing done and None returned means the rule is not about this node; `Declined` means it nearly was.
        What a rule built before it declines is taken back.
        """
        ...
