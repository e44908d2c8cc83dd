"""The plan for Windows: what PowerShell says is understood or left alone, and every former value has its way back."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from blockerd.system import windows, windows_look, windows_service
from blockerd.system.apply import Applier
from blockerd.system.picture import Holder
from blockerd.system.plan import PlanError
from blockerd.system.registry import KINDS, Value, add, parents, quoted
from blockerd.system.steps import Command
from blockerd.system.windows_belt import exception, service_sid
from blockerd.system.windows_picture import (
    ADAPTERS,
    Adapter,
    Rule,
    Windows,
    adapters,
    addresses,
    keys,
    objects,
    rules,
    services,
    values_script,
)
from blockerd.system.windows_service import RUNNING, START_PENDING, STOP, STOP_PENDING, STOPPED
from blockerd.system.wish import Places, Way, Wish
from tests.system.desktops import WINDOWS, WINDOWS_PLACES

GUID = "{11111111-2222-3333-4444-555555555555}"
WISH = Wish(places=WINDOWS_PLACES, listen=("127.0.0.2", "::1"))


# What PowerShell says.


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", []),
        ("null", []),
        ("\ufeff[]", []),
        ('{"Name": "one"}', [{"Name": "one"}]),
        ('[{"Name": "one"}, {"Name": "two"}]', [{"Name": "one"}, {"Name": "two"}]),
        ('{"value": [{"Name": "one"}], "Count": 1}', [{"Name": "one"}]),
        ("[null]", []),
    ],
)
def test_none_one_and_many_objects_are_read(said: str, found: list[dict[str, str]]):
    assert objects(said) == found


def test_adapters_are_read_in_every_form_the_registry_has():
    said = json.dumps(
        [
            {"Name": "WLAN", "Guid": GUID, "Up": True, "V4": None, "V6": ""},
            {
                "Name": "Ethernet",
                "Guid": GUID,
                "Up": False,
                "V4": "192.0.2.1,192.0.2.2",
                "V6": "2001:DB8::1 2001:db8::2",
            },
        ]
    )
    assert adapters(said) == (
        Adapter("WLAN", GUID),
        Adapter("Ethernet", GUID, False, ("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")),
    )


def test_names_come_as_ascii_whatever_the_code_page():
    assert ADAPTERS.isascii()
    assert "[^\\x20-\\x7e]" in ADAPTERS
    said = '[{"Name":"\\u30a4\\u30fc\\u30b5\\u30cd\\u30c3\\u30c8","Guid":"' + GUID + '","Up":true,"V4":"","V6":null}]'
    assert adapters(said)[0].name == "イーサネット"


@pytest.mark.parametrize(
    "one",
    [
        {"Name": "x", "Guid": GUID, "Up": True, "V4": "dns.example", "V6": ""},
        {"Name": "x", "Guid": "'; Stop-Computer '", "Up": True, "V4": "", "V6": ""},
        {"Name": "x"},
    ],
)
def test_an_adapter_that_is_not_understood_is_left_alone(one: dict[str, object]):
    assert adapters(json.dumps([one])) == ()


def test_addresses_are_addresses_or_nothing():
    assert addresses("192.0.2.1, 192.0.2.2") == ("192.0.2.1", "192.0.2.2")
    assert addresses("192.0.2.1;192.0.2.2") is None
    assert addresses(None) == ()
    assert addresses(["192.0.2.1"]) == ()


def test_rules_are_read_with_one_namespace_or_many():
    said = json.dumps(
        [
            {"Namespace": ".corp.test", "Comment": None, "Group": False},
            {"Namespace": [".", ".x.test"], "Comment": "VPN", "Group": True},
        ]
    )
    assert rules(said) == (Rule((".corp.test",)), Rule((".", ".x.test"), "VPN", True))


def test_services_that_exist_and_those_that_run():
    said = json.dumps([{"Name": "Dnscache", "Running": True}, {"Name": "SharedAccess", "Running": False}])
    assert services(said) == (frozenset({"Dnscache", "SharedAccess"}), frozenset({"Dnscache"}))


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("String", "a b", "a b"),
        ("String", None, ""),
        ("ExpandString", "%TEMP%\\x", "%TEMP%\\x"),
        ("DWord", -1, "4294967295"),
        ("QWord", 1 << 40, "1099511627776"),
        ("MultiString", ["a", "b c"], "a\\0b c"),
        ("MultiString", "one", "one"),
        ("Binary", [0, 171, 255], "00abff"),
        ("None", None, ""),
    ],
)
def test_values_of_each_kind_are_written_back_as_they_were(kind: str, data: object, text: str):
    (key,) = keys(
        json.dumps({"Key": "HKLM\\SOFTWARE\\Policies\\X", "Values": {"Name": "n", "Kind": kind, "Data": data}})
    )
    (value,) = key[1]
    assert value == Value("n", KINDS[kind], text)
    assert add(key[0], value)[:6] == ("reg.exe", "add", key[0], "/v", "n", "/t")


def test_a_registry_that_is_not_understood_makes_no_plan():
    with pytest.raises(ValueError, match="unknown kind"):
        keys('[{"Key": "HKLM\\\\X", "Values": [{"Name": "n", "Kind": "Link", "Data": 1}]}]')
    for code, said in ((1, "access denied"), (0, "no JSON")):
        with pytest.raises(PlanError, match="former values could not come back"):
            windows_look.look(Path("/nowhere"), lambda _, code=code, said=said: (code, said), live=False)  # type: ignore[misc]


def test_strings_of_powershell_end_where_they_should():
    assert quoted("it's ‘so’") == "'it''s ‘‘so’’'"
    assert values_script(("HKLM\\A", "HKLM\\B")).count("'HKLM\\") == 2


def test_keys_above_are_known_up_to_those_that_every_windows_has():
    assert parents("HKLM\\SOFTWARE\\Policies\\Google\\Chrome") == (
        "HKLM\\SOFTWARE\\Policies\\Google", "HKLM\\SOFTWARE\\Policies\\Google\\Chrome",
    )  # fmt: skip
    assert parents("HKLM\\SOFTWARE\\Policies") == ()


# The plan.


def commands(machine: Windows, wish: Wish = WISH) -> list[Command]:
    return [step for step in windows.plan(machine, wish).steps if isinstance(step, Command)]


def test_the_resolver_of_the_system_is_never_stopped(tmp_path: Path):
    made = WINDOWS.plan(WINDOWS.begin(tmp_path))
    said = [word for step in made.steps if isinstance(step, Command) for word in (*step.forward, *step.inverse)]
    assert "Dnscache" not in said
    assert not [word for word in said if "Stop-Service" in word or "Restart-Service" in word]


def test_one_rule_leads_everything_to_127_0_0_2_and_adapters_are_not_touched(tmp_path: Path):
    tools = WINDOWS.begin(tmp_path)
    before = WINDOWS.fresh()["adapters"]
    Applier(tmp_path, tools.run).apply(WINDOWS.plan(tools).steps)
    ours = [rule for rule in tools.state["nrpt"] if rule["Namespace"] == ["."]]
    assert ours == [{"Namespace": ["."], "Comment": "blockerd", "NameServers": "127.0.0.2"}]
    assert tools.state["adapters"] == before
    client = tools.state["registry"][windows.CLIENT]
    assert client == {"DisableSmartNameResolution": ["DWord", 1], "DoHPolicy": ["DWord", 1]}


@pytest.mark.parametrize("rule", [Rule((".x.test",), group=True), Rule((".",), "a VPN")])
def test_where_the_rule_would_not_count_each_adapter_names_us(rule: Rule):
    machine = Windows(rules=(rule,), adapters=(Adapter("WLAN", GUID, v6=("2001:db8::1",)),))
    made = windows.plan(machine, WISH)
    assert made.way is Way.ADAPTERS
    (step,) = [step for step in made.steps if step.title == "WLAN asks blockerd"]
    assert isinstance(step, Command)
    assert step.forward[-1].endswith("Set-DnsClientServerAddress -ServerAddresses '127.0.0.2','::1'")
    reset, by_hand = step.inverse[-1].split("; ")[1:]
    assert reset.endswith("-ResetServerAddresses")
    assert by_hand.endswith("-ServerAddresses '2001:db8::1'")
    assert not any("Nrpt" in word for step in commands(machine) for word in step.forward)


def test_adapters_get_back_what_was_set_by_hand_and_the_rest_is_left_to_their_network(tmp_path: Path):
    tools = WINDOWS.begin(tmp_path)
    tools.state["group"] = [{"Namespace": [".corp.test"], "Comment": ""}]
    before = WINDOWS.seen(tools)
    Applier(tmp_path, tools.run).apply(WINDOWS.plan(tools).steps)
    assert {(one["V4"], one["V6"]) for one in tools.state["adapters"]} == {("127.0.0.2", "::1")}
    Applier(tmp_path, tools.run).undo(data=True, tell=lambda _: None)
    assert WINDOWS.seen(tools) == before
    assert "dark" not in tools.state


def test_the_first_notes_say_that_it_was_never_run_and_does_not_run_yet():
    first, second, *_ = windows.plan(Windows(), WISH).notes
    assert "never run on a real machine" in first
    assert "not carried out" in second


def test_settings_that_listen_elsewhere_are_told():
    notes = windows.plan(Windows(), replace(WISH, listen=("127.0.0.1",))).notes
    assert any('listen = ["127.0.0.2:53"]' in note for note in notes)


def test_what_is_in_the_way_is_named():
    with pytest.raises(PlanError, match=r"svchost.exe \(pid 4711\).*connection sharing"):
        windows.plan(Windows(holders=(Holder("udp", "0.0.0.0", 4711, "svchost.exe"),)), WISH)
    with pytest.raises(PlanError, match="Dnscache"):
        windows.plan(Windows(running=frozenset({"SharedAccess"})), WISH)
    with pytest.raises(PlanError, match="Program Files"):
        windows.plan(Windows(), replace(WISH, places=Places(program="C:\\Users\\someone\\venv\\Scripts\\blockerd.exe")))


def test_the_services_have_identities_of_their_own_and_are_started_again():
    said = [step.forward for step in commands(Windows()) if step.forward[:1] == ("sc.exe",)]
    create = next(words for words in said if words[1:3] == ("create", "blockerd-dns"))
    assert create[create.index("obj=") + 1] == "NT SERVICE\\blockerd-dns"
    assert create[create.index("binPath=") + 1] == (
        '"C:\\Program Files\\blockerd\\Scripts\\python.exe" -m blockerd.system.windows_service blockerd-dns '
        "--config C:\\ProgramData\\blockerd.toml"
    )
    assert ("sc.exe", "failure", "blockerd-dns", "reset=", "3600", "actions=",
            "restart/1000/restart/1000/restart/5000") in said  # fmt: skip


def test_identities_of_services_are_those_that_windows_gives():
    """The known one of TrustedInstaller, from Microsoft's list of well-known identities."""
    assert service_sid("TrustedInstaller") == "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
    assert service_sid("trustedinstaller") == service_sid("TRUSTEDINSTALLER")
    assert exception(("TrustedInstaller",)).startswith("O:LSD:(D;;CC;;;S-1-5-80-956008885-")
    assert exception(()).endswith("(A;;CC;;;WD)")


