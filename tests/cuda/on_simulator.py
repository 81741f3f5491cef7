"""Runs CUDA kernels on Numba's simulator, in a process of its own: `python -m tests.cuda.on_simulator IN.npz OUT.npz`.

The simulator replaces Numba's CUDA target when it is imported, so that the tests' own process must not choose it.  IN
holds for each case `name/kind`, `name/0`, `name/1`, ... (inputs) and `name/out/0`, ... (outputs to be overwritten); OUT
gets the outputs.
"""

from __future__ import annotations

import os
import sys

import numpy as np


def main(source: str, target: str) -> None:
    """Run every case of a file."""
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
    from graphopt_kernels.cuda.elementwise import elementwise
    from graphopt_kernels.cuda.matmul import matmul

    given, results = np.load(source), dict[str, np.ndarray]()
    for name in sorted({key.split("/")[0] for key in given.files}):
        inputs = [given[f"{name}/{i}"] for i in range(99) if f"{name}/{i}" in given.files]
        outputs = [given[f"{name}/out/{i}"] for i in range(99) if f"{name}/out/{i}" in given.files]
        kind = str(given[f"{name}/kind"])
        if kind == "matmul":
            matmul(*inputs, *outputs)
        else:
            elementwise(kind, inputs, outputs)
        results |= {f"{name}/out/{i}": output for i, output in enumerate(outputs)}
    np.savez(target, allow_pickle=False, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
