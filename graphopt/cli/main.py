"""`graphopt`: the commands, and the one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import io
import signal
import sys
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from graphopt.cli.anchor import anchor
from graphopt.cli.approve import approve
from graphopt.cli.audit.export import export as audit_export
from graphopt.cli.audit.replay import replay as audit_replay
from graphopt.cli.bench import bench
from graphopt.cli.bom import bom
from graphopt.cli.compile import compile_model
from graphopt.cli.diff import diff
from graphopt.cli.failure import quoting_nothing_raw, sentences_for_errors
from graphopt.cli.fed.cancel import cancel as fed_cancel
from graphopt.cli.fed.card import card as fed_card
from graphopt.cli.fed.delay import delay as fed_delay
from graphopt.cli.fed.init import init as fed_init
from graphopt.cli.fed.invitation import invitation as fed_invitation
from graphopt.cli.fed.join import join as fed_join
from graphopt.cli.fed.log import log as fed_log
from graphopt.cli.fed.member_add import member_add
from graphopt.cli.fed.member_change import member_change
from graphopt.cli.fed.member_remove import member_remove
from graphopt.cli.fed.member_rotate import member_rotate
from graphopt.cli.fed.passphrase import passphrase as fed_passphrase
from graphopt.cli.fed.quorum import quorum as fed_quorum
from graphopt.cli.fed.relay import relay as fed_relay
from graphopt.cli.fed.status import status as fed_status
from graphopt.cli.inspect import inspect_path
from graphopt.cli.open import open_sealed
from graphopt.cli.optimize import optimize
from graphopt.cli.passphrase import keep_from_children
from graphopt.cli.propose import propose
from graphopt.cli.publish import publish
from graphopt.cli.put_report import put_report
from graphopt.cli.restore import restore
from graphopt.cli.revoke import revoke
from graphopt.cli.rollback import rollback
from graphopt.cli.run import run
from graphopt.cli.seal import seal
from graphopt.cli.sign import sign
from graphopt.cli.verify import verify
from graphopt.version import __version__


class _Group(TyperGroup):
    """The commands.  Usage errors quote what was typed, which a shell may have made of the names of files."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with quoting_nothing_raw():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with quoting_nothing_raw():
            return super().invoke(ctx)


def _group(purpose: str | None = None) -> typer.Typer:
    return typer.Typer(
        cls=_Group,
        help=purpose,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


app = _group()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"graphopt {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Compile ONNX models ahead of time, and prove what was done.

    Results go to standard output, everything else to standard error.

    \b
    Exit codes:
      0    done
      2    it could not be done; one sentence says why
      10   to 19: `graphopt verify` refused the bundle (see there)
      20   `graphopt audit replay` found another history of a ledger
      70   graphopt itself is wrong; GRAPHOPT_TRACEBACK=1 shows where
      130  interrupted
    """


COMMANDS = {
    "optimize": optimize,
    "compile": compile_model,
    "run": run,
    "inspect": inspect_path,
    "diff": diff,
    "bench": bench,
    "sign": sign,
    "propose": propose,
    "approve": approve,
    "anchor": anchor,
    "verify": verify,
    "revoke": revoke,
    "restore": restore,
    "rollback": rollback,
    "report": put_report,
    "seal": seal,
    "open": open_sealed,
    "publish": publish,
    "bom": bom,
    "fed card": fed_card,
    "fed init": fed_init,
    "fed invitation": fed_invitation,
    "fed join": fed_join,
    "fed status": fed_status,
    "fed log": fed_log,
    "fed member add": member_add,
    "fed member change": member_change,
    "fed member remove": member_remove,
    "fed member rotate": member_rotate,
    "fed quorum": fed_quorum,
    "fed delay": fed_delay,
    "fed cancel": fed_cancel,
    "fed relay": fed_relay,
    "fed passphrase": fed_passphrase,
    "audit export": audit_export,
    "audit replay": audit_replay,
}
"""By name, in the order in which `--help` lists them; a name of several words stands in groups."""

GROUPS = {
    "fed": "Found, join and govern a federation of several organisations.",
    "fed member": "Draft ballots that admit, change and remove members.",
    "audit": "Export, sign and replay the log of an embedded chain.",
}
"""What the first words of those names stand for."""

_groups = {"": app}
for path, purpose in GROUPS.items():
    above, _, name = path.rpartition(" ")
    _groups[path] = _group(purpose)
    _groups[above].add_typer(_groups[path], name=name)
for path, command in COMMANDS.items():
    group, _, name = path.rpartition(" ")
    _groups[group].command(name)(sentences_for_errors()(command))


def main() -> None:
    """The entry point of the `graphopt` program."""
    signal.signal(signal.SIGTERM, _stop)
    keep_from_children()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 still gets every line
    app()


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    """Ends by an exception, so that whatever was half written is taken away."""
    sys.exit(128 + signum)
