"""What is known of each operator: facts, meaning, shape rule."""

from graphopt.ops.facts import Facts, facts_of, is_deterministic
from graphopt.ops.table import Call, Inference, meaning, meaning_of, shape_rule, shape_rule_of

__all__ = [
    "Call",
    "Facts",
    "Inference",
    "facts_of",
    "is_deterministic",
    "meaning",
    "meaning_of",
    "shape_rule",
    "shape_rule_of",
]
