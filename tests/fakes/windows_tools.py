"""powershell, reg, sc, net, icacls, certutil and ipconfig over a state of plain JSON.

PowerShell here knows the scripts that the program writes and no others, with the effect of their cmdlets. Stopping
Dnscache raises: no plan may do that. Called by `system_tools`.
"""

import json
import re
from pathlib import Path
from typing import Any

from blockerd.system import windows_picture as picture
from tests.fakes.system_tools import Said, Tools, sha1_of

OURS = "127.0.0.2"
_START = "$ErrorActionPreference = 'Stop'; "
_POLICIES = "HKLM\\SOFTWARE\\Policies"


def fresh() -> dict[str, Any]:
    """A Windows with former policies of every kind of value, resolvers by hand in one family, and a VPN's rule."""
    return {
        "services": {"Dnscache": {"running": True}, "SharedAccess": {"running": False}},
        "adapters": [
            {"Name": "WLAN", "Guid": "{11111111-2222-3333-4444-555555555555}", "Up": True, "V4": "", "V6": None},
            {"Name": "Ethernet „Büro“", "Guid": "{AAAAAAAA-2222-3333-4444-555555555555}", "Up": False,
             "V4": "192.0.2.1,192.0.2.2", "V6": ""},
            {"Name": "イーサネット 2", "Guid": "{BBBBBBBB-2222-3333-4444-555555555555}", "Up": True, "V4": "",
             "V6": "2001:db8::1 2001:db8::2"},
        ],
        "nrpt": [{"Namespace": [".corp.test"], "Comment": "VPN", "NameServers": "198.51.100.53"}],
        "group": [],
        "registry": {
            f"{_POLICIES}\\Google": {},
            f"{_POLICIES}\\Google\\Chrome": {
                "DnsOverHttpsMode": ["String", "automatic"], "IncognitoModeAvailability": ["DWord", 0],
                "Path": ["ExpandString", "%APPDATA%\\x"], "List": ["MultiString", ["a", "b c"]],
                "Raw": ["Binary", [0, 255]], "Big": ["QWord", 1 << 40],
            },
            f"{_POLICIES}\\Mozilla": {},
            f"{_POLICIES}\\Mozilla\\Firefox": {
                "Preferences": ["MultiString", ['{"browser.startup.page": {"Value": 1}}']],
                "BlockAboutConfig": ["DWord", 1],
            },
            "HKCU\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run": {"OneDrive": ["String", "onedrive.exe"]},
        },
        "firewall": {"CoreNet-DNS-Out-UDP": "theirs"},
        "acl": {},
        "roots": ["00" * 20],
        "built": 0,
    }  # fmt: skip


