"""The proxy's figures: download rate against bare mitmdump, time of a decision, memory while streaming, DNS beside it.

`python -m bench.proxy [GB]` makes a network of its own (user namespaces), for the proxy reaches no loopback. The
origin and the clients are processes of their own; GB is how much is streamed for the memory (1; the soak test: 20).
Writes its section of RESULTS.md. Needs the proxy's environment: `make setup-proxy`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import results
from bench.names import generate
from blockerd.lists.guard import guard_of
from blockerd.lists.state import open_policy
from blockerd.policy.name import from_text
from blockerd.proxy.decide_url import decide_url
from blockerd.proxy.environment import Environment, checkout_folder, version
from blockerd.proxy.process import command, resident
from blockerd.proxy.shipped import load as load_rules
from blockerd.proxy.url import of
from blockerd.settings import load
from tests.e2e.install import Install, free_port, wait_until
from tests.e2e.stub import ADDRESS, Stub
from tests.fakes.origin import Origin

NAMES, ROUNDS, MEGABYTES, STREAMS = 1_000_000, 5, 64, 8
LINE = 12
"""MB/s a stream where all together fill a line (8 of them: 770 Mbit/s) and not the two cores of the machine."""
LIMITS = {"rate": 0.8, "decision": 50.0, "rss": 300.0, "dns": 1.5}


def main(words: Sequence[str]) -> int:
    """Runs in a namespace of its own; 1 where a figure misses its limit."""
    if "--inside" in words:
        sys.stdout.write(json.dumps(inside(float(words[-1]))))
        return 0
    gigabytes = words[0] if words else "1"
    here = [sys.executable, "-m", "bench.proxy", "--inside", gigabytes]
    alone = ["unshare", "--user", "--map-root-user", "--net", "--mount", *here]
    done = subprocess.run(alone, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        return 1
    got: dict[str, Any] = json.loads(done.stdout)
    lines = told(got)
    print("\n".join(lines))
    results.write("proxy", "The HTTPS proxy", lines)
    return 0 if all(good for _, _, _, good in judged(got)) else 1


def inside(gigabytes: float) -> dict[str, Any]:
    """All figures."""
    for step in (("link", "set", "lo", "up"), ("addr", "add", f"{ADDRESS}/32", "dev", "lo")):
        subprocess.run(["ip", *step], check=True, capture_output=True)
    folder = checkout_folder()
    if folder is None or not Environment(folder).ready:
        raise SystemExit("the proxy has no environment: make setup-proxy")
    with tempfile.TemporaryDirectory() as name, Stub() as stub, _origin(Path(name)):
        install = Install(Path(name), stub.port)
        port = free_port()
        source = install.add_list("many", "\n".join(generate(NAMES)) + "\n")
        install.configure(f'{source}[proxy]\nlisten = "127.0.0.1:{port}"\n')
        install.start("run")
        install.wait_answering(120)
        try:
            got: dict[str, Any] = {"mitmproxy": version(Environment(folder)), "decision": decision(install)}
            words = command(load(install.file, {}, install.folder), Environment(folder))
            with _proxy(words, port) as pid:
                got |= rates(folder, port, install.folder)
                got["dns"] = beside(install, port)
                got |= weight(pid, port, gigabytes)
        finally:
            install.end()
    return got


def decision(install: Install) -> dict[str, float]:
    """µs for one decision of the gate's kind: host by name and page rules, over as many names as listed ones."""
    settings = load(install.file, {}, install.folder)
    policy, pages = open_policy(settings.state.dir, guard_of(settings)), load_rules(Path("/"), safe_search=True).pages
    listed = list(generate(2000))
    urls = [of("https", host, 443, "/r/some/page?x=1") for name in listed for host in (name, f"www.x{name}")]
    urls += [of("https", "www.reddit.com", 443, f"/r/harmless/{number}") for number in range(1000)]
    took: list[float] = []
    for _ in range(3):
        for url in urls:
            began = time.perf_counter()
            decide_url(policy, pages, url, 0.0)
            took.append((time.perf_counter() - began) * 1e6)
    took.sort()
    return {"p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100]}


def rates(folder: Path, port: int, work: Path) -> dict[str, list[float]]:
    """MB/s of a 64 MB download through ours and through bare mitmdump that passes everything, in turn."""
    bare = free_port()
    words = [str(folder / "bin" / "mitmdump"), "-q", "--set", f"confdir={work / 'bare'}", "--listen-host", "127.0.0.1",
             "--listen-port", str(bare), "--ignore-hosts", ".*", "--set", "connection_strategy=lazy"]  # fmt: skip
    with _proxy(words, bare):
        _download(bare), _download(port)
        pairs = [(_download(port), _download(bare)) for _ in range(ROUNDS)]
    return {"ours": [one for one, _ in pairs], "bare": [one for _, one in pairs]}


def beside(install: Install, port: int) -> dict[str, float]:
    """p99 in ms of DNS answers: alone, beside streams without the proxy and the same through it; those as fast as they
    go, and as fast as a line."""
    found = {"alone": _asked(install.port, 4000)}
    for speed, limit in (("", 0), ("line ", LINE)):
        for what, way in (("direct", 0), ("busy", port)):
            streams = [_curl(way, 8192, limit) for _ in range(STREAMS)]
            found[speed + what] = _asked(install.port, 4000)
            if any(one.poll() is not None for one in streams):
                raise SystemExit(f"streams ended before their time: {what}")
            for one in streams:
                one.kill()
                one.wait()
    return found


def weight(pid: int, port: int, gigabytes: float) -> dict[str, Any]:
    """Resident MB of mitmdump while so much is streamed: the highest, and MB per GB over the second half."""
    seen: list[tuple[float, float]] = []
    for number in range(max(1, round(gigabytes * 4))):
        stream = _curl(port, 256)
        while stream.poll() is None:
            time.sleep(0.2)  # polls with a limit
            seen.append((number / 4, resident(pid) / 2**20))
        if stream.returncode:
            raise SystemExit(f"a stream ended with {stream.returncode}")
    half = [one for one in seen if one[0] >= seen[-1][0] / 2]
    return {"gigabytes": gigabytes, "rss": max(rss for _, rss in seen), "slope": _slope(half)}


def told(got: dict[str, Any]) -> list[str]:
    """The figures as a table."""
    rows = [(what, value, limit, "yes" if good else "no") for what, value, limit, good in judged(got)]
    return [f"mitmproxy {got['mitmproxy']}", "", *results.table(("figure", "measured", "limit", "kept"), rows)]


def judged(got: dict[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """What was measured, against which limit, and whether that is kept."""
    ours, bare = results.median(got["ours"]), results.median(got["bare"])
    rate = ours / bare
    yield (
        f"{MEGABYTES} MB, passed: {ours:.0f} MB/s, bare {bare:.0f} MB/s",
        f"{rate:.2f}",
        "≥ 0.80",
        rate >= LIMITS["rate"],
    )
    took = got["decision"]
    text = f"{took['p50']:.1f} µs (p99 {took['p99']:.1f})"
    yield f"decision, {NAMES:,} names", text, "≤ 50 µs", took["p50"] <= LIMITS["decision"]
    rss = f"{got['rss']:.0f} MB"
    yield f"memory, {got['gigabytes']:g} GB streamed", rss, "≤ 300 MB", got["rss"] <= LIMITS["rss"]
    yield "slope in the second half", f"{got['slope']:+.2f} MB/GB", "0", abs(got["slope"]) < 1
    dns = got["dns"]
    for speed, how in (("line ", f"of {LINE} MB/s"), ("", "that fill both cores")):
        busy, direct = dns[f"{speed}busy"], dns[f"{speed}direct"]
        text = f"{busy:.2f} ms, without the proxy {direct:.2f} ms, no streams {dns['alone']:.2f} ms"
        yield f"DNS p99 beside {STREAMS} streams {how}", text, "≤ 1.5x", busy <= LIMITS["dns"] * direct


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Least squares; 0 for fewer than two different places."""
    middle_x, middle_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    below = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / below if below else 0.0


def _download(port: int) -> float:
    began = time.perf_counter()
    if _curl(port, MEGABYTES).wait() != 0:
        raise SystemExit("a download did not end well")
    return MEGABYTES / (time.perf_counter() - began)


def _curl(port: int, megabytes: int, limit: int = 0) -> subprocess.Popen[bytes]:
    """Downloads through the proxy on `port` (0: without one), at most `limit` MB/s (0: as fast as it goes)."""
    way = ["-x", f"http://127.0.0.1:{port}"] if port else []
    way += ["--limit-rate", f"{limit}M"] if limit else []
    words = ["curl", "-sk", "--http1.1", "-o", "/dev/null", *way, f"https://{ADDRESS}/big?{megabytes}"]
    return subprocess.Popen(words)


def _asked(port: int, count: int) -> float:
    """p99 in ms over `count` questions, one after the other."""
    took = []
    query = b"\0\1\1\0\0\1" + bytes(6) + from_text("blocked.example") + b"\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(5)
        for _ in range(count):
            began = time.perf_counter()
            sock.send(query)
            sock.recv(512)
            took.append((time.perf_counter() - began) * 1000)
            time.sleep(0.0005)  # the pace of the questions
    return sorted(took)[count * 99 // 100]


@contextmanager
def _proxy(words: Sequence[str], port: int) -> Iterator[int]:
    """A mitmdump on `port`; its pid."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    process = subprocess.Popen(words, env=environment)
    try:
        wait_until(lambda: _listens(port), 30)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def _origin(folder: Path) -> Iterator[None]:
    """The origin in a process of its own, so that it takes no turn from the clients."""
    pid = os.fork()
    if pid == 0:
        with Origin(folder, ADDRESS, ("open.test",), 443, 80):
            threading.Event().wait()
    try:
        wait_until(lambda: _listens(443, ADDRESS), 10)
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _listens(port: int, address: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((address, port), 0.5).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
