"""networksetup, launchctl, pfctl, security and what else a Mac is changed with, over a state of plain JSON.

launchd here runs a job of `macos_keep` at once when it is loaded, as RunAtLoad says. Called by `system_tools`.
"""

import plistlib
import re
from typing import Any

from tests.fakes.system_tools import Said, Tools, sha1_of

SCUTIL = """DNS configuration

resolver #1
  nameserver[0] : 192.0.2.1
  nameserver[1] : 2001:db8::1
  if_index : 14 (en0)
  flags    : Request A records, Request AAAA records
  reach    : 0x00020002 (Reachable,Directly Reachable Address)

resolver #2
  domain   : local
  options  : mdns
  timeout  : 5
  flags    : Request A records, Request AAAA records
  reach    : 0x00000000 (Not Reachable)
  order    : 300000

DNS configuration (for scoped queries)

resolver #1
  search domain[0] : home.test
  nameserver[0] : 192.0.2.1
  nameserver[1] : 2001:db8::1
  if_index : 14 (en0)
  flags    : Scoped, Request A records, Request AAAA records
  reach    : 0x00020002 (Reachable,Directly Reachable Address)

resolver #2
  search domain[0] : corp.test
  nameserver[0] : 198.51.100.53
  if_index : 22 (utun4)
  flags    : Scoped, Request A records
  reach    : 0x00000003 (Reachable,Transient Connection)
"""
_RULE = re.compile(r"#|table <|pass out quick|block return")
OURS = ["127.0.0.1", "::1"]


def fresh() -> dict[str, Any]:
    """A Mac with the services that make trouble: names with spaces and slashes, one that is off, resolvers by hand."""
    return {
        "services": [
            ["Wi-Fi", True, []],
            ["USB 10/100/1000 LAN", True, ["192.0.2.53", "2001:db8::53"]],
            ["Bürgernetz 'Büro'", True, ["198.51.100.1"]],
            ["Thunderbolt Bridge", False, []],
        ],
        "scutil": SCUTIL,
        "users": {"someone": 501, "root": 0},
        "loaded": {"system/com.example.other": "/Library/LaunchDaemons/com.example.other.plist"},
        "pf": {"tokens": [4711], "next": 8_000_001, "anchors": {"com.apple/200.AirDrop": "pass quick\n"}},
        "keychain": {"00" * 20: "/someone/else.crt"},
        "trusted": ["/someone/else.crt"],
        "built": 0,
    }