class WindowsTools(Tools):
    """The tools of Windows."""

    names = ("powershell.exe", "reg.exe", "sc.exe", "net.exe", "icacls.exe", "certutil.exe", "ipconfig.exe",
             "python.exe", "blockerd.exe")  # fmt: skip

    def without_dns(self) -> bool:
        """True if the rule or an adapter leads to us and the service does not run."""
        ruled = any("." in rule["Namespace"] and rule["NameServers"] == OURS for rule in self.state["nrpt"])
        named = any((one["V4"] or "").split(",")[0] == OURS for one in self.state["adapters"])
        runs = self.state["services"].get("blockerd-dns", {}).get("running", False)
        return (ruled or named) and not runs

    # reg: keys and names compare without regard to case.

    def tool_reg(self, words: list[str]) -> Said:
        match words:
            case ["add", key, "/f"]:
                self.key(key)
                return 0, "The operation completed successfully."
            case ["add", key, "/v", name, "/t", kind, *data, "/f"]:
                text = data[1] if data[:1] == ["/d"] else ""
                values = self.key(key)
                values[next((known for known in values if known.lower() == name.lower()), name)] = _kept(kind, text)
                return 0, "The operation completed successfully."
            case ["delete", key, "/v", name, "/f"]:
                found = self.find(key)
                old = next((known for known in found or {} if known.lower() == name.lower()), None)
                if found is None or old is None:
                    return 1, "ERROR: The system was unable to find the specified registry key or value."
                del found[old]
                return 0, "The operation completed successfully."
        return 1, f"ERROR: Invalid syntax: {words}"

    def find(self, key: str) -> dict[str, Any] | None:
        """The values of a key."""
        return next((values for known, values in self.state["registry"].items() if known.lower() == key.lower()), None)

    def key(self, key: str) -> dict[str, Any]:
        """The values of a key; made with those above it where missing, as `reg add` does."""
        found = self.find(key)
        if found is None:
            above = key.rpartition("\\")[0]
            if above.count("\\") > 1 and above != _POLICIES:
                self.key(above)
            found = self.state["registry"].setdefault(key, {})
        return found

    def tool_sc(self, words: list[str]) -> Said:
        services = self.state["services"]
        match words:
            case ["create", name, "binPath=", line, "start=", "auto", "obj=", account, "DisplayName=", _]:
                if name in services:
                    return 1073, "[SC] CreateService FAILED 1073:"
                services[name] = {"running": False, "line": line, "account": account}
                return 0, "[SC] CreateService SUCCESS"
            case ["failure", name, "reset=", _, "actions=", actions] if name in services:
                services[name]["actions"] = actions
                return 0, "[SC] ChangeServiceConfig2 SUCCESS"
            case ["failureflag", name, "1"] if name in services:
                services[name]["flag"] = 1
                return 0, "[SC] ChangeServiceConfig2 SUCCESS"
            case ["delete", name] if name in services:
                if services[name]["running"]:
                    return 1072, "[SC] DeleteService: marked for deletion until it stops"
                del services[name]
                return 0, "[SC] DeleteService SUCCESS"
        return 1060, "[SC] OpenService FAILED 1060: The specified service does not exist as an installed service."

    def tool_net(self, words: list[str]) -> Said:
        doing, name = words
        assert name != "Dnscache", "Wi-Fi hangs on it"
        service = self.state["services"].get(name)
        if service is None or service["running"] is (doing == "start"):
            return 2, f"The {name} service could not be {doing}ed."
        service["running"] = doing == "start"
        return 0, f"The {name} service was {doing}ed successfully."

    def tool_icacls(self, words: list[str]) -> Said:
        path, doing, who = words
        granted = self.state["acl"].setdefault(path, [])
        if doing == "/grant":
            if who.partition(":")[0].rpartition("\\")[2] not in self.state["services"]:
                return 1332, "No mapping between account names and security IDs was done."
            granted.append(who)
        elif doing == "/remove:g":
            granted[:] = [one for one in granted if one.partition(":")[0] != who]
        else:
            return 87, "Invalid parameter"
        if not granted:
            del self.state["acl"][path]
        return 0, "Successfully processed 1 files"

    def tool_certutil(self, words: list[str]) -> Said:
        match words:
            case ["-addstore", "-f", "ROOT", path]:
                self.state["roots"].append(sha1_of((self.root / path).read_text()))
                return 0, "CertUtil: -addstore command completed successfully."
            case ["-delstore", "ROOT", sha1] if sha1 in self.state["roots"]:
                self.state["roots"].remove(sha1)
                return 0, "CertUtil: -delstore command completed successfully."
        return 1, "CertUtil: -delstore command FAILED: 0x80090011"

    def tool_ipconfig(self, words: list[str]) -> Said:
        return (0, "Successfully flushed the DNS Resolver Cache.") if words == ["/flushdns"] else (1, "")

    def tool_blockerd(self, words: list[str]) -> Said:
        self.state["built"] = 1
        return (0, "") if words[:2] == ["lists", "build"] else (2, "no such command")

    def tool_python(self, words: list[str]) -> Said:
        if words != ["-m", "blockerd.system.answers", OURS]:
            return 2, "can't open file"
        return (0, "") if self.state["services"].get("blockerd-dns", {}).get("running") else (1, "no answer")

    def tool_powershell(self, words: list[str]) -> Said:
        *flags, script = words
        if flags != ["-NoProfile", "-NonInteractive", "-Command"] or not script.startswith(_START):
            return 1, f"not as the program calls it: {words}"
        script = script.removeprefix(_START)
        looked = self._looked(script)
        if looked is not None:
            return 0, json.dumps(looked)
        done = [self._cmdlet(one) for one in _split(script)]
        return next(((code, said) for code, said in done if code), (0, ""))

    def _looked(self, script: str) -> object | None:
        if script == picture.ADAPTERS:
            return list(self.state["adapters"])
        if script == picture.RULES:
            local = [{**rule, "Group": False} for rule in self.state["nrpt"]]
            return local + [{**rule, "Group": True} for rule in self.state["group"]]
        if script == picture.SERVICES:
            return [{"Name": name, "Running": one["running"]} for name, one in self.state["services"].items()]
        keys = tuple(re.findall(r"'(HK(?:LM|CU)[^']*)'", script))
        if keys and script == picture.values_script(keys):
            return [_listed(key, values) for key in keys if (values := self.find(key)) is not None]
        return None

    def _cmdlet(self, script: str) -> Said:
        for pattern, do in (
            (r"Add-DnsClientNrptRule -Namespace '\.' -NameServers '(.*)' -Comment '(.*)' -DisplayName '.*'",
             self._rule),
            (r"Get-DnsClientNrptRule \| Where-Object Comment -eq '(.*)' \| Remove-DnsClientNrptRule -Force",
             self._no_rule),
            (r"New-NetFirewallRule -Name '([\w-]+)' (.*) \| Out-Null", self._refuse),
            (r"Remove-NetFirewallRule -Name '([\w-]+)'( -ErrorAction SilentlyContinue)?", self._allow),
            (r"Get-NetAdapter -IncludeHidden \| Where-Object InterfaceGuid -eq '(.*)' \| "
             r"Set-DnsClientServerAddress -(\w+) ?(.*)", self._servers),
            (r"Get-Item -LiteralPath 'Registry::(.*?)' -ErrorAction SilentlyContinue \| "
             r"Where-Object { \$_.ValueCount \+ \$_.SubKeyCount -eq 0 } \| Remove-Item", self._no_key),
        ):  # fmt: skip
            found = re.fullmatch(pattern, script)
            if found:
                return do(*found.groups())
        return 1, f"The term is not recognized as the name of a cmdlet: {script}"

    def _rule(self, server: str, comment: str) -> Said:
        self.state["nrpt"].append({"Namespace": ["."], "Comment": comment, "NameServers": server})
        return 0, ""

    def _no_rule(self, comment: str) -> Said:
        self.state["nrpt"] = [rule for rule in self.state["nrpt"] if rule["Comment"] != comment]
        return 0, ""

    def _refuse(self, name: str, what: str) -> Said:
        if name in self.state["firewall"]:
            return 1, "New-NetFirewallRule : Cannot create a file when that file already exists."
        self.state["firewall"][name] = what
        return 0, ""

    def _allow(self, name: str, quiet: str | None) -> Said:
        if not self.state["firewall"].pop(name, None) and not quiet:
            return 1, f"Remove-NetFirewallRule : No MSFT_NetFirewallRule objects found with InstanceID {name}"
        return 0, ""

    def _servers(self, guid: str, doing: str, rest: str) -> Said:
        adapter = next((one for one in self.state["adapters"] if one["Guid"] == guid), None)
        if adapter is None:
            return 0, ""
        if doing == "ResetServerAddresses":
            adapter["V4"] = adapter["V6"] = ""
            return 0, ""
        listed = re.findall(r"'([^']+)'", rest)
        for family, colon in (("V4", False), ("V6", True)):
            mine = [one for one in listed if (":" in one) is colon]
            adapter[family] = ",".join(mine) if mine else adapter[family]
        return 0, ""

    def _no_key(self, key: str) -> Said:
        found = self.find(key)
        below = any(known.lower().startswith(key.lower() + "\\") for known in self.state["registry"])
        if found is not None and not found and not below:
            self.state["registry"] = {k: v for k, v in self.state["registry"].items() if k.lower() != key.lower()}
        return 0, ""


