"""The plan for Windows: blockerd on 127.0.0.2, and one rule of the name resolution policy table leads to it. Pure.

Written from Microsoft's documentation and tried on imitations of its tools, never on a real machine; the plan says so
first. Dnscache is never stopped: Wi-Fi hangs on it. Adapters keep what they have, so that the way back is one rule;
where such a rule would not count, each adapter names blockerd and gets its own back. Called by `system.choose`.
"""

from pathlib import PureWindowsPath

from blockerd.system.plan import Plan, PlanError, in_the_way
from blockerd.system.registry import Value, dword, made, parents, powershell, quoted, written
from blockerd.system.steps import Command, Folder, Step
from blockerd.system.trust import Root
from blockerd.system.windows_belt import belt
from blockerd.system.windows_picture import Adapter, Windows
from blockerd.system.windows_policies import KEYS, policies
from blockerd.system.wish import Way, Wish

LISTEN = "127.0.0.2"
"""127.0.0.1:53 belongs to others at times: connection sharing, virtual machines, Docker."""

DNS, CONTROL, PROXY = "blockerd-dns", "blockerd-control", "blockerd-proxy"
COMMENT = "blockerd"
RUN = "HKCU\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run"
CLIENT = "HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows NT\\DNSClient"
LOOKED_AT = tuple(dict.fromkeys(above for key in (RUN, CLIENT, *KEYS) for above in parents(key)))
NEVER = (
    "this plan was never run on a real machine: it is written from Microsoft's documentation and tried on imitations "
    "of its tools"
)
NOT_YET = (
    "blockerd's processes do not run on Windows yet (Python has no Unix sockets there): this is the plan alone, and it "
    "is not carried out; inside WSL, blockerd runs as on Linux"
)


def plan(machine: Windows, wish: Wish) -> Plan:
    """All steps of an install on Windows.

    Raises:
        PlanError: something is in the way.
    """
    _refuse(machine, wish)
    way = choose(machine, wish)
    services = (DNS, CONTROL, *((PROXY,) if wish.proxy else ()))
    steps = (
        Folder("state and record", wish.places.state, 0o700, data=True),
        *(step for name in services for step in _service(machine, wish, name)),
        Command("the first policy", (wish.places.program, "lists", "build", "--config", wish.places.config)),
        *(_start(machine, name) for name in services),
        Command("the filter answers", (python(wish), "-m", "blockerd.system.answers", LISTEN)),
        Command("old answers are forgotten", inverse=_FLUSH),
        *_one_way(machine),  # only now does anything point at it
        *(_rule() if way is Way.WINDOWS else _adapters(machine, wish)),
        Command("old answers are forgotten", forward=_FLUSH, may_fail=True),
        *(belt(wish, (DNS, CONTROL)) if wish.belt else ()),
        *policies(machine, wish.browsers),
        *(trust(machine.root) if wish.proxy and machine.root else ()),
        *_agent(machine, wish),
    )
    return Plan(way, steps, tuple(_notes(machine, wish, way)))


def choose(machine: Windows, wish: Wish) -> Way:
    """One rule, unless group policy has rules, which put all local ones out of force, or another leads everything."""
    if wish.way in (Way.WINDOWS, Way.ADAPTERS):
        return wish.way
    others = [rule for rule in machine.rules if rule.comment != COMMENT]
    return Way.ADAPTERS if any(rule.group or "." in rule.namespaces for rule in others) else Way.WINDOWS


def trust(root: Root) -> tuple[Step, ...]:
    """The proxy's root among the roots of the whole machine."""
    there = ("certutil.exe", "-addstore", "-f", "ROOT", root.path)
    return (Command("the root of the page filter is trusted", there, ("certutil.exe", "-delstore", "ROOT", root.sha1)),)


def python(wish: Wish) -> str:
    """The interpreter beside the `blockerd` command."""
    return str(PureWindowsPath(wish.places.program).with_name("python.exe"))


def _service(machine: Windows, wish: Wish, name: str) -> tuple[Step, ...]:
    """Runs as an identity of its own that may do nothing else, and is started again whenever it ends."""
    if name in machine.services:
        return (Command(f"end the {name} that runs", ("net.exe", "stop", name), may_fail=True),)
    words = (python(wish), "-m", "blockerd.system.windows_service", name, "--config", wish.places.config)
    line = " ".join(f'"{word}"' if " " in word else word for word in words)
    account = f"NT SERVICE\\{name}"
    create = ("sc.exe", "create", name, "binPath=", line, "start=", "auto", "obj=", account, "DisplayName=", name)
    actions = "restart/1000/restart/1000/restart/5000"
    return (
        Command(f"the service {name}", create, ("sc.exe", "delete", name)),
        Command(f"{name} is started again if it ends",
                ("sc.exe", "failure", name, "reset=", "3600", "actions=", actions)),
        Command(f"{name}: also where it ends by itself", ("sc.exe", "failureflag", name, "1")),
        Command(
            f"state belongs to {name} too",
            ("icacls.exe", wish.places.state, "/grant", f"{account}:(OI)(CI)M"),
            ("icacls.exe", wish.places.state, "/remove:g", account),
        ),
    )  # fmt: skip


