"""The second belt: one table of the packet filter, which one `delete` takes away. Pure.

Questions that programs send to resolvers of their own are turned to blockerd, or refused over a family that it does not
listen on; DNS over TLS and QUIC is refused, and known DoH addresses on 443; IRC and NNTP by choice. blockerd itself
passes. It sees addresses and ports, never content. Called by `system.plan`; `system.watchdog` lets the fallback
resolver through.
"""

from blockerd.system.picture import Machine
from blockerd.system.steps import Command, File, Link, Step
from blockerd.system.units import belt_unit, start, unit_path, wanted_by
from blockerd.system.wish import Wish

RULES = "/etc/blockerd/belt.nft"
TABLE = ("inet", "blockerd")
DELETE = ("nft", "delete", "table", *TABLE)
UNIT = "blockerd-belt.service"
IRC_NNTP = (119, 194, 433, 563, 6660, 6661, 6662, 6663, 6664, 6665, 6666, 6667, 6668, 6669, 6697)


def belt(machine: Machine, wish: Wish) -> tuple[Step, ...]:
    """The rules, a unit that loads them at each start of the machine, and the loading itself."""
    return (
        File("the rules of the second belt", RULES, rules(wish).encode()),
        Command("systemd reads its units again", inverse=("systemctl", "daemon-reload")),
        File("the unit of the second belt", unit_path(UNIT), belt_unit(RULES).encode()),
        Link("the second belt at each start", wanted_by("multi-user.target", UNIT), unit_path(UNIT)),
        Command("systemd reads its units again", forward=("systemctl", "daemon-reload")),
        start(machine, UNIT),
    )


def rules(wish: Wish) -> str:
    """A file for `nft -f`; loading it again replaces the table."""
    user = f'meta skuid "{wish.places.user}"'
    doh4 = [address for address in wish.doh_addresses if ":" not in address]
    doh6 = [address for address in wish.doh_addresses if ":" in address]
    filtered = [
        *_unheard(wish),
        *_reject("tcp dport 853", "udp dport 853"),
        *(f"ip daddr @doh4 {rule}" for rule in _reject("tcp dport 443", "udp dport 443") if doh4),
        *(f"ip6 daddr @doh6 {rule}" for rule in _reject("tcp dport 443", "udp dport 443") if doh6),
    ]
    if wish.chat_ports:
        filtered += _reject(f"tcp dport {{ {', '.join(map(str, IRC_NNTP))} }}")
    sets = [_set("fallback4", "ipv4_addr"), _set("fallback6", "ipv6_addr")]
    sets += [_set("doh4", "ipv4_addr", doh4)] if doh4 else []
    sets += [_set("doh6", "ipv6_addr", doh6)] if doh6 else []
    return "\n".join([
        "# Written by blockerd; `nft delete table inet blockerd` takes it away, `blockerd uninstall` for good.",
        f"table {' '.join(TABLE)}",
        f"delete table {' '.join(TABLE)}",
        f"table {' '.join(TABLE)} {{",
        *sets,
        *_chain("to_us", "type nat hook output priority -100; policy accept;", [
            f"{user} return", "ip daddr 127.0.0.0/8 return", "ip6 daddr ::1 return",
            "ip daddr @fallback4 return", "ip6 daddr @fallback6 return", *_turned(wish),
        ]),
        *_chain("refused", "type filter hook output priority 0; policy accept;", [
            f"{user} accept", 'oifname "lo" accept', *filtered,
        ]),
        "}",
        "",
    ])  # fmt: skip


_FAMILIES = (("ipv4", "ip", "127.0.0.1"), ("ipv6", "ip6", "::1"))
"""Name of the family, the word that stands before its addresses, and where `redirect` leads what programs here send."""


def _turned(wish: Wish) -> list[str]:
    """Port 53 leads to us over the families we listen on."""
    found = []
    for family, word, loopback in _FAMILIES:
        if ours := _listened(wish, word):
            host = ours[0] if word == "ip" else f"[{ours[0]}]"
            to = "redirect to :53" if loopback in ours else f"dnat {word} to {host}:53"
            found += [f"meta nfproto {family} {transport} dport 53 {to}" for transport in ("udp", "tcp")]
    return found


def _unheard(wish: Wish) -> list[str]:
    """Port 53 over a family we do not listen on is refused: there is nowhere to turn it to."""
    return [
        f"{word} daddr != @fallback{family[-1]} {rule}"
        for family, word, _ in _FAMILIES
        if not _listened(wish, word)
        for rule in _reject("tcp dport 53", "udp dport 53")
    ]


def _listened(wish: Wish, word: str) -> list[str]:
    return [address for address in wish.listen if (":" in address) == (word == "ip6")]


def _reject(*matches: str) -> list[str]:
    """Refused at once, so that programs fall back without waiting."""
    return [
        f"{match} reject with {'tcp reset' if match.startswith('tcp') else 'icmpx admin-prohibited'}"
        for match in matches
    ]


def _set(name: str, kind: str, elements: list[str] | None = None) -> str:
    inside = f" flags interval; elements = {{ {', '.join(elements)} }}" if elements else ""
    return f"  set {name} {{ type {kind};{inside} }}"


def _chain(name: str, hook: str, lines: list[str]) -> list[str]:
    return [f"  chain {name} {{", f"    {hook}", *(f"    {line}" for line in lines), "  }"]
