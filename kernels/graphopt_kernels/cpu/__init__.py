"""What Numba compiles for the CPU: one file a family, each with `core(spec)` (see docs/add-a-kernel.md)."""