class MacTools(Tools):
    """The tools of a Mac."""

    names = ("networksetup", "scutil", "id", "launchctl", "pfctl", "dscacheutil", "killall", "security", "python",
             "blockerd")  # fmt: skip

    def without_dns(self) -> bool:
        """True if a service that is on names us alone and the filter is not loaded."""
        led = any(on and servers and set(servers) <= set(OURS) for _, on, servers in self.state["services"])
        return led and "system/org.blockerd.dns" not in self.state["loaded"]

    def tool_networksetup(self, words: list[str]) -> Said:
        services = self.state["services"]
        if words == ["-listallnetworkservices"]:
            lines = [("" if on else "*") + name for name, on, _ in services]
            return 0, "\n".join(["An asterisk (*) denotes that a network service is disabled.", *lines])
        found = next((one for one in services if len(words) > 1 and one[0] == words[1]), None)
        if found is None:
            return 4, f"{words[1:2]} is not a recognized network service.\n** Error: The parameters were not valid."
        if words[0] == "-getdnsservers":
            return 0, "\n".join(found[2]) or f"There aren't any DNS Servers set on {found[0]}."
        if words[0] == "-setdnsservers" and len(words) > 2:
            found[2] = [] if words[2:] == ["empty"] else words[2:]
            return 0, ""
        return 1, "** Error: The parameters were not valid."

    def tool_scutil(self, words: list[str]) -> Said:
        return (0, self.state["scutil"]) if words == ["--dns"] else (1, "usage: scutil")

    def tool_id(self, words: list[str]) -> Said:
        uid = self.state["users"].get(words[1]) if words[:1] == ["-u"] and len(words) == 2 else None
        return (1, f"id: {words[-1]}: no such user") if uid is None else (0, str(uid))

    def tool_launchctl(self, words: list[str]) -> Said:
        loaded = self.state["loaded"]
        match words:
            case ["print", target]:
                if target in loaded:
                    return 0, f"{target} = {{\n\tstate = running\n}}"
                return 113, f'Could not find service "{target.rpartition("/")[2]}" in domain for system'
            case ["bootout", target]:
                return (0, "") if loaded.pop(target, None) else (3, "Boot-out failed: 3: No such process")
            case ["bootstrap", domain, path]:
                return self._bootstrap(domain, path)
        return 64, "Unrecognized subcommand"

    def _bootstrap(self, domain: str, path: str) -> Said:
        at = self.at(path)
        try:
            job = plistlib.loads(at.read_bytes())
        except (OSError, ValueError):
            return 5, "Bootstrap failed: 5: Input/output error"
        target = f"{domain}/{job['Label']}"
        if target in self.state["loaded"] or at.stat().st_mode & 0o022 or f"{job['Label']}.plist" != at.name:
            return 5, "Bootstrap failed: 5: Input/output error"
        self.state["loaded"][target] = path
        if job["RunAtLoad"] and "blockerd.system.macos_keep" in job["ProgramArguments"]:
            self.run(job["ProgramArguments"])
        return 0, ""

    def tool_pfctl(self, words: list[str]) -> Said:
        pf = self.state["pf"]
        match words:
            case ["-a", anchor, "-f", path]:
                if not self.at(path).exists():
                    return 1, f"pfctl: {path}: No such file or directory"
                text = self.at(path).read_text()
                bad = [line for line in text.splitlines() if not _RULE.match(line)]
                if bad:
                    return 1, f"{path}: syntax error: {bad[0]}"
                pf["anchors"][anchor] = text
                return 0, ""
            case ["-a", anchor, "-F", "all"]:
                pf["anchors"].pop(anchor, None)
                return 0, "rules cleared"
            case ["-E"]:
                pf["tokens"].append(pf["next"])
                pf["next"] += 1
                return 0, f"No ALTQ support in kernel\npf enabled\nToken : {pf['next'] - 1}"
            case ["-X", token] if token.isdecimal() and int(token) in pf["tokens"]:
                pf["tokens"].remove(int(token))
                return 0, "pf disabled" if not pf["tokens"] else "disable request successful"
        return 1, "pfctl: DIOCSTOPREF"

    def tool_dscacheutil(self, words: list[str]) -> Said:
        return (0, "") if words == ["-flushcache"] else (1, "usage: dscacheutil")

    def tool_killall(self, words: list[str]) -> Said:
        known = words in (["-HUP", "mDNSResponder"], ["cfprefsd"])
        return (0, "") if known else (1, f"No matching processes belonging to you were found: {words}")

    def tool_security(self, words: list[str]) -> Said:
        keychain, trusted = self.state["keychain"], self.state["trusted"]
        match words:
            case ["add-trusted-cert", "-d", "-r", "trustRoot", "-p", "ssl", "-k", _, path]:
                keychain[sha1_of(self.at(path).read_text())] = path
                trusted.append(path)
                return 0, ""
            case ["remove-trusted-cert", "-d", path]:
                if path not in trusted:
                    return 1, "SecTrustSettingsRemoveTrustSettings: The specified item could not be found."
                trusted.remove(path)
                return 0, ""
            case ["delete-certificate", "-Z", sha1, _]:
                if sha1 not in keychain:
                    return 1, "Unable to delete certificate matching the hash"
                if keychain.pop(sha1) in trusted:
                    return 1, "trust settings were left behind"
                return 0, ""
        return 2, "Usage: security"

    def tool_blockerd(self, words: list[str]) -> Said:
        if words[:2] != ["lists", "build"]:
            return 2, "blockerd: no such command"
        self.state["built"] = 1
        return 0, ""

    def tool_python(self, words: list[str]) -> Said:
        from blockerd.system import macos_keep

        match words:
            case ["-m", "blockerd.system.answers", *addresses] if addresses:
                answers = "system/org.blockerd.dns" in self.state["loaded"]
                return (0, "") if answers else (1, "the filter does not refuse the test name at 127.0.0.1: no answer")
            case ["-m", "blockerd.system.macos_keep", *rest]:
                return macos_keep.main(rest, self.run, self.root), ""
        return 2, "python: can't open file"
