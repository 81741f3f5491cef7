"""Where a federation lives: the embedded ledger and Ethereum chains, read by proofs, written once."""
