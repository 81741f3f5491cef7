"""Whether all text of a model is UTF-8: protobuf gives bytes where it is not, and nothing downstream expects these."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from graphopt.errors import ModelError


@dataclass(frozen=True, slots=True)
class _Fields:
    texts: tuple[str, ...]
    text_lists: tuple[str, ...]
    messages: tuple[str, ...]
    message_lists: tuple[str, ...]


def check_text(message: Message, where: str = "model") -> None:
    """ModelError when a name, a doc string or another text in the message is not UTF-8."""
    fields = _fields(message.DESCRIPTOR)
    for name in fields.texts:
        if type(getattr(message, name)) is not str:
            raise ModelError(f"not an ONNX model, or a damaged one: {where}.{name} is not UTF-8 text")
    for name in fields.text_lists:
        for item in getattr(message, name):
            if type(item) is not str:
                raise ModelError(f"not an ONNX model, or a damaged one: {where}.{name} is not UTF-8 text")
    for name in fields.messages:
        if message.HasField(name):
            check_text(getattr(message, name), f"{where}.{name}")
    for name in fields.message_lists:
        items: Any = getattr(message, name)
        for item in items:
            check_text(item, f"{where}.{name}")


@cache
def _fields(descriptor: Descriptor) -> _Fields:
    texts: dict[bool, list[str]] = {False: [], True: []}
    messages: dict[bool, list[str]] = {False: [], True: []}
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            texts[field.is_repeated].append(field.name)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            messages[field.is_repeated].append(field.name)
    return _Fields(tuple(texts[False]), tuple(texts[True]), tuple(messages[False]), tuple(messages[True]))
