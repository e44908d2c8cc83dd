"""While another account is in front the whole daemon filters as ever, and keeps nothing of what is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from blockerd import clock
from blockerd.dns.front import FILE, to_bytes
from blockerd.process import boot_id
from tests.e2e.install import NXDOMAIN, Install, wait_until

MINUTE = 60_000_000


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    install = Install(tmp_path, 9)
    install.configure(install.add_list("mine", "listed.test\n") + '[privacy]\nlevel = "name"\n')
    install.run()
    yield install
    install.end()


def spooled(install: Install) -> dict[str, int]:
    """Octets in each segment of the resolver; control takes those away that are full and stored."""
    return {path.name: path.stat().st_size for path in (install.var / "spool").glob("dns-*.seg")}


def grown(before: dict[str, int], after: dict[str, int]) -> bool:
    """True if anything was written in between."""
    return any(size > before.get(name, 0) for name, size in after.items())


def keeps(install: Install, name: str) -> bool:
    """True if a question for `name`, which is refused, leaves anything in the spool before it is answered."""
    before = spooled(install)
    assert install.ask(name).rcode == NXDOMAIN
    return grown(before, spooled(install))


def test_what_another_account_asks_is_refused_and_never_touches_the_disk(install: Install):
    file = install.var / "run" / FILE
    wait_until(file.exists, said=install.said)
    assert keeps(install, "mine.listed.test")
    beside = file.with_suffix(".test")
    beside.write_bytes(to_bytes(boot_id(), clock.boottime_us() + 5 * MINUTE))
    beside.replace(file)
    wait_until(lambda: not keeps(install, "between.listed.test"), said=install.said)
    before = spooled(install)
    for number in range(50):
        assert install.ask(f"theirs-{number}.listed.test", 1 + number % 2 * 27).rcode == NXDOMAIN
        assert install.ask_tcp(f"theirs-{number}.listed.test").rcode == NXDOMAIN
    assert not grown(before, spooled(install))
    assert "another one is in front: filtered, not recorded" in install.call("status").stdout
    beside.write_bytes(to_bytes(boot_id(), 0))
    beside.replace(file)
    wait_until(lambda: keeps(install, "mine-again.listed.test"), said=install.said)
    wait_until(lambda: "mine-again" in str(install.log()), said=install.said)
    assert "Account" not in install.call("status").stdout
    content = b"".join(path.read_bytes() for path in install.var.rglob("*") if path.is_file())
    assert b"mine-again" in content
    assert b"theirs-" not in content
