"""The other resolvers of the line-up: the run's list, one thread, the stub as only upstream, else their defaults.

What is not installed is left out with a line that says so. Listed names are blocked with everything below them.
`LOGGED` are the same servers with their own query log on. Called by lineup.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from bench.server import Server

CACHE = 20_000  # for those whose default holds fewer than the 10,000 cached names


class Peer(Server):
    """A resolver of somebody else: finds its program and asks it for its version."""

    asks: ClassVar[tuple[str, ...]] = ("--version",)

    def version(self) -> str:
        done = subprocess.run([self.path(), *self.asks], capture_output=True, text=True, check=False)
        found = re.search(r"\d+\.\d+[\w.+~-]*", re.sub(r"\d+:\d+:\d+", "", done.stdout + done.stderr))
        return found[0] if found else "unknown"

    def missing(self) -> str:
        return "" if self.path() else f"{self.program} is not installed"

    def path(self) -> str:
        """The program's path, sbin included; empty where it is not installed."""
        return shutil.which(self.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin") or ""

    def log_bytes(self) -> int:
        return (
            sum(path.stat().st_size for path in self.folder.glob("*query*log*") if path.is_file())
            if self.logs != "no"
            else 0
        )

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="ascii")
        return path

    def lines(self, name: str, *shapes: str) -> Path:
        """The list written in the server's own syntax: each shape once for every name, `{}` standing for it."""
        path = self.folder / name
        with self.setting.names.listed.open(encoding="ascii") as source, path.open("a", encoding="ascii") as out:
            out.writelines(shape.format(line.rstrip()) + "\n" for line in source for shape in shapes)
        return path


class Unbound(Peer):
    name = "unbound"
    program = "unbound"
    asks = ("-V",)
    how = "local-zone always_nxdomain"
    log_lines: ClassVar[str] = ""

    def prepare(self) -> None:
        zones = self.lines("zones.conf", 'local-zone: "{}" always_nxdomain')
        self.write(
            "unbound.conf",
            f"""server:
  interface: 127.0.0.1
  port: {self.port}
  num-threads: 1
  username: ""
  chroot: ""
  directory: "{self.folder}"
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-ip6: no
  module-config: "iterator"
  do-not-query-localhost: no
  so-rcvbuf: 4m
  {self.log_lines}
  include: "{zones}"
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{self.setting.upstream}
""",
        )

    def command(self) -> list[str]:
        return [self.path(), "-d", "-c", str(self.folder / "unbound.conf")]


class UnboundLogged(Unbound):
    name = "unbound, log on"
    logs = "each query, to a file"
    log_lines = 'log-queries: yes\n  logfile: "query.log"'


class Dnsmasq(Peer):
    name = "dnsmasq"
    program = "dnsmasq"
    how = "local=/x/"
    log_lines: ClassVar[str] = ""

    def prepare(self) -> None:
        self.write(
            "dnsmasq.conf",
            f"port={self.port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nuser=root\npid-file=\n"
            f"server=127.0.0.1#{self.setting.upstream}\ncache-size={CACHE}\ndns-forward-max=1000\n"
            + self.log_lines.format(folder=self.folder),
        )
        self.lines("dnsmasq.conf", "local=/{}/")

    def command(self) -> list[str]:
        return [self.path(), "--keep-in-foreground", f"--conf-file={self.folder}/dnsmasq.conf"]


class DnsmasqLogged(Dnsmasq):
    name = "dnsmasq, log on"
    logs = "each query, to a file"

    log_lines = "log-queries\nlog-facility={folder}/query.log\n"


class Dnsdist(Peer):
    name = "dnsdist"
    program = "dnsdist"
    how = "SuffixMatchNode"
    log_lines: ClassVar[str] = ""

    def prepare(self) -> None:
        self.write(
            "dnsdist.lua",
            f"""setLocal("127.0.0.1:{self.port}")
newServer({{address="127.0.0.1:{self.setting.upstream}", checkInterval=60}})
local listed = newSuffixMatchNode()
for line in io.lines("{self.setting.names.listed}") do listed:add(newDNSName(line)) end
{self.log_lines}
addAction(SuffixMatchNodeRule(listed, true), RCodeAction(DNSRCode.NXDOMAIN))
getPool(""):setCache(newPacketCache({CACHE}))
""",
        )

    def command(self) -> list[str]:
        return [self.path(), "--supervised", "--disable-syslog", "-C", str(self.folder / "dnsdist.lua")]


