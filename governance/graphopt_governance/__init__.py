"""Governance: several organisations decide which compiled models may run, and anybody can check.

The doors to this room: `actions` (what the command line does) and `gate.ChainGate` (what a loader asks).
Importing this package loads nothing heavy.
"""
