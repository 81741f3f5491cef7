"""What happened in a federation, told in sentences; and what has not happened yet: what waits, and what was proposed.

Everything here was written to the chain by somebody: what a stranger can choose (a reason, a name) is cut to length and
shown as text, never obeyed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from graphopt_governance.chains.chain import Chain
from graphopt_governance.exchange.ballot import sentence_for
from graphopt_governance.exchange.names import Names
from graphopt_governance.protocol.action import Right, names_of
from graphopt_governance.protocol.contract import Event, Status
from graphopt_governance.verdict.verify import printable, utc


@dataclass(frozen=True, slots=True)
class Waiting:
    """A change that has its signatures and waits: `identity` is that of its ballot, `ready` seconds since the epoch."""

    identity: str
    what: str
    ready: int
    block: int


@dataclass(frozen=True, slots=True)
class Proposed:
    """A manifest that a member proposed and the federation has not decided on."""

    digest: str
    model: str
    version: int
    member: int
    block: int
    block_time: int


@dataclass(frozen=True, slots=True)
class Undecided:
    """What waits for its delay, and what is proposed and not decided, oldest first."""

    waiting: tuple[Waiting, ...]
    proposed: tuple[Proposed, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


def undecided(chain: Chain) -> Undecided:
    """What is still open in the federation."""
    state = chain.snapshot().state
    waiting: list[Waiting] = []
    proposed: dict[str, Proposed] = {}
    for event in chain.events():
        fields = event.fields
        match event.name:
            case "RulesChanged":
                # a new epoch voids all that waited
                waiting = []
            case "Scheduled" if state.waiting(fields["identity"]):
                what = sentence_for(fields["kind"])
                waiting.append(Waiting(fields["identity"].hex(), what, fields["ready"], event.block))
            case "Proposed" if state.record(fields["digest"]).status is Status.NOT_ANCHORED:
                digest, model = fields["digest"].hex(), fields["model"].hex()
                proposed[digest] = Proposed(digest, model, fields["version"], fields["member"], event.block, event.time)
            case _:
                pass
    return Undecided(tuple(waiting), tuple(proposed.values()))


def sentence(event: Event, names: Names | None = None) -> str:
    """One event in words, on one line."""
    known = names or Names()
    tell = _SENTENCES.get(event.name)
    return printable(tell(event.fields, known)) if tell is not None else event.name


def chronicle(events: Sequence[Event], names: Names | None = None) -> list[tuple[Event, str]]:
    """Each event with its sentence."""
    return [(event, sentence(event, names)) for event in events]


def _version(fields: Mapping[str, Any], names: Names) -> str:
    until = f", until {utc(fields['expires'])}" if fields["expires"] else ""
    model = names.model_label(fields["model"])
    return f"{fields['digest'].hex()} as version {fields['version']} of model {model}{until}"


def _reason(fields: Mapping[str, Any]) -> str:
    # 32 bytes at most, by any member with the right
    text = fields["reason"].rstrip(b"\0").decode("utf-8", "replace")
    return f": {text}" if text else ""


def _member_set(fields: Mapping[str, Any], names: Names) -> str:
    rights = ", ".join(names_of(Right(fields["rights"] & 31))) or "none"
    return f"member {names.label(fields['number'])} has account 0x{fields['account'].hex()} and the rights: {rights}"


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any], Names], str]] = {
    "Proposed": lambda of, names: f"member {names.label(of['member'])} proposed {_version(of, names)}",
    "Anchored": lambda of, names: f"approved {_version(of, names)}",
    "BatchAnchored": lambda of, names: (
        f"approved the batch {of['root'].hex()} of {of['size']} manifests"
        + (f", until {utc(of['expires'])}" if of["expires"] else "")
    ),
    "RolledBack": lambda of, names: (
        f"made {of['digest'].hex()}, version {of['version']} of model {names.model_label(of['model'])}, current again"
        f" instead of version {of['left']}"
    ),
    "Revoked": lambda of, names: f"revoked {of['digest'].hex()}{_reason(of)}",
    "Suspended": lambda of, names: f"member {names.label(of['member'])} suspended {of['digest'].hex()}{_reason(of)}",
    "Restored": lambda of, names: f"restored {of['digest'].hex()}{_reason(of)}",
    "Reported": lambda of, names: (
        f"member {names.label(of['member'])} put the report {of['evidence'].hex()} about {of['digest'].hex()} on record"
    ),
    "Scheduled": lambda of, names: f"approved, and waits until {utc(of['ready'])}: {sentence_for(of['kind'])}",
    "MemberSet": _member_set,
    "MemberRemoved": lambda of, names: f"removed member {names.label(of['number'])}",
    "RulesChanged": lambda of, names: (
        f"epoch {of['epoch']}: decisions take {of['quorum']} approvals, changes that give power wait {of['delay']} s"
    ),
}
