"""The second belt on a Mac: one anchor of pf, which one flush empties. Pure.

It stands below Apple's own anchor point, so /etc/pf.conf is not touched. It refuses 53 and 853 to everybody but root
and the system's resolver: the latter asks blockerd, and a VPN's resolver for the VPN's own names. pf counts who needs
it: it is switched on for a token and goes off with the last one. Called by `system.macos`; `macos_keep` loads it.
"""

from blockerd.system.nftables import IRC_NNTP
from blockerd.system.steps import Command, File, Step
from blockerd.system.wish import Wish

RULES = "/etc/blockerd/belt.pf"
ANCHOR = "com.apple/blockerd"
TOKEN = "/var/run/blockerd-pf.token"
LOAD = ("pfctl", "-a", ANCHOR, "-f", RULES)
EMPTY = ("pfctl", "-a", ANCHOR, "-F", "all")


def belt(wish: Wish) -> tuple[Step, ...]:
    """The rules and their loading."""
    keep = (_python(wish), "-m", "blockerd.system.macos_keep")
    return (
        File("the rules of the second belt", RULES, rules(wish).encode(), owner="root:wheel"),
        Command("pf is no longer needed by blockerd", inverse=(*keep, "belt-down")),
        Command("the second belt is empty", inverse=EMPTY),
        Command("the second belt", (*keep, "belt-up")),
    )


def rules(wish: Wish) -> str:
    """pf.conf(5). `quick` ends at the first match, so that what may pass stands above what may not."""
    doh, chat = wish.doh_addresses, " ".join(map(str, IRC_NNTP))
    return "\n".join([
        "# Written by blockerd; `pfctl -a com.apple/blockerd -F all` takes it away, `blockerd uninstall` for good.",
        *([f"table <blockerd_doh> const {{ {' '.join(doh)} }}"] if doh else []),
        "pass out quick on lo0 proto { tcp udp } from any to any port { 53 853 }",
        "pass out quick proto { tcp udp } from any to any port { 53 853 } user { root _mdnsresponder }",
        "block return out quick proto { tcp udp } from any to any port { 53 853 }",
        *(["block return out quick proto { tcp udp } from any to <blockerd_doh> port 443 user != root"] if doh else []),
        *([f"block return out quick proto tcp from any to any port {{ {chat} }}"] if wish.chat_ports else []),
        "",
    ])  # fmt: skip


def _python(wish: Wish) -> str:
    return wish.places.program.rpartition("/")[0] + "/python"