def test_former_policies_stay_beside_ours(tmp_path: Path):
    tools = WINDOWS.begin(tmp_path)
    Applier(tmp_path, tools.run).apply(WINDOWS.plan(tools).steps)
    registry = tools.state["registry"]
    firefox = registry["HKLM\\SOFTWARE\\Policies\\Mozilla\\Firefox"]
    merged = json.loads(firefox["Preferences"][1][0])
    assert merged["browser.startup.page"] == {"Value": 1}
    assert merged["network.trr.mode"] == {"Value": 5, "Status": "locked"}
    assert registry["HKLM\\SOFTWARE\\Policies\\Mozilla\\Firefox\\DNSOverHTTPS"] == {
        "Enabled": ["DWord", 0], "Locked": ["DWord", 1],
    }  # fmt: skip
    assert registry["HKLM\\SOFTWARE\\Policies\\Google\\Chrome"]["DnsOverHttpsMode"] == ["String", "off"]
    assert registry["HKLM\\SOFTWARE\\Policies\\Microsoft\\Edge"]["BuiltInDnsClientEnabled"] == ["DWord", 0]


def test_a_key_that_others_have_used_since_stays(tmp_path: Path):
    tools = WINDOWS.begin(tmp_path)
    Applier(tmp_path, tools.run).apply(WINDOWS.plan(tools).steps)
    tools.state["registry"]["HKLM\\SOFTWARE\\Policies\\BraveSoftware\\Brave"]["Homepage"] = ["String", "theirs"]
    Applier(tmp_path, tools.run).undo(data=True, tell=lambda _: None)
    registry = tools.state["registry"]
    assert registry["HKLM\\SOFTWARE\\Policies\\BraveSoftware\\Brave"] == {"Homepage": ["String", "theirs"]}
    assert "HKLM\\SOFTWARE\\Policies\\Microsoft\\Edge" not in registry


