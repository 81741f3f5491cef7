"""What a bundle says of itself: the signed record of what it was made from, how, and with which evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from graphopt.errors import BundleError
from graphopt.report.content import Cell, Column, Entry, Facts, Format, Section, Table

if TYPE_CHECKING:
    from graphopt.bundle import Manifest

Kind = TypeVar("Kind")


def describe_bundle(manifest: Manifest) -> tuple[Section, ...]:
    """Everything that the manifest records, as facts and tables.

    BundleError where it lacks what graphopt records: its form was checked, but a stranger may have written it.
    """
    build = manifest.predicate
    programs = recorded(build, "program", dict[str, Any])
    return (
        _facts(manifest, build),
        _evidence(recorded(build, "evidence", dict[str, Any])),
        _rewrites(recorded(build, "rewrites", list[Any])),
        _calls(programs),
        _in_python(programs),
        _tools(recorded(build, "tools", dict[str, Any])),
        _files(manifest),
    )


def recorded(record: object, key: str, kind: type[Kind]) -> Kind:
    """The field `key` of an object in a manifest; BundleError when it is missing or of another kind."""
    value = cast("dict[str, Any]", record).get(key) if isinstance(record, dict) else None
    plain = getattr(kind, "__origin__", kind)
    if not isinstance(value, plain):
        raise BundleError(f"the manifest's record has no {key!r} such as graphopt writes; another tool made it")
    return cast("Kind", value)


def _facts(manifest: Manifest, build: Mapping[str, Any]) -> Facts:
    options = recorded(build, "options", dict[str, Any])
    source = recorded(build, "source", dict[str, Any])
    signature = manifest.signature
    return Facts(
        "bundle",
        "Bundle",
        (
            Entry("digest", "digest", manifest.digest.hex()),
            Entry("signed", "signed", signature is not None),
            Entry("signing_key", "by the key", None if signature is None else signature.key),
            Entry("source", "made from", recorded(source, "sha256", str)),
            Entry("level", "level", recorded(options, "level", str)),
            Entry("skipped", "passes left out", _listed(options.get("skip")) or None),
            Entry("targets", "targets", _listed(build.get("targets"))),
            Entry("native_code", "native code", _native_form([record.name for record in manifest.files])),
            Entry("bytes", "size", sum(record.size for record in manifest.files), Format.BYTES),
        ),
    )


def _native_form(files: list[str]) -> str:
    """How the machine code is kept, and what loading it needs."""
    native = [name for name in files if name.startswith("native/")]
    if not native:
        return "none"
    if all(name.endswith(".so") for name in native):
        return "linked"
    return "not linked, because there was no C linker: loading it needs llvmlite"


def _listed(names: object) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list | tuple) else ""  # pyright: ignore[reportUnknownArgumentType]


def _evidence(evidence: Mapping[str, Any]) -> Facts:
    worst = evidence.get("worst_difference")
    sizes = recorded(evidence, "sizes", dict[str, Any]) if evidence.get("sizes") is not None else {}
    compared = recorded(evidence, "comparisons", int) if evidence.get("comparisons") is not None else None
    return Facts(
        "evidence",
        "Checked against the reference",
        (
            Entry("checked", "checked", bool(evidence.get("checked"))),
            Entry("reason", "why not", str(evidence.get("reason") or "") or None),
            Entry("worst_difference", "worst difference", None if worst is None else _number(worst), Format.ERROR),
            Entry("comparisons", "values compared", compared, Format.COUNT),
            Entry("seeds", "seeds of the inputs", _listed(evidence.get("seeds"))),
            Entry("sizes", "open dimensions", ", ".join(f"{k}={v}" for k, v in sizes.items())),
        ),
    )


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        raise BundleError(f"the manifest's worst difference is no number: {text!r}") from None


def _rewrites(rewrites: list[Any]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            recorded(entry, "name", str),
            None if entry.get("exactness") is None else recorded(entry, "exactness", str),
            recorded(entry, "count", int),
        )
        for entry in rewrites
    ]
    columns = (Column("name", "rewrite"), Column("exactness", "exactness"), Column("count", "applied", Format.COUNT))
    return Table("rewrites", "Rewrites", columns, tuple(rows))


def _calls(programs: Mapping[str, Any]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for target, counts in programs.items():
        steps, native, alias, settled = (recorded(counts, key, int) for key in ("steps", "native", "alias", "settled"))
        rows.append((target, steps, alias, settled, native, steps - native - alias - settled))
    columns = (
        Column("target", "target"),
        Column("steps", "steps", Format.COUNT),
        Column("alias", "nothing to do", Format.COUNT),
        Column("settled", "settled by shapes", Format.COUNT),
        Column("native", "native calls", Format.COUNT),
        Column("not_native", "not native", Format.COUNT),
    )
    return Table("calls_by_target", "Calls", columns, tuple(rows))


def _in_python(programs: Mapping[str, Any]) -> Table:
    targets: dict[tuple[str, int, str], list[str]] = {}
    for target, counts in programs.items():
        meanings = recorded(counts, "meanings", dict[str, Any])
        reference = recorded(counts, "reference", list[Any]) if counts.get("reference") is not None else ()
        for operator in meanings:
            count = recorded(meanings, operator, int)
            by = "onnx.reference" if operator in reference else "numpy"
            targets.setdefault((operator, count, by), []).append(target)
    rows = tuple((*call, "all" if len(names) == len(programs) else ", ".join(names)) for call, names in targets.items())
    columns = (
        Column("operator", "operator"),
        Column("count", "calls", Format.COUNT),
        Column("by", "computed by"),
        Column("targets", "targets"),
    )
    return Table("not_native", "Calls that are not native", columns, rows)


def _tools(tools: Mapping[str, Any]) -> Table:
    rows = tuple((name, str(version)) for name, version in tools.items())
    return Table("tools", "Made with", (Column("name", "package"), Column("version", "version")), rows)


def _files(manifest: Manifest) -> Table:
    rows = tuple((record.name, record.size, record.sha256) for record in manifest.files)
    columns = (Column("name", "file"), Column("bytes", "size", Format.BYTES), Column("sha256", "SHA-256"))
    return Table("files", "Files", columns, rows)
