"""The stricter ways to bring traffic to the proxy, as nftables rules with their exact undo. Pure.

Transparent: TCP 80 and 443 of all users but the proxy's own go to the proxy, UDP 443 (QUIC) is refused so that
browsers fall back to TCP. Local: mitmproxy catches processes itself, only the QUIC rule is needed. Explicit mode, the
default, needs neither. Called by `blockerd proxy rules`; nothing here runs a command.
"""

TABLE = "blockerd_proxy"
"""The nftables table that is ours alone; undo is deleting it."""

UNDO = f"delete table inet {TABLE}\n"


def transparent(port: int, user: str) -> str:
    """Rules for transparent mode: the proxy listens on `port` of 127.0.0.1 and ::1 as the system user `user`."""
    return (
        f"table inet {TABLE} {{\n"
        "  chain to_proxy {\n"
        "    type nat hook output priority -100; policy accept;\n"
        f'    meta skuid "{user}" return\n'
        "    ip daddr { 127.0.0.0/8, 10.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16 } return\n"
        "    ip6 daddr { ::1, fc00::/7, fe80::/10 } return\n"
        f"    tcp dport {{ 80, 443 }} redirect to :{port}\n"
        "  }\n" + _quic() + "}\n"
    )


def quic_only() -> str:
    """The QUIC rule alone, for local mode."""
    return f"table inet {TABLE} {{\n" + _quic() + "}\n"


def _quic() -> str:
    return (
        "  chain quic {\n"
        "    type filter hook output priority 0; policy accept;\n"
        '    oifname != "lo" udp dport 443 reject\n'
        "  }\n"
    )