# The service.


class Manager:
    """The service manager: `asks` are the controls that it sends once the service runs."""

    def __init__(self, *asks: int) -> None:
        self.states: list[int] = []
        self._asks = asks
        self._hear: Callable[[int], None] = lambda _: None

    def dispatch(self, name: str, serve: Callable[[], None]) -> None:
        assert name == "blockerd-dns"
        serve()

    def on_control(self, name: str, hear: Callable[[int], None]) -> None:
        self._hear = hear

    def say(self, state: int) -> None:
        self.states.append(state)
        if state == RUNNING:
            threading.Thread(target=lambda: [self._hear(ask) for ask in self._asks]).start()


def child(code: str) -> Callable[[], "subprocess.Popen[bytes]"]:
    return lambda: subprocess.Popen([sys.executable, "-c", code])


def test_a_service_that_is_asked_to_stop_ends_its_process_and_says_so():
    manager, ends = Manager(4, STOP), list[int]()
    windows_service.serve(manager, "blockerd-dns", child("import time; time.sleep(60)"), ends.append)
    assert manager.states == [START_PENDING, RUNNING, STOP_PENDING, STOPPED]
    assert ends == []


@pytest.mark.parametrize(("code", "ends_with"), [("raise SystemExit(3)", 3), ("pass", 1)])
def test_a_process_that_ends_by_itself_is_a_crash_to_the_manager(code: str, ends_with: int):
    manager, ends = Manager(), list[int]()
    windows_service.serve(manager, "blockerd-dns", child(code), ends.append)
    assert manager.states == [START_PENDING, RUNNING], "never STOPPED: recovery actions begin"
    assert ends == [ends_with]


def test_the_process_is_the_command_of_that_name():
    words = windows_service.command("blockerd-control", ["--config", "C:\\x.toml"], "python.exe")
    assert words == ["python.exe", "-m", "blockerd", "control", "--config", "C:\\x.toml"]


@pytest.mark.parametrize(("words", "said"), [([], "usage"), (["dns"], "usage"), (["blockerd-dns"], "on Windows alone")])
def test_a_wrong_call_is_told(words: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert windows_service.main(words) == 2
    assert said in capsys.readouterr().err


def test_values_compare_without_regard_to_case():
    machine = Windows(keys=(("HKLM\\SOFTWARE\\Policies\\Google", (Value("Name", "REG_SZ", "x"),)),))
    assert machine.value("hklm\\software\\policies\\GOOGLE", "NAME") == Value("Name", "REG_SZ", "x")
    assert machine.exists("HKLM\\Software\\Policies\\google")