def _start(machine: Windows, name: str) -> Step:
    """Where the service was there, its way back stands in the manifest already, below the rule's."""
    back = () if name in machine.services else ("net.exe", "stop", name)
    return Command(f"start {name}", ("net.exe", "start", name), back)


def _one_way(machine: Windows) -> tuple[Step, ...]:
    """No question goes to several networks at once, or to a resolver by HTTPS."""
    wanted = [(CLIENT, dword("DisableSmartNameResolution", 1)), (CLIENT, dword("DoHPolicy", 1))]
    return (*made(machine, [CLIENT]), *written(machine, "Windows asks one resolver, without encryption", wanted))


def _rule() -> tuple[Step, ...]:
    """One of ours that is there already is replaced: an install may be repeated."""
    back = f"Get-DnsClientNrptRule | Where-Object Comment -eq '{COMMENT}' | Remove-DnsClientNrptRule -Force"
    rule = f"Add-DnsClientNrptRule -Namespace '.' -NameServers '{LISTEN}' -Comment '{COMMENT}' -DisplayName 'blockerd'"
    return (Command("every name leads to blockerd", powershell(f"{back}; {rule}"), powershell(back)),)


def _adapters(machine: Windows, wish: Wish) -> tuple[Step, ...]:
    """Both families of each adapter: a resolver that stays in one of them is asked."""
    ours = (LISTEN, "::1") if "::1" in wish.listen else (LISTEN,)
    return tuple(
        Command(f"{adapter.name} asks blockerd", powershell(_set(adapter, ours)), powershell(_back(adapter)))
        for adapter in machine.adapters
        if LISTEN not in adapter.v4
    )


def _set(adapter: Adapter, servers: tuple[str, ...]) -> str:
    listed = ",".join(quoted(server) for server in servers)
    return f"{_found(adapter)} | Set-DnsClientServerAddress -ServerAddresses {listed}"


def _back(adapter: Adapter) -> str:
    """First what the network names, for both families, then what was set by hand."""
    reset = f"{_found(adapter)} | Set-DnsClientServerAddress -ResetServerAddresses"
    by_hand = adapter.v4 + adapter.v6
    return f"{reset}; {_set(adapter, by_hand)}" if by_hand else reset


def _found(adapter: Adapter) -> str:
    """By its identity: names and numbers change."""
    return f"Get-NetAdapter -IncludeHidden | Where-Object InterfaceGuid -eq '{adapter.guid}'"


def _agent(machine: Windows, wish: Wish) -> tuple[Step, ...]:
    """Screen time of the one who installs, never of others: it begins when they log on, and they see it in the list of
    start-up apps.
    """
    if not wish.agent:
        return ()
    window_less = PureWindowsPath(wish.places.program).with_name("pythonw.exe")
    line = f'"{window_less}" -m blockerd agent --config "{wish.places.config}"'
    return tuple(written(machine, "screen time at each logon", [(RUN, Value("blockerd", "REG_SZ", line))]))


def _refuse(machine: Windows, wish: Wish) -> None:
    holders = [] if DNS in machine.services else in_the_way(machine, Wish(listen=(LISTEN,)))
    if holders:
        named = "; ".join(dict.fromkeys(holder.named() for holder in holders))
        raise PlanError(
            f"port 53 is taken: {named}; switch connection sharing off or end that program, nothing was changed"
        )
    if machine.running and "Dnscache" not in machine.running:
        raise PlanError("the service DNS Client (Dnscache) does not run; start it: without it no rule counts")
    if "\\users\\" in wish.places.program.lower():
        raise PlanError(
            f"{wish.places.program}: the service cannot read it there; make the environment under C:\\Program Files"
        )


def _notes(machine: Windows, wish: Wish, way: Way) -> list[str]:
    lines = [NEVER, NOT_YET]
    if LISTEN not in wish.listen:
        lines.append(f'dns.listen does not name {LISTEN}:53: write listen = ["{LISTEN}:53"] into {wish.places.config}')
    if way is Way.WINDOWS:
        lines.append("only programs that ask Windows follow the rule; the second belt refuses the others")
    else:
        lines.append("rules of group policy or a VPN are in force, so each adapter names blockerd instead")
        if "::1" not in wish.listen:
            lines.append('resolvers by IPv6 stay: add "[::1]:53" to dns.listen, so that they are replaced too')
    if wish.fallback:
        lines.append("--fallback has no effect on Windows yet; the service is started again within seconds")
    if "SharedAccess" in machine.running:
        lines.append("connection sharing runs: it may take port 53 on other addresses")
    lines += [f"a VPN or firewall has a rule for {', '.join(rule.namespaces)}: those names do not come here"
              for rule in machine.rules if rule.comment != COMMENT and "." not in rule.namespaces]  # fmt: skip
    return lines


_FLUSH = ("ipconfig.exe", "/flushdns")
