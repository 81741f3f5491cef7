"""How times and text from others are shown to people."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(seconds: int) -> str:
    """A time for people: 2026-11-22 18:00:00 UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        # a block's time has 64 bits, and a calendar does not
        return f"second {seconds}"


def printable(text: str) -> str:
    """Text from others as it may be shown: what could steer a terminal is replaced."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
