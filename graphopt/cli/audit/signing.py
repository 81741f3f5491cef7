"""How a member signs the head of a ledger's log: shown what it is, and asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphopt_governance.chains.ledger_log import LedgerLog
    from graphopt_governance.home import Home


def sign_head(log: LedgerLog, home: Home, *, yes: bool) -> LedgerLog:
    """The log with the signature of the member of `home`; NotSignedError when he does not agree."""
    from graphopt.cli.consent import consent
    from graphopt.cli.passphrase import prompted
    from graphopt_governance.keys.member_key import load_member_key

    consent(
        [
            "vouch for the history of a ledger",
            f"  chain: {log.chain_id}",
            f"  blocks: {len(log.calls)}",
            f"  head: {log.head.hex()}",
        ],
        yes=yes,
    )
    key = load_member_key(home.member_key, prompted(), make=False)
    return log if key.account in log.signers() else log.signed(key)
