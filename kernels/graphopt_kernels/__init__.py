"""Numba kernels for CPU and CUDA: they know arrays and argument blocks, and nothing of graphs.

`abi` is the door; `bind/` (no numba) turns operands into argument blocks; `cpu/` holds the code that Numba compiles;
`emit` turns a `KernelSpec` into object code for a named target; `cuda/` holds the GPU twins.
"""
