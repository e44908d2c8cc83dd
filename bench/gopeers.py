"""blocky and dnsproxy, where they are on the PATH or were installed with `python -m bench --install-go-peers`.

Configured by their documentation; the check at the start and the answers' codes decide whether they really block.
Called by lineup.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from bench.peers import Peer
from bench.process import BUILD, say
from bench.server import Server

MODULES = ("github.com/0xERR0R/blocky@latest", "github.com/AdguardTeam/dnsproxy@latest")


def install() -> None:
    """`go install` both below the build folder; what the module proxy refuses is said and left out."""
    go = shutil.which("go")
    for module in MODULES if go else ():
        say(f"go install {module}")
        env = os.environ | {"GOPATH": str(BUILD / "go"), "GOBIN": str(BUILD / "go" / "bin"), "GOFLAGS": "-modcacherw"}
        done = subprocess.run([str(go), "install", module], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            say(f"not installed: {' '.join(done.stderr.split())[-160:]}")


class GoPeer(Peer):
    """A server written in Go: one scheduler thread, as the others have one."""

    def path(self) -> str:
        own = Path(BUILD, "go", "bin", self.program)
        return str(own) if own.exists() else super().path()

    def environment(self) -> dict[str, str] | None:
        return os.environ | {"GOMAXPROCS": "1"}


class Blocky(GoPeer):
    name = "blocky"
    program = "blocky"
    asks = ("version",)
    how = "denylist, exact names"
    query_log: ClassVar[str] = "type: none"

    def prepare(self) -> None:
        (self.folder / "querylog").mkdir()
        self.write(
            "config.yml",
            f"""upstreams:
  groups:
    default: ["tcp+udp:127.0.0.1:{self.setting.upstream}"]
blocking:
  denylists:
    bench: ["{self.setting.names.listed}"]
  clientGroupsBlock:
    default: [bench]
  blockType: nxDomain
  loading:
    refreshPeriod: -1s
    strategy: failOnError
log:
  level: error
queryLog:
  {self.query_log}
ports:
  dns: "127.0.0.1:{self.port}"
""",
        )

    def command(self) -> list[str]:
        return [self.path(), "--config", str(self.folder / "config.yml")]

    def log_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.folder / "querylog").iterdir())


class BlockyLogged(Blocky):
    name = "blocky, log on"
    logs = "each query, CSV"
    query_log = "type: csv\n  target: querylog"


class Dnsproxy(GoPeer):
    name = "dnsproxy"
    program = "dnsproxy"
    how = "hosts file, exact names"
    blocked_rcode = "NOERROR"  # with the address 0.0.0.0

    def missing(self) -> str:
        absent = super().missing()
        if absent:
            return absent
        usage = subprocess.run([self.path(), "--help"], capture_output=True, text=True, check=False)
        return (
            "" if "--upstream" in usage.stdout + usage.stderr else "the dnsproxy here is another program of that name"
        )

    def prepare(self) -> None:
        self.lines("hosts", "0.0.0.0 {}")

    def command(self) -> list[str]:
        upstream = f"127.0.0.1:{self.setting.upstream}"
        where = [
            "--listen=127.0.0.1",
            f"--port={self.port}",
            f"--upstream={upstream}",
            f"--hosts-files={self.folder}/hosts",
        ]
        return [self.path(), *where, "--cache", "--cache-size=16777216"]


PLAIN: tuple[type[Server], ...] = (Blocky, Dnsproxy)
LOGGED: tuple[type[Server], ...] = (BlockyLogged,)
