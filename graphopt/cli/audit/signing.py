"""How a member signs the head of a ledger's log: shown what it is, and asked."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphopt_governance.chains.ledger_log import LedgerLog
    from graphopt_governance.home import Home


def sign_head(log: LedgerLog, home: Home, accounts: AbstractSet[bytes], compared: str, *, yes: bool) -> LedgerLog:
    """The log with the signature of the member of `home`; NotSignedError when he does not agree, or is no member.

    `accounts`: those of the members, as the log has them, whose signatures alone are kept; `compared`: how it stands to
    the ledger here, in words.
    """
    from graphopt.cli.consent import NotSignedError, consent
    from graphopt.cli.passphrase import prompted
    from graphopt_governance.keys.member_key import load_member_key

    consent(
        [
            "vouch for the history of a ledger",
            f"  chain: {log.chain_id}",
            f"  blocks: {len(log.calls)}",
            f"  head: {log.head.hex()}",
            f"  compared with yours: {compared}",
        ],
        yes=yes,
    )
    key = load_member_key(home.member_key, prompted(), make=False)
    if key.account not in accounts:
        raise NotSignedError(f"nothing was signed: 0x{key.account.hex()} is no member's account in this log")
    kept = log.signed_only_by(accounts)
    return kept if key.account in kept.signers() else kept.signed(key)
