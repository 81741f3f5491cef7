"""How single values are written for a person."""

from __future__ import annotations

from datetime import UTC, datetime

from graphopt.report.content import Cell, Format
from graphopt.text import printable


def worded(value: Cell, form: Format) -> str:
    """The value as a table shows it: `1,234`, `12.3 kB`, `4.56 ms`, `1.50×`, `98.5 %`, `3.1e-07`."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return printable(value)
    match form:
        case Format.BYTES:
            return _bytes(value)
        case Format.SECONDS:
            return _seconds(value)
        case Format.RATIO:
            return f"{value:.2f}×"
        case Format.PERCENT:
            return f"{100 * value:.2f} %"
        case Format.ERROR:
            return "0" if value == 0 else f"{value:.1e}"
        case Format.TIME:
            return _time(value)
        case Format.COUNT | Format.NUMBER | Format.TEXT:
            return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        # a deadline or a block's time is anybody's number, and a calendar ends
        return f"second {seconds:.0f}"


def _bytes(count: float) -> str:
    if abs(count) < 1000:
        return f"{count:,} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if abs(count) < 999.5:
            return f"{count:.3g} {unit}" if abs(count) < 100 else f"{count:.0f} {unit}"
    return f"{count:,.0f} TB"


def _seconds(seconds: float) -> str:
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(seconds) >= scale:
            return f"{seconds / scale:.3g} {unit}" if abs(seconds) < 100 * scale else f"{seconds / scale:.0f} {unit}"
    return f"{seconds / 1e-9:.0f} ns"
