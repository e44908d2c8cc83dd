"""Imports go one way, pure modules stay pure, and each heavy library has one home.

The tables are the law of the tree; a new top-level module is given its layer here before it may be imported. The rules
look at what exists, so a file is judged from its first day.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOT, imports, module_name, python_files, tree, where

# From the top down: a module may import its own layer and those below it. The longest matching name counts.
# In the layers of APART packages do not import each other: whoever starts a process introduces them.
COMMAND, SUPERVISOR, STARTED, EDGE, CORE, RECORD = range(6, 0, -1)
LAYERS = {
    "blockerd.__main__": COMMAND,
    "blockerd.cli": COMMAND,
    "blockerd.supervisor": SUPERVISOR,
    "blockerd.web": STARTED,
    "blockerd.jobs": STARTED,
    "blockerd.control": SUPERVISOR,  # it introduces jobs and edges to each other in its process
    "blockerd.dns.following": STARTED,
    "blockerd.dns.listener": STARTED,
    "blockerd.dns.process": STARTED,
    "blockerd.proxy.addon": STARTED,
    **dict.fromkeys((f"blockerd.proxy.{name}" for name in ("gate", "process", "record", "rulesource")), STARTED),
    "blockerd.screentime.agent": STARTED,
    "blockerd.lists": EDGE,
    "blockerd.dns": EDGE,
    "blockerd.proxy": EDGE,
    "blockerd.screentime": EDGE,
    "blockerd.journal": EDGE,
    "blockerd.binding": EDGE,
    "blockerd.report": EDGE,
    "blockerd.system": EDGE,
    "blockerd.process": EDGE,
    "blockerd.dns.stub": CORE,  # not pure (it asks), yet all look names up by it before there is a resolver
    "blockerd.settings": CORE,  # not pure (it reads the file), yet binding.change asks it which way is weaker
    "blockerd": RECORD,  # only the version
    "blockerd.model": RECORD,
    "blockerd.clock": RECORD,
    "blockerd.data": RECORD,
}
APART = {STARTED, EDGE}

# The core: no socket, file, thread, clock, chance or environment; all of it comes in as parameters.
PURE = {
    "blockerd.policy",
    "blockerd.lists.formats",
    "blockerd.lists.verdict",
    "blockerd.lists.canary",
    "blockerd.dns.wire",
    "blockerd.dns.message",
    "blockerd.dns.cache",
    "blockerd.dns.engine",
    "blockerd.dns.gate",
    "blockerd.dns.glance",
    "blockerd.dns.reply",
    "blockerd.dns.special",
    "blockerd.dns.safesearch",
    "blockerd.dns.exchange",
    "blockerd.dns.private",
    "blockerd.dns.svcb",
    "blockerd.dns.clients",
    *(f"blockerd.proxy.{name}" for name in ("blockpage", "decide_url", "doubt", "modes", "never", "pac", "rulefile")),
    *(f"blockerd.proxy.{name}" for name in ("url", "urlrule")),
    "blockerd.proxy.words",
    "blockerd.screentime.heartbeat",
    "blockerd.screentime.afk",
    *(f"blockerd.screentime.{name}" for name in ("budgets", "export", "facts", "intake", "notice", "sites")),
    *(f"blockerd.screentime.{name}" for name in ("store", "sums", "titles", "track", "usage")),
    "blockerd.journal.merkle",
    *(f"blockerd.journal.{name}" for name in ("entry", "merge", "sums")),
    "blockerd.binding.change",
    "blockerd.report.evidence",
    "blockerd.report.period",
    "blockerd.report.summarise",
    "blockerd.report.render",
    *(f"blockerd.report.{name}" for name in ("blocks", "catalogue", "charts", "compose", "due", "helplines", "letter")),
    *(f"blockerd.report.{name}" for name in ("mail_html", "mail_text", "pairing", "roles", "safe", "sections", "week")),
    *(f"blockerd.report.{name}" for name in ("mime", "partner", "protected", "service")),
    "blockerd.report.coverage",
    "blockerd.report.placing",
    "blockerd.report.signs",
    "blockerd.report.requests",
    "blockerd.report.episodes",
    "blockerd.report.daily",
    "blockerd.report.tunnels",
    "blockerd.report.words",
    *(f"blockerd.system.{name}" for name in ("browsers", "dhclient", "doctor", "doh", "drift", "merge", "networkd")),
    *(
        f"blockerd.system.{name}"
        for name in ("networkmanager", "nftables", "notice", "picture", "plan", "portal", "rescue")
    ),
    *(f"blockerd.system.{name}" for name in ("resolvconf", "resolved", "steps", "units", "watched", "wish")),
    *(f"blockerd.system.windows{part}" for part in ("", "_belt", "_picture", "_policies")),
    "blockerd.system.trust",
    *(f"blockerd.system.{name}" for name in ("macos", "macos_belt", "macos_browsers", "macos_picture", "registry")),
    "blockerd.web.views",
}
IMPURE = {
    *("asyncio", "concurrent", "multiprocessing", "selectors", "select", "signal", "subprocess", "threading"),
    *("ctypes", "fcntl", "glob", "logging", "mmap", "os", "psutil", "shutil", "tempfile"),
    *("http", "socket", "socketserver", "ssl", "urllib.request"),
    *("apscheduler", "apsw", "sqlite3"),
    *("random", "secrets", "time", "uuid"),
}
IMPURE_CALLS = {"open", "input", "print"}

HOMES = {
    "dnslib": "blockerd.dns.message",
    "apsw": "blockerd.journal",
    "mitmproxy": "blockerd.proxy.addon",
    "apscheduler": "blockerd.jobs",
}
# What the `dns` process must not have loaded when it answers its first query. (asyncio brings ssl in by itself, so that
# one is asked of the sources instead.)
NOT_IN_DNS = {
    *("apsw", "apscheduler", "mitmproxy", "sqlite3"),
    *("aiohttp", "h2", "http.client", "httpx", "httpx2", "jinja2", "requests", "urllib.request"),
}

SOURCES = {path: module_name(path) for path in python_files("blockerd")}


def test_every_module_has_a_layer():
    assert [name for name in SOURCES.values() if not _layer(name)] == [], "add it to LAYERS"


def test_imports_go_down_the_layers():
    """An import for types counts too: it is knowledge of the other module all the same."""
    assert [
        f"{where(path, found.line)} imports {found.module}"
        for path, name in SOURCES.items()
        for found in imports(path)
        if _within(found.module, {"blockerd"}) and not _may_import(name, found.module)
    ] == [], "up the layers, or from one edge to another"


def test_pure_modules_import_nothing_that_touches_the_world():
    assert [
        f"{where(path, found.line)} imports {found.module}"
        for path, name in SOURCES.items()
        for found in imports(path)
        if _within(name, PURE) and found.runtime and _within(found.module, IMPURE)
    ] == [], "pure modules take these as parameters"


def test_pure_modules_open_and_print_nothing():
    assert [
        f"{where(path, node.lineno)} calls {node.func.id}"
        for path, name in SOURCES.items()
        if _within(name, PURE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS
    ] == []


def test_a_heavy_library_is_imported_at_home_only():
    assert [
        f"{where(path, found.line)} imports {library}, whose home is {home}"
        for path, name in SOURCES.items()
        for found in imports(path)
        for library, home in HOMES.items()
        if _within(found.module, {library}) and not _within(name, {home})
    ] == []


def test_dns_loads_ssl_and_http_only_when_an_upstream_wants_them():
    assert [
        f"{where(path, found.line)} imports {found.module}"
        for path in python_files("blockerd/dns")
        for found in imports(path)
        if found.top and found.runtime and _within(found.module, {"ssl", "http", "urllib.request"})
    ] == [], "import it inside the function that opens the connection"


def test_the_dns_process_starts_without_databases_jobs_and_http():
    modules = [module_name(path) for path in python_files("blockerd/dns")]
    code = f"import sys\nimport {', '.join(['blockerd', *modules])}\nprint(*sys.modules)"
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    heavy = set(done.stdout.split()) & NOT_IN_DNS
    assert not heavy, "loaded before the first answer (the importer stands below it):\n" + _lines(heavy, done.stderr)


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("blockerd.cli.log", "blockerd.supervisor", True),
        ("blockerd.dns.listener", "blockerd.journal.spool", True),
        ("blockerd.lists.build", "blockerd.lists.snapshot", True),
        ("blockerd.journal.append", "blockerd.journal.merkle", True),
        ("blockerd.dns.engine", "blockerd.policy.decide", True),
        ("blockerd.policy.decide", "blockerd.model", True),
        ("blockerd.journal.read", "blockerd.lists.catalogue", False),
        ("blockerd.web.app", "blockerd.jobs", False),
        ("blockerd.dns.upstream", "blockerd.dns.listener", False),
        ("blockerd.policy.decide", "blockerd.lists.snapshot", False),
        ("blockerd.model", "blockerd.policy.name", False),
        ("blockerd.supervisor", "blockerd.cli.main", False),
    ],
)
def test_the_layers_say_who_may_import_whom(importer: str, imported: str, allowed: bool):
    assert _may_import(importer, imported) is allowed


def test_an_import_is_seen_wherever_it_stands(tmp_path: Path):
    source = tmp_path / "sample.py"
    source.write_text(
        "import os.path\nif TYPE_CHECKING:\n    import ssl\ntry:\n    import a\nexcept ImportError:\n    import b\n"
        "class C:\n    async def f(self):\n        with x:\n            from http import client\n"
    )
    seen = [(found.module, found.runtime, found.top) for found in imports(source)]
    assert seen == [
        ("os.path", True, True),
        ("ssl", False, True),
        ("a", True, True),
        ("b", True, True),
        ("http", True, False),
    ]


def _may_import(importer: str, imported: str) -> bool:
    upper, lower = _layer(importer), _layer(imported)
    if upper == lower and upper in APART:
        return _part(importer) == _part(imported)
    return upper >= lower


def _layer(module: str) -> int:
    """0 where the tables do not know the module."""
    if _within(module, PURE):
        return CORE
    known = [name for name in LAYERS if module == name or (name != "blockerd" and module.startswith(name + "."))]
    return LAYERS[max(known, key=len)] if known else 0


def _part(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _within(module: str, names: set[str]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in names)


def _lines(modules: set[str], importtime: str) -> str:
    lines = importtime.splitlines()
    hits = [at for at, line in enumerate(lines) if line.rsplit("|", 1)[-1].strip() in modules]
    return "\n".join(line for at in hits for line in lines[at : at + 4])
