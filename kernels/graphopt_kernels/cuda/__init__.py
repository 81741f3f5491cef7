"""The GPU's twins of the CPU's kernels, with `numba-cuda` (pip install "graphopt[cuda]").

Each file holds a checked public function that launches on arrays, and the plain Python function that Numba compiles.
They run on Numba's simulator (NUMBA_ENABLE_CUDASIM=1) and on a GPU; `ptx.py` compiles them where there is neither.
"""
