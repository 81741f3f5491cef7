"""What members hand to each other: cards, invitations, ballots, proposals, inclusions."""
