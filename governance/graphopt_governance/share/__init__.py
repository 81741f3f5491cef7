"""Bundles between members: sealed, published, and taken instead of compiled."""
