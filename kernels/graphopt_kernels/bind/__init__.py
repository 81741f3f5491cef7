"""From operands to argument blocks: one file a family, none of them imports numba."""
