"""Judges what a self-probe saw: does the machine still ask blockerd, and what has changed beside it. Pure.

A path that slipped is a loss of coverage: it is put on record and in the next report, in plain words, and nothing is
switched off for it. Called by `cli.install`, `doctor` and whoever probes each minute.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from blockerd.system.browsers import holds, overruled
from blockerd.system.picture import Machine, loopback
from blockerd.system.steps import digest
from blockerd.system.wish import BrowserWish

OURS = ("there 127.0.0.1", "there ::1")
"""What blockerd, and no other resolver, lets getaddrinfo say to a name of the self-probe (`system.probe.ZONE`)."""


class Answer(StrEnum):
    """What a resolver said to the test name."""

    FILTERED = "filtered"
    OPEN = "open"
    NONE = "no answer"


@dataclass(frozen=True, slots=True)
class Seen:
    """One probe. `system` is what getaddrinfo said to made-up names that blockerd alone answers (`OURS`).

    `stub`, `network` and `doh` are None where they were not asked; `belt` says whether the second belt should shut
    the last two.
    """

    system: tuple[str, ...]
    direct: Answer
    stub: Answer | None = None
    network: Answer | None = None
    doh: bool | None = None
    belt: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What a person should know: `loss` where the filter could be walked past unseen; `key` is the same each time."""

    key: str
    text: str
    loss: bool


def judge(seen: Seen) -> list[Finding]:
    """What one probe shows; empty where all is as it should be."""
    found = []
    if seen.direct is Answer.NONE:
        found.append(Finding("dead", "the filter does not answer", True))
    elif seen.direct is Answer.OPEN:
        found.append(Finding("open", "the filter answers, but lets the test name through", True))
    if all(each == "again" for each in seen.system):
        found.append(Finding("no-dns", "programs get no answers at all", False))
    elif not any(each in OURS for each in seen.system):
        found.append(Finding("elsewhere", "programs ask another resolver than blockerd", True))
    if seen.stub is Answer.OPEN:
        found.append(Finding("stub", "systemd-resolved asks another resolver than blockerd", True))
    if seen.belt and seen.network is Answer.OPEN:
        found.append(Finding("belt-53", "the second belt is off: the network's resolver can be asked past it", True))
    if seen.belt and seen.doh:
        found.append(Finding("belt-443", "the second belt is off: a resolver by HTTPS can be reached", True))
    return found


def compare(
    now: Machine, known: Iterable[str], wish: BrowserWish | None, listen: Iterable[str] = ("127.0.0.1", "::1")
) -> list[Finding]:
    """What of the machine is not as an install left it; `known` are links that were there then."""
    found = []
    others = [address for address in now.resolvers if not loopback([address]) and address not in tuple(listen)]
    if others:
        found.append(Finding("resolvers", f"the system names other resolvers: {', '.join(others)}", True))
    found += [
        Finding(f"vpn-{link.name}", f"a VPN is up: {link.name}", True)
        for link in now.links
        if link.tunnel and link.up and link.name not in tuple(known)
    ]
    if wish is not None:
        found += [
            Finding(f"policy-{b.vendor.name.lower()}", f"{b.vendor}: its policy was taken away or changed", True)
            for b in now.browsers
            if not holds(b.content, b.vendor, wish)
        ]
        found += [
            Finding(f"policy-{b.vendor.name.lower()}-over", f"{b.vendor}: {name} overrules its policy", True)
            for b in now.browsers
            if (name := overruled(b, wish))
        ]
    return found


def hosts_digest(machine: Machine) -> str:
    """What /etc/hosts is remembered by."""
    return digest(machine.file("/etc/hosts") or b"")


def hosts(then: object, now: Machine) -> list[Finding]:
    """Whether /etc/hosts is another than when it had the digest `then`."""
    return [Finding("hosts", "/etc/hosts was edited", False)] if then != hosts_digest(now) else []


def proxies(environment: Iterable[tuple[str, str]], own: str = "") -> list[Finding]:
    """Proxy variables that lead away from this machine; `own` is the address of blockerd's own proxy."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    return [
        Finding("proxy", f"a proxy is set: {name}", True)
        for name, value in environment
        if name.lower() in names and value and not (own and own in value)
    ]
