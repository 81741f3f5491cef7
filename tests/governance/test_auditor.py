"""Who only verifies needs no compiler: nothing of it is imported, so nothing of it need be installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphopt_governance import actions
from graphopt_governance.home import Home

NOT_NEEDED = (
    "numba llvmlite onnx onnxruntime networkx hypothesis ml_dtypes numpy"
    " web3 eth eth_tester eth_keys eth_keyfile rlp trie"
)

SCRIPT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in set({absent!r}.split()):
            raise ModuleNotFoundError(f"there is no {{name}} here", name=name)

sys.meta_path.insert(0, Absent())
sys.argv[0] = "graphopt"
from graphopt.cli.main import main
main()
"""


def graphopt(*arguments: str, home: Home) -> subprocess.CompletedProcess[str]:
    """The command line in a process in which nothing can be imported that verifying does not need."""
    environment = {
        "PATH": os.environ["PATH"],
        "GRAPHOPT_HOME": str(home.folder),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-c", SCRIPT.format(absent=NOT_NEEDED), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def approved(bundle: Path, home: Home) -> Path:
    actions.sign(bundle)
    actions.anchor(bundle)
    return bundle


def test_an_auditor_verifies_without_numba_onnx_networkx_web3_or_a_virtual_machine(approved: Path, home: Home):
    done = graphopt("verify", str(approved), "--json", home=home)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["approved"] is True
    assert told["reasons"] == []
    assert told["proof_age"] == 0
    assert "without consensus" in told["basis"]
    offline = graphopt("verify", str(approved), "--offline", "--max-age", "1h", "--json", home=home)
    assert offline.returncode == 0, offline.stderr
    assert "a proof kept in this home" in json.loads(offline.stdout)["basis"]
    (approved / "weights").write_bytes(b"other")
    assert graphopt("verify", str(approved), home=home).returncode == 10


def test_a_real_chain_is_read_without_web3(approved: Path, home: Home):
    domain = {"chain": "1", "contract": "11" * 20, "first_block": "1", "format": "graphopt/federation/v1"}
    home.federation.write_text(
        json.dumps(
            {
                "agree": "1",
                **domain,
                "endpoints": ["http://127.0.0.1:1/key"],
            },
            sort_keys=True,
            separators=(",", ":"),
        )
    )
    home.federation.chmod(0o600)
    done = graphopt("verify", str(approved), home=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        "graphopt: the node at 127.0.0.1:1 does not answer; nothing is approved unasked"
    )


def test_an_openssf_signature_is_verified_without_them_too(bundle: Path, home: Home, tmp_path: Path):
    actions.sign(bundle)
    (tmp_path / "key.pem").write_text(actions.public_key())
    signature = tmp_path / "model.sig"
    (bundle / "manifest.json").rename(signature)
    done = graphopt(
        "verify", str(bundle), "--signature", str(signature), "--public-key", str(tmp_path / "key.pem"), home=home
    )
    assert done.returncode == 0, done.stderr
