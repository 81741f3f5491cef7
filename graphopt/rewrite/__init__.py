"""The rewrite engine: rules with a contract, a rewriter that records, a worklist, a verifier, a report."""

from graphopt.rewrite.driver import drive
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.report import Applied, NotApplied, PassReport, RewriteReport, describe
from graphopt.rewrite.rewriter import Application, Rewriter, Watcher
from graphopt.rewrite.rule import Declined, Rule, operators
from graphopt.rewrite.run import Pass, RulePass, count_nodes, run_passes
from graphopt.rewrite.text import show
from graphopt.rewrite.verify import problem_of

__all__ = [
    "Application",
    "Applied",
    "Declined",
    "Exactness",
    "NotApplied",
    "Pass",
    "PassReport",
    "RewriteReport",
    "Rewriter",
    "Rule",
    "RulePass",
    "Watcher",
    "count_nodes",
    "describe",
    "drive",
    "operators",
    "problem_of",
    "run_passes",
    "show",
]
