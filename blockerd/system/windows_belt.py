"""The second belt on Windows: rules of its firewall that refuse 53 and 853 to everybody but blockerd. Pure.

In this firewall a refusal beats a permission, so the exception stands inside the rule: it does not match the identities
of blockerd's services and of the system's own resolver, which asks blockerd, and a VPN's resolver for the VPN's own
names. Rules carry names of ours, by which one command each takes them away. Called by `system.windows`.
"""

import hashlib
import struct

from blockerd.system.nftables import IRC_NNTP
from blockerd.system.registry import powershell, quoted
from blockerd.system.steps import Command, Step
from blockerd.system.wish import Wish

GROUP = "blockerd"
_RESOLVER = "Dnscache"


def belt(wish: Wish, services: tuple[str, ...]) -> tuple[Step, ...]:
    """A rule for each transport, and for known resolvers by HTTPS and chat ports where there are some."""
    spared = exception((*services, _RESOLVER))
    doh = ",".join(quoted(address) for address in wish.doh_addresses)
    found = [
        _rule(f"blockerd-dns-{kind.lower()}", kind, "53,853", f"-LocalUser {quoted(spared)}") for kind in ("UDP", "TCP")
    ]
    if doh:
        found += [
            _rule(f"blockerd-doh-{kind.lower()}", kind, "443", f"-RemoteAddress {doh} -LocalUser {quoted(spared)}")
            for kind in ("UDP", "TCP")
        ]
    if wish.chat_ports:
        found.append(_rule("blockerd-chat", "TCP", ",".join(map(str, IRC_NNTP)), ""))
    return tuple(found)


def exception(services: tuple[str, ...]) -> str:
    """A security descriptor that matches everybody but these services, as the firewall's page "Local principals"
    writes one."""
    return "O:LSD:" + "".join(f"(D;;CC;;;{service_sid(name)})" for name in services) + "(A;;CC;;;WD)"


def service_sid(name: str) -> str:
    """The identity that Windows gives a service: S-1-5-80 and the SHA-1 of its name in upper case."""
    made = hashlib.sha1(name.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    return "S-1-5-80-" + "-".join(map(str, struct.unpack("<5I", made)))


def _rule(name: str, kind: str, ports: str, more: str) -> Command:
    """One of that name that is there already is replaced: an install may be repeated."""
    back = f"Remove-NetFirewallRule -Name {quoted(name)}"
    there = (
        f"{back} -ErrorAction SilentlyContinue; "
        f"New-NetFirewallRule -Name {quoted(name)} -DisplayName {quoted(name)} -Group {quoted(GROUP)} "
        f"-Direction Outbound -Action Block -Protocol {kind} -RemotePort {ports} {more}".rstrip()
    )
    return Command(f"the second belt: {name}", powershell(f"{there} | Out-Null"), powershell(back))
