"""Looking at a stranger's ledger, before anything rests on it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.chains.ledger_file import check_neighbours
from graphopt_governance.chains.ledger_log import LedgerLog
from graphopt_governance.errors import ChainError
from graphopt_governance.protocol.action import Domain


def look_at(path: Path, domain: Domain) -> tuple[Ledger, bool]:
    """The ledger of the federation at `domain` that anybody may have left at `path`, and whether its history holds.

    A state is whatever its maker says; that members signed for it, only executing the history again from the founding
    shows, which the contract's address commits to.  It is executed here; False where there is no virtual machine to do
    that.  ChainError when it does not come to the same head, or another federation is there, and for a file that nobody
    could live with: see `own_files`.
    """
    check_neighbours(path)
    ledger = Ledger.of_others(path)
    if ledger.domain != domain:
        raise ChainError(
            f"the ledger at {path} is that of another federation: chain {ledger.domain.chain_id}, contract"
            f" 0x{ledger.domain.contract.hex()}"
        )
    with tempfile.TemporaryDirectory(prefix="graphopt-ledger-") as folder:
        try:
            LedgerLog.of(ledger).rebuild(Path(folder) / "ledger.sqlite3")
        except ModuleNotFoundError:
            return ledger, False
        except ChainError as error:
            raise ChainError(f"the ledger at {path} is not what its members decided: {error}") from error
    return ledger, True
