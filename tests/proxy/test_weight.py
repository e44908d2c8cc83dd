"""The long run: 20 GB streamed through the proxy in pieces of 64 kB leave its memory where it was."""

import json
import subprocess
import sys
from typing import Any

import pytest

from bench.proxy import judged
from tests.e2e.install import ROOT, environment
from tests.e2e.test_proxy import READY
from tests.trials.namespace import ALONE, alone

pytestmark = [
    pytest.mark.soak,
    pytest.mark.needs_tool("curl"),
    pytest.mark.needs_kernel("user namespaces", ALONE),
    pytest.mark.skipif(not READY, reason="the proxy has no environment: make setup-proxy"),
]


def test_twenty_gigabytes_leave_memory_where_it_was():
    command = alone(sys.executable, "-m", "bench.proxy", "--inside", "20")
    done = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, check=True, timeout=900)
    got: dict[str, Any] = json.loads(done.stdout)
    missed = [row for row in judged(got) if not row[3] and row[0].startswith(("memory", "slope", "decision"))]
    assert missed == []
