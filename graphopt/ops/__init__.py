"""What is known of each operator: facts, meaning, shape rule."""

from graphopt.ops.table import Call, Inference, meaning, meaning_of, shape_rule, shape_rule_of

__all__ = ["Call", "Inference", "meaning", "meaning_of", "shape_rule", "shape_rule_of"]
