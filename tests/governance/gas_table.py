"""What each action costs in gas, measured: `python -m tests.governance.gas_table > docs/gas.md`."""

from __future__ import annotations

from graphopt_governance.protocol.action import Kind

from .federation import Federation, Found, admission, digest, number

QUORUMS = (1, 3, 5, 10, 32)


def measure(quorum: int, found: Found = Federation) -> dict[str, int]:
    """Gas of each action in a federation of `quorum` members who all must sign, by what was done."""
    fed = found(size=quorum, quorum=quorum)
    everybody = range(1, quorum + 1)
    gas: dict[str, int] = {}

    def note(what: str) -> None:
        gas[what] = fed.gas

    note("found the federation")
    fed.do(Kind.PROPOSE, 1, subject=digest("a"), amount=1)
    note("propose")
    fed.anchor("a", *everybody, evidence=digest("build"), expires=fed.now + 10**6)
    note("anchor the first version of a model")
    fed.anchor("b", *everybody, evidence=digest("build"), expires=fed.now + 10**6)
    note("anchor a later version")
    fed.do(Kind.BATCH, *everybody, subject=digest("batch"), amount=2**20)
    note("anchor a batch of any size")
    fed.do(Kind.ROLLBACK, *everybody, subject=digest("a"), amount=2)
    note("roll back")
    fed.do(Kind.REVOKE, *everybody, subject=digest("b"), evidence=b"reason".ljust(32, b"\0"))
    note("revoke")
    fed.do(Kind.RESTORE, *everybody, subject=digest("b"))
    note("restore")
    fed.do(Kind.SUSPEND, 1, subject=digest("b"))
    note("suspend in an emergency (one signature)")
    fed.do(Kind.REPORT, 1, subject=digest("b"), evidence=digest("report"))
    note("report (one signature)")
    if quorum < 32:
        action = admission(fed, 40)
        fed.send(action, fed.sign(action, *everybody))
        note("admit a member")
        fed.do(Kind.REMOVE, *everybody, subject=number(quorum + 1))
        note("remove a member")
    return gas


def table() -> str:
    """The page `docs/gas.md`."""
    columns = [measure(quorum) for quorum in QUORUMS]
    lines = [
        "# Gas",
        "",
        "What each action costs in gas, by the number of approvals needed, measured on the contract as shipped",
        "(`python -m tests.governance.gas_table`).  On the embedded chain gas costs nothing.",
        "",
        "| action | " + " | ".join(f"quorum {quorum}" for quorum in QUORUMS) + " |",
        "|---|" + "---:|" * len(QUORUMS),
    ]
    for what in columns[0]:
        lines.append(
            f"| {what} | " + " | ".join(f"{column[what]:,}" if what in column else "" for column in columns) + " |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
