"""client.js has its tests in *.test.mjs; here they are run, by Node, one file each."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda file: file.name)
def test_the_client(file: Path) -> None:
    """Whatever fails is said in what Node writes."""
    node = shutil.which("node")
    assert node, "node is not installed; apt-get install nodejs, or let `make test` do it"
    outcome = subprocess.run([node, "--test", "--test-reporter=tap", file], capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "# fail 0" in outcome.stdout
    assert "# pass 0" not in outcome.stdout
