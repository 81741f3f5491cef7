"""`graphopt fed member rotate`: go on with new keys."""

from __future__ import annotations

from pathlib import Path

from graphopt.cli.consent import YesOption
from graphopt.cli.fed.ballots import BallotOutput, ExecuteOption
from graphopt.cli.options import AsJson, ChainOption


def member_rotate(
    output: BallotOutput = None,
    execute: ExecuteOption = False,
    chain: ChainOption = None,
    yes: YesOption = False,
    as_json: AsJson = False,
) -> None:
    """Make new keys for yourself, and draft the ballot that gives them to your membership.

    The new keys wait in keys/next; until the federation has decided you go on with the old ones. You sign the ballot
    with your old key, if you may approve, so that the others see that it is you who asks. Once the chain holds the new
    keys, the next command takes them into use, and keeps the old ones beside them: what was sealed to them opens with
    nothing else. On a real chain the new account needs a balance before it can send.

    Bundles that you signed before need a new signature: `graphopt sign`.

    \b
    Examples:
      graphopt fed member rotate -o rotate.ballot.json
      graphopt fed member rotate --execute
    """
    from graphopt.cli.consent import consent
    from graphopt.cli.fed.ballots import hand_out, write_ballot
    from graphopt.cli.passphrase import prompted
    from graphopt_governance.chains.opening import settle_rotation
    from graphopt_governance.decide.founding import own_federation
    from graphopt_governance.decide.rotation import prepare_rotation
    from graphopt_governance.home import Home

    home, passphrase = Home.default(chain), prompted()
    asked = own_federation(home, passphrase)
    made = prepare_rotation(home, asked, passphrase)
    path = output or Path(f"rotate-{made.member}.ballot.json")
    if execute:
        hand_out(made.ballot, asked, home, passphrase, path, execute=True, yes=yes, as_json=as_json)
        settle_rotation(home, asked)
        return
    if made.voter is not None:
        consent(made.ballot.describe(), yes=yes)
    write_ballot(made.signed(asked), asked, path, as_json=as_json)
