"""`graphopt audit`: the log of an embedded chain, exported, signed and replayed."""
