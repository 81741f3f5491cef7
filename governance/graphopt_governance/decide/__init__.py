"""Founding, changing and auditing a federation; proposing, reviewing, approving and withdrawing bundles."""
