"""Draws what `run.py --json` told, as the picture in the README.

python examples/digits/run.py --json | python examples/digits/draw.py > docs/digits.svg
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 150, 92
GAP = 58
TOP = 30
MARGIN = 12


@dataclass(frozen=True, slots=True)
class Box:
    """One station: its name, what it holds, and the step that leads to the next."""

    name: str
    lines: Sequence[str]
    step: str = ""


def stations(told: dict[str, Any]) -> list[Box]:
    """The stations of the path, with the figures of one run."""
    ratios = {row["batch"]: row["ratio"] for row in told["latency"] if row["engine"] == "onnxruntime"}
    speed = [f"{ratio:.2f}× ONNX Runtime" for ratio in list(ratios.values())[:1]]
    rewrites = sum(row["count"] for row in told["rewrites"])
    return [
        Box("model.onnx", [f"{told['nodes_before']} nodes", f"{told['accuracy_before']:.2%} right"], "optimise"),
        Box("optimised", [f"{told['nodes_after']} nodes", f"{rewrites} rewrites"], "compile"),
        Box("program", [f"{told['calls']} calls", f"{told['native_calls']} native", told["target"]], "check, sign"),
        Box("bundle", [f"{told['digest'][:12]}…", f"off by {told['image_difference']:.0e}"], "anchor"),
        Box("chain", [f"block {told['block']}"], "gate"),
        Box("runs", [f"{told['accuracy_after']:.2%} right", *speed]),
    ]


def draw(boxes: Sequence[Box]) -> str:
    """The stations from left to right, as SVG that reads on light and on dark pages."""
    width = 2 * MARGIN + len(boxes) * WIDTH + (len(boxes) - 1) * GAP
    height = TOP + HEIGHT + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        ' font-size="13">',
        f"<title>{escape(' → '.join(box.name for box in boxes))}</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#5b7f95"/></marker></defs>',
    ]
    for place, box in enumerate(boxes):
        left = MARGIN + place * (WIDTH + GAP)
        parts.append(
            f'<rect x="{left}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#eef4f7" stroke="#5b7f95"/>'
        )
        parts.append(_text(left + WIDTH / 2, TOP + 24, box.name, 'font-weight="bold" fill="#1d3644"'))
        for number, line in enumerate(box.lines):
            size = ' font-size="10"' if len(line) > 20 else ""
            parts.append(_text(left + WIDTH / 2, TOP + 45 + 17 * number, line, f'fill="#1d3644"{size}'))
        if box.step:
            start, middle = left + WIDTH + 4, TOP + HEIGHT / 2
            end = left + WIDTH + GAP - 4
            line = f'<path d="M{start} {middle}H{end}" stroke="#5b7f95" stroke-width="1.6" marker-end="url(#tip)"/>'
            parts.append(line)
            parts.append(_text((start + end) / 2, middle - 9, box.step, 'font-size="10" fill="#5b7f95"'))
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, look: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" {look}>{escape(text)}</text>'


if __name__ == "__main__":
    sys.stdout.write(draw(stations(json.load(sys.stdin))))
