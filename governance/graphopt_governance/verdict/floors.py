"""What a home has seen, for those who judge by it: `chains.floors`, where every snapshot raises it."""

from __future__ import annotations

from graphopt_governance.chains.floors import Floors, Seen

__all__ = ["Floors", "Seen"]
