"""The version of graphopt, in one place: the packaging, the manifest and `graphopt --version` read it here."""

__version__ = "0.1.0"
