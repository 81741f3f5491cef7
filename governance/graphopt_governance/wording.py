"""How times and text from others are shown to people."""

from __future__ import annotations

from datetime import UTC, datetime

from graphopt.text import printable

__all__ = ["printable", "utc"]


def utc(seconds: int) -> str:
    """A time for people: 2026-11-22 18:00:00 UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        # a block's time has 64 bits, and a calendar does not
        return f"second {seconds}"
