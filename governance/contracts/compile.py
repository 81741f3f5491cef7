"""Compile the contract and write the artifact that ships with the package.  Needs vyper (`pip install vyper==0.4.3`).

    python governance/contracts/compile.py

The artifact is reproducible: a test compiles again and compares.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak

SOURCE = Path(__file__).parent / "Federation.vy"
ARTIFACT = Path(__file__).parents[1] / "graphopt_governance" / "federation.json"


def compile_contract(source: Path, vyper: str = "vyper") -> dict[str, Any]:
    """The artifact of the contract at `source`: code, interface, storage slots, and what it was made from."""
    formats = "abi,bytecode,bytecode_runtime,layout"
    done = subprocess.run([vyper, "-f", formats, source.name], cwd=source.parent, capture_output=True, check=True)
    abi, bytecode, runtime, layout = done.stdout.decode().strip().splitlines()
    version = subprocess.run([vyper, "--version"], capture_output=True, check=True).stdout.decode().strip()
    return {
        "source": source.name,
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "compiler": f"vyper {version}",
        "code_hash": keccak(bytes.fromhex(runtime[2:])).hex(),
        "layout": {name: item["slot"] for name, item in json.loads(layout)["storage_layout"].items()},
        "abi": json.loads(abi),
        "bytecode": bytecode,
    }


def to_text(artifact: dict[str, Any]) -> str:
    """The artifact as the file holds it."""
    return json.dumps(artifact, indent=1) + "\n"


if __name__ == "__main__":
    ARTIFACT.write_text(to_text(compile_contract(SOURCE)))