def plain(state: dict[str, Any]) -> dict[str, Any]:
    """The state without what is only another spelling of the same: no resolvers by hand, commas for spaces."""
    adapters = [
        {**one, "V4": (one["V4"] or "").replace(" ", ","), "V6": (one["V6"] or "").replace(" ", ",")}
        for one in state["adapters"]
    ]
    return {**state, "adapters": adapters, "built": 0}


def root_file(root: Path, path: str, content: bytes) -> None:
    """A file at a path of Windows, which is one name in the test's tree."""
    (root / path).write_bytes(content)


def _split(script: str) -> list[str]:
    """The commands of a script; braces hold theirs together."""
    return re.split(r"; (?=Get-NetAdapter|New-NetFirewallRule|Add-DnsClientNrptRule)", script)


def _kept(kind: str, text: str) -> list[Any]:
    """What the registry keeps of `reg add /t KIND /d TEXT`."""
    match kind:
        case "REG_DWORD" | "REG_QWORD":
            return ["DWord" if kind == "REG_DWORD" else "QWord", int(text)]
        case "REG_MULTI_SZ":
            return ["MultiString", text.split("\\0")]
        case "REG_BINARY":
            return ["Binary", list(bytes.fromhex(text))]
        case "REG_EXPAND_SZ":
            return ["ExpandString", text]
    return ["String", text]


def _listed(key: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"Key": key, "Values": [{"Name": name, "Kind": kind, "Data": data} for name, (kind, data) in values.items()]}
