"""How browsers find the proxy: a PAC file, and the policies of Chromium and Firefox, as texts. Pure.

Hosts of the machine and of the home are reached directly, for the proxy refuses them. Called by `blockerd proxy pac`
and `proxy policy`; the files are written by the person or by `system`.
"""

import json
from typing import Any

DIRECT_NETS = ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")


def pac(proxy: str, *, fall_back: bool) -> str:
    """A proxy auto-configuration file for the proxy at "host:port".

    `fall_back` lets browsers go past a proxy that is not there (setting `proxy.on_policy_error = "pass"`).
    """
    way = f"PROXY {proxy}; DIRECT" if fall_back else f"PROXY {proxy}"
    nets = " ||\n      ".join(f'isInNet(host, "{_net(net)}", "{_mask(net)}")' for net in DIRECT_NETS)
    return (
        "function FindProxyForURL(url, host) {\n"
        '  if (isPlainHostName(host) || host === "localhost" || shExpMatch(host, "*.localhost") ||\n'
        '      shExpMatch(host, "*.local") || shExpMatch(host, "*.home.arpa"))\n'
        '    return "DIRECT";\n'
        '  if (host.indexOf(":") >= 0 && shExpMatch(host, "f[cd]*:*|fe80:*|::1"))\n'
        '    return "DIRECT";\n'
        f'  if (/^[0-9.]+$/.test(host) &&\n      ({nets}))\n'
        '    return "DIRECT";\n'
        f'  return "{way}";\n'
        "}\n"
    )  # fmt: skip


def chromium_policy(proxy: str) -> str:
    """A managed policy for Chromium and its relatives; undone by deleting the file."""
    bypass = ";".join(("<local>", "*.local", "*.home.arpa", *DIRECT_NETS, "[::1]", "[fc00::]/7", "[fe80::]/10"))
    policy: dict[str, Any] = {
        "ProxyMode": "fixed_servers",
        "ProxyServer": proxy,
        "ProxyBypassList": bypass,
        "QuicAllowed": False,
    }
    return json.dumps(policy, indent=2) + "\n"


def firefox_policy(proxy: str, certificate: str = "") -> str:
    """`policies.json` for Firefox; `certificate` is a file that its profiles are to trust, "" for none."""
    bypass = ", ".join(("localhost", ".local", ".home.arpa", *DIRECT_NETS, "::1"))
    policies: dict[str, Any] = {
        "Proxy": {
            "Mode": "manual",
            "HTTPProxy": proxy,
            "UseHTTPProxyForAllProtocols": True,
            "Passthrough": bypass,
        }
    }
    if certificate:
        policies["Certificates"] = {"Install": [certificate]}
    return json.dumps({"policies": policies}, indent=2) + "\n"


def _net(net: str) -> str:
    return net.partition("/")[0]


def _mask(net: str) -> str:
    bits = (1 << 32) - (1 << (32 - int(net.partition("/")[2])))
    return ".".join(str(octet) for octet in bits.to_bytes(4, "big"))
