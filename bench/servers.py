"""blockerd itself and the floor, as servers of a run. Called by every benchmark; see peers for the others."""

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from bench.process import BenchError, compiled
from bench.server import Server

CONFIG = """\
[state]
dir = "state"
[dns]
listen = ["127.0.0.1:{port}"]
upstreams = ["127.0.0.1:{upstream}"]
spool_mb = 4096
[lists]
starter = false
categories = ["adult"]
[[lists.source]]
id = "bench"
category = "adult"
path = "{path}"
format = "domains"
max_bytes = 268435456
"""


class Floor(Server):
    """The C echo: no names, no filtering, no log."""

    name = "floor"
    how = "C echo, recvmmsg/sendmmsg"
    echoes = True
    batch: ClassVar[int] = 64

    def missing(self) -> str:
        return ""

    def command(self) -> list[str]:
        return [compiled("floor"), str(self.port), str(self.batch)]

    def mean_batch(self) -> float:
        """End the floor and read how many packets one receive call brought on average."""
        self.stop()
        words = (self.folder / "output").read_text().split()
        return int(words[-1]) / max(1, int(words[-2])) if len(words) > 1 else 0.0


class Single(Floor):
    """The same echo with one packet a call: how far the batch itself matters."""

    name = "floor batch 1"
    how = "C echo, one packet a call"
    batch = 1


class Blockerd(Server):
    """The DNS process alone, with a policy built beforehand."""

    name = "blockerd"
    logs = "every attempt, to disk"
    how = "mmapped table"
    words: ClassVar[tuple[str, ...]] = ("dns",)
    checkout: Path = Path(__file__).parent.parent

    def missing(self) -> str:
        done = self.run("version")
        return (
            "" if done.returncode == 0 else f"blockerd does not run with {sys.executable}: {done.stderr.strip()[-120:]}"
        )

    def version(self) -> str:
        return f"{self.run('version').stdout.strip()} (Python {sys.version.split()[0]})"

    @property
    def config(self) -> Path:
        return self.folder / "blockerd.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def configure(self, listed: Path) -> None:
        """Write the configuration with this list as its only source."""
        text = CONFIG.format(port=self.port, upstream=self.setting.upstream, path=listed)
        self.config.write_text(text, encoding="utf-8")

    def prepare(self) -> None:
        self.configure(self.setting.names.listed)
        self.build()

    def build(self) -> None:
        """`lists build` for the configured source."""
        done = self.run("lists", "build")
        if done.returncode:
            raise BenchError(
                f"blockerd: lists build ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}"
            )

    def command(self) -> list[str]:
        return [*self.program_words(), *self.words]

    def environment(self) -> dict[str, str] | None:
        return checkout_environment(self.checkout)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One blockerd command with this server's configuration, to its end."""
        return subprocess.run(
            [*self.program_words(), *words],
            capture_output=True,
            text=True,
            env=self.environment(),
            cwd=self.checkout,
            check=False,
        )

    def log_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.state / "spool").glob("*") if path.is_file())

    def program_words(self) -> list[str]:
        """How this checkout's blockerd is called with this server's configuration."""
        return [sys.executable, "-m", "blockerd", *(["--config", str(self.config)] if self.config.exists() else [])]


class Daemon(Blockerd):
    """`blockerd run`: the supervisor with dns and control, on all cores."""

    name = "blockerd run"
    core = ""
    words = ("run",)


def checkout_environment(checkout: Path) -> dict[str, str]:
    """The caller's environment, `checkout` first on the import path, without the caller's own configuration."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BLOCKERD_")}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [str(checkout), kept.get("PYTHONPATH", "")]))}
