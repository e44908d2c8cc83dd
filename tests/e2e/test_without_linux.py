"""The daemon in a Python without what macOS lacks. It is not macOS: names and calls are taken away or played."""

import os
from pathlib import Path

import pytest

from tests.e2e import install as install_module
from tests.e2e.install import NOERROR, NXDOMAIN, ROOT, Install, wait_until
from tests.e2e.stub import Stub

LIKE_MACOS = """
import os, select, socket, struct, time

_real, _peer = socket.socket.getsockopt, socket.SO_PEERCRED

def getsockopt(self, level, option, *size):
    if (level, option) != (0, socket.LOCAL_PEERCRED) or self.family != socket.AF_UNIX:
        return _real(self, level, option, *size)
    uid = struct.unpack("3i", _real(self, socket.SOL_SOCKET, _peer, 12))[1]
    return struct.pack("=IIhxx16I", 0, uid, 1, *[0] * 16)[: size[0]]

for module, names in (
    (socket, "SOCK_CLOEXEC SOCK_NONBLOCK SO_PEERCRED"),
    (os, "posix_fallocate fdatasync pipe2 eventfd memfd_create posix_fadvise sched_getaffinity getxattr pidfd_open"),
    (select, "epoll"),
    (time, "CLOCK_BOOTTIME"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
socket.LOCAL_PEERCRED = 1
socket.socket.getsockopt = getsockopt
"""


def test_the_daemon_needs_nothing_that_only_linux_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(LIKE_MACOS)
    monkeypatch.setattr(
        install_module, "environment", lambda: {**os.environ, "PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}"}
    )
    with Stub() as stub:
        install = Install(tmp_path, stub.port)
        install.configure(install.add_list("mine", "listed.test\n"))
        install.run()
        try:
            assert install.ask("www.listed.test").rcode == NXDOMAIN
            assert install.ask("open.test").rcode == NOERROR
            assert install.ask_tcp("open.test").rcode == NOERROR
            wait_until(lambda: install.call("status").returncode == 0, said=install.said)
            assert install.log()[-1]["site"] == "listed.test"
        finally:
            install.end()
        assert "Traceback" not in install.said()
