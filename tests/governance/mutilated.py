"""Documents with something wrong in them: what a careless or a hostile hand does to JSON."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from graphopt import strict_json
from graphopt.errors import BundleError

DEEP: Any = json.loads("[" * 60 + "]" * 60)

CONFUSING = {
    "a": "\u0430",
    "e": "\u0435",
    "i": "\u0456",
    "o": "\u043e",
    "s": "\u0455",
    "-": "\u2010",
    "1": "l",
    "0": "O",
}

WRONG = st.one_of(
    st.sampled_from(
        [None, True, False, 0, 1, -1, 1.0, 0.5, 1e300, 2**53, 2**64, 10**40, "", " ", "\0", "\n", "e\u0301"]
    ),
    st.sampled_from(
        [float("nan"), float("inf"), "NaN", "../x", "/etc/passwd", "\ud800", "0x00", "00", "-0", [], {}, [[]], DEEP]
    ),
    st.sampled_from([str(2**256 - 1), str(2**256), str(2**64), str(10**11), str(-(10**11)), "1e3", "\u0661", " 1"]),
    st.text(max_size=8),
    st.integers(),
    st.floats(),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@st.composite
def mutilated(draw: st.DrawFn, document: Any) -> Any:
    """`document` with up to three changes somewhere in it: a thing gone, renamed, doubled, retyped or put elsewhere."""
    made: Any = {"": deepcopy(document)}
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(_places(made))))
        value = holder[key]
        match draw(st.integers(0, 6)):
            case 0 if holder is not made:
                del holder[key]
            case 1 if isinstance(key, str) and holder is not made:
                holder[_confused(draw, key)] = holder.pop(key)
            case 2 if isinstance(value, str) and value:
                at = draw(st.integers(0, len(value) - 1))
                holder[key] = value[:at] + _confused(draw, value[at]) + value[at + 1 :]
            case 3 if isinstance(value, list):
                value.append(deepcopy(value[0]) if value else 0)
            case 4:
                holder[key] = draw(st.sampled_from([[value], {"": value}, str(value), [value, value]]))
            case 5:
                other, place = draw(st.sampled_from(list(_places(made))))
                holder[key] = deepcopy(other[place])
            case _:
                holder[key] = deepcopy(draw(WRONG))
    return made[""]


@st.composite
def written(draw: st.DrawFn, document: Any) -> bytes:
    """The document in one of the many ways to write JSON, some of which are none."""
    style = draw(st.integers(0, 9))
    try:
        text = strict_json.encode(document, "it")
    except BundleError:
        text = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
    if style == 0:
        text = json.dumps(document, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))).encode(
            "utf-8", "surrogatepass"
        )
    elif style == 1:
        text += draw(st.sampled_from([b"\n", b" ", b"\0", b"{}", b"//", b"\xff"]))
    elif style == 2:
        text = draw(st.sampled_from([b"\xef\xbb\xbf", b" ", b"\n", b"[", b'"'])) + text
    elif style == 3 and b'"' in text:
        # the same key once more, with another value
        at = text.index(b'"')
        end = text.index(b'"', at + 1) + 1
        text = text[:at] + text[at:end] + b":0," + text[at:]
    elif style == 4:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.binary(max_size=3)) + text[at + draw(st.integers(0, 3)) :]
    elif style == 5:
        text = text[: draw(st.integers(0, len(text)))]
    elif style == 6:
        text = text.replace(b"a", b"\\u0061", 1)
    return text


def _confused(draw: st.DrawFn, text: str) -> str:
    at = draw(st.integers(0, len(text) - 1)) if text else 0
    return text[:at] + CONFUSING.get(text[at : at + 1], "\u200b") + text[at + 1 :]


def _places(value: Any) -> Any:
    """Every place in nested objects and lists: what holds it, and its key or index."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])