class DnsdistLogged(Dnsdist):
    name = "dnsdist, log on"
    logs = "each query, binary, to a file"
    log_lines = 'addAction(AllRule(), LogAction("query.log", true, true, true))'


class Recursor(Peer):
    name = "pdns-recursor"
    program = "pdns_recursor"
    how = "RPZ, name and below"

    def prepare(self) -> None:
        zone(self)
        self.write("rpz.lua", f'rpzFile("{self.folder}/list.rpz", {{policyName="bench"}})\n')
        self.write(
            "recursor.conf",
            f"local-address=127.0.0.1\nlocal-port={self.port}\nforward-zones-recurse=.=127.0.0.1:{self.setting.upstream}\n"
            f"dnssec=off\nthreads=1\ndont-query=\ndaemon=no\nwrite-pid=no\nquiet=yes\ndisable-syslog=yes\nloglevel=3\n"
            f"socket-dir={self.folder}\nlua-config-file={self.folder}/rpz.lua\n",
        )

    def command(self) -> list[str]:
        return [self.path(), f"--config-dir={self.folder}"]


class Knot(Peer):
    name = "knot-resolver"
    program = "kresd"
    how = "RPZ, name and below"

    def prepare(self) -> None:
        zone(self)
        self.write(
            "kresd.conf",
            f"""net.listen("127.0.0.1", {self.port}, {{ kind = "dns" }})
net.ipv6 = false
trust_anchors.remove(".")
cache.size = 64 * MB
policy.add(policy.rpz(policy.DENY, "{self.folder}/list.rpz"))
policy.add(policy.all(policy.STUB("127.0.0.1@{self.setting.upstream}")))
""",
        )

    def command(self) -> list[str]:
        return [
            self.path(),
            "--noninteractive",
            "--quiet",
            "--config",
            str(self.folder / "kresd.conf"),
            str(self.folder),
        ]


class Bind(Peer):
    name = "bind9"
    program = "named"
    asks = ("-V",)
    how = "RPZ, name and below"
    log_lines: ClassVar[str] = "querylog no;"

    def prepare(self) -> None:
        zone(self)
        self.write(
            "named.conf",
            f"""options {{
  directory "{self.folder}"; pid-file none; session-keyfile none; lock-file none;
  listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; forward only; forwarders {{ 127.0.0.1 port {self.setting.upstream}; }};
  dnssec-validation no; empty-zones-enable no; {self.log_lines}
  response-policy {{ zone "rpz.bench"; }} qname-wait-recurse no;
}};
logging {{
  channel queries {{ file "query.log"; severity info; print-time yes; }};
  category queries {{ queries; }}; category rpz {{ null; }}; category default {{ default_stderr; }};
}};
controls {{ }};
zone "rpz.bench" {{ type primary; file "list.rpz"; notify no; }};
""",
        )

    def command(self) -> list[str]:
        return [self.path(), "-f", "-n", "1", "-c", str(self.folder / "named.conf")]


class BindLogged(Bind):
    name = "bind9, log on"
    logs = "each query, to a file"
    log_lines = "querylog yes;"


def zone(server: Peer) -> Path:
    """The list as a response policy zone with NXDOMAIN for each name and all below it."""
    server.write(
        "list.rpz",
        "$TTL 60\n$ORIGIN rpz.bench.\n@ SOA localhost. root.localhost. 1 3600 3600 86400 60\n@ NS localhost.\n",
    )
    return server.lines("list.rpz", "{} CNAME .", "*.{} CNAME .")


PLAIN: tuple[type[Server], ...] = (Unbound, Dnsmasq, Dnsdist, Recursor, Knot, Bind)
LOGGED: tuple[type[Server], ...] = (UnboundLogged, DnsmasqLogged, DnsdistLogged, BindLogged)
