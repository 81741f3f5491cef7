"""What a rewrite rule is: a law that is tried at a node, and either applies or says why not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from graphopt.ir import Node
from graphopt.rewrite.exactness import Exactness

if TYPE_CHECKING:
    from graphopt.rewrite.rewriter import Rewriter


@dataclass(frozen=True, slots=True)
class Declined:
    """The shape of the rule was there, but a condition of its law was not: which one, as a sentence."""

    reason: str


class Rule(ABC):
    """A law such as `Add(MatMul(a, b), c) → Gemm(a, b, c)`; a frozen dataclass whose docstring states it."""

    name: ClassVar[str]
    """The kebab-case name under which reports, manifests and `skip` know it."""
    exactness: ClassVar[Exactness]
    """The least level at which the law holds."""
    ops: ClassVar[frozenset[str] | None] = None
    """The qualified operators at which the rule is tried; None for every one."""

    @abstractmethod
    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        """Change the graph around `node` through the rewriter, or do nothing.

        Nothing done and None returned means the rule is not about this node; `Declined` means it nearly was.
        What a rule built before it declines is taken back.
        """


def operators(names: str) -> frozenset[str]:
    """The set of operators named, from one string with spaces between them."""
    return frozenset(names.split())
