"""A checkout where only `make test` was called, without what `make setup-agent` brings: the suite runs all the same."""

import os
import subprocess
import sys

from tests.house.sources import ROOT

OF_THE_AGENT = ("xcffib", "jeepney")
"""What [agent] has that no other part installs (pyproject.toml)."""

COLLECT = f"""
import sys
for name in {OF_THE_AGENT}:
    sys.modules[name] = None  # an import of it then fails as if it were not installed
import pytest
sys.exit(pytest.main(["--collect-only", "--quiet", "-p", "no:cacheprovider"]))
"""


def test_every_test_file_is_read_without_what_only_the_agent_needs():
    command = [sys.executable, "-c", COLLECT]
    environment = {
        name: value for name, value in os.environ.items() if name != "CI"
    }  # which would call a skip an error
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "error" not in done.stdout.splitlines()[-1]
