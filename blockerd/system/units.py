"""The service user and the units of systemd: as few rights as each needs, started again whenever it ends. Pure.

`dns` alone may bind port 53; `control` alone reaches out; the watchdog and the belt are root with one capability or
none. The resolver does not wait for a network: it needs none to refuse. Called by `system.plan` and `nftables`.
"""

from pathlib import PurePosixPath

from blockerd.system import resolved
from blockerd.system.picture import Machine, loopback
from blockerd.system.steps import Command, File, Folder, Link, Owned, Step, digest
from blockerd.system.watched import Watched, words
from blockerd.system.wish import Places, Way, Wish

FOLDER = "/etc/systemd/system"
USER_FOLDER = "/etc/systemd/user"
DNS, CONTROL, PROXY = "blockerd-dns.service", "blockerd-control.service", "blockerd-proxy.service"
WATCHDOG, PROBE, AGENT = "blockerd-watchdog.service", "blockerd-probe.service", "blockerd-agent.service"
AGENT_SOCKET = "/run/blockerd/agent.sock"
"""Where `control` hears the agents of all users, who may not look into its state."""
GUARD_FOLDER = "/run/blockerd-guard"

_ACCOUNTS = tuple(f"/etc/{name}" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid"))
_TOUCHED = (*_ACCOUNTS, *(f"{path}-" for path in _ACCOUNTS), "/etc/.pwd.lock")
_HEAD = "# Written by blockerd; `blockerd uninstall` takes it away again.\n"

_COMMON = """NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
"""
# ProcSubset=pid would hide the boot id, which the record needs. A refused call is an error and no death: nmcli, which
# control asks for the network's resolver, only tries one.

_SERVICE = """User={user}
Group={user}
ReadWritePaths={state}
Type=notify
NotifyAccess=main
TimeoutStartSec=60
WatchdogSec=30
WatchdogSignal=SIGKILL
Restart=always
RestartSec=1
"""


def account(places: Places, machine: Machine) -> tuple[Step, ...]:
    """System users without a shell or a home; the probe has one that the packet filter knows nothing of."""
    return tuple(
        Command(f"the service user {user}", (*_USERADD, places.state, user), ("userdel", user), _TOUCHED)
        for user in (places.user, places.probe_user)
        if user not in machine.users
    )


_USERADD = (
    *("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"), "--home-dir",
)  # fmt: skip


def install(wish: Wish, machine: Machine) -> tuple[Step, ...]:
    """Folders, units, the first policy, and both processes started; the filter answers when this is done."""
    places = wish.places
    named = [DNS, CONTROL, *([PROXY] if wish.proxy else [])]
    texts = {DNS: dns_unit(places), CONTROL: control_unit(places, wish.person), PROXY: proxy_unit(places)}
    files = [
        step
        for name in named
        for step in (
            File(f"the unit {name}", unit_path(name), texts[name].encode()),
            Link(f"{name} at each start", wanted_by("multi-user.target", name), unit_path(name)),
        )
    ]
    folder = PurePosixPath(places.config).parent
    own = folder.name == "blockerd"  # /etc itself stays as it is where the settings lie in it
    python = str(PurePosixPath(places.program).with_name("python"))
    as_service = ("runuser", "-u", places.user, "--", places.program)
    return (
        Folder("state and record", places.state, 0o700, data=True),
        Owned("state and record are the service's", places.state, places.owner, 0o700, below=True),
        *([Owned("the service may look in", str(folder), f"root:{places.user}", 0o750)] if own else []),
        Owned("settings are read by the service", places.config, f"root:{places.user}", 0o640),
        Command("systemd reads its units again", inverse=("systemctl", "daemon-reload")),
        *files,
        *(_agent(places, wish.person) if wish.agent and wish.person else ()),
        Command("systemd reads its units again", forward=("systemctl", "daemon-reload")),
        Command("the first policy", (*as_service, "lists", "build", "--config", places.config)),
        *(start(machine, name) for name in named),
        Command("the filter answers", (python, "-I", "-m", "blockerd.system.answers", *wish.listen)),
    )


def start(machine: Machine, name: str) -> Step:
    """Starts a unit of ours. The way back of one that runs already stands in the manifest of the install before, below
    what points at it, and must not come before that.
    """
    return Command(
        f"start {name}", ("systemctl", "restart", name), () if name in machine.units else ("systemctl", "stop", name)
    )


def beside(wish: Wish, machine: Machine, way: Way) -> tuple[Step, ...]:
    """The self-probe and the guard: started last, when all that they look after is there."""
    texts = ((PROBE, probe_unit(wish, machine)), (WATCHDOG, watchdog_unit(wish, way)))
    return (
        Command("systemd reads its units again", inverse=("systemctl", "daemon-reload")),
        *(
            step
            for name, text in texts
            for step in (
                File(f"the unit {name}", unit_path(name), text.encode()),
                Link(f"{name} at each start", wanted_by("multi-user.target", name), unit_path(name)),
            )
        ),
        Command("systemd reads its units again", forward=("systemctl", "daemon-reload")),
        *_forgotten(machine, way),
        *(start(machine, name) for name, _ in texts),
    )


def _forgotten(machine: Machine, way: Way) -> tuple[Step, ...]:
    """On the way back, once the guard has ended: what it wrote below /run goes, and systemd-resolved reads that.

    With a guard that runs already this stands in the manifest of the install before, as in `start`; that is why no
    fallback is asked for here: a later install may choose one.
    """
    if WATCHDOG in machine.units:
        return ()
    restart = way is Way.PLAIN and machine.runs("systemd-resolved")  # else the takeover restarts it
    return (
        *((resolved.back(),) if restart else ()),
        Command("what the guard keeps is forgotten", inverse=("rm", "-rf", resolved.FALLBACK, GUARD_FOLDER)),
    )


def unit_path(name: str) -> str:
    """Where a unit of ours stands."""
    return f"{FOLDER}/{name}"


def wanted_by(target: str, name: str) -> str:
    """The link by which `target` starts `name`, as `systemctl enable` makes it."""
    return f"{FOLDER}/{target}.wants/{name}"


def dns_unit(places: Places) -> str:
    """The resolver: port 53 is its one capability."""
    return _unit(
        "blockerd's DNS filter",
        "Before=nss-lookup.target\nWants=nss-lookup.target\nAfter=network.target\n",
        f"ExecStart={places.program} service dns --config {places.config}\n{_ended(places, 'dns')}"
        "ExecReload=kill -HUP $MAINPID\n"
        "AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\nOOMScoreAdjust=-500\n",
        places,
    )


def control_unit(places: Places, person: str = "") -> str:
    """The journal and the jobs; it reads the system's record of starts and stops, and hears the agent of `person`."""
    hears = f"RuntimeDirectory=blockerd\nRuntimeDirectoryMode=0755\nEnvironment=BLOCKERD_PERSON={person}\n"
    return _unit(
        "blockerd's journal and reports",
        f"After={DNS} time-sync.target\n",
        f"ExecStart={places.program} service control --config {places.config}\n{_ended(places, 'control')}"
        "ExecReload=kill -HUP $MAINPID\n"
        f"CapabilityBoundingSet=\nSupplementaryGroups=systemd-journal\n{hears if person else ''}"
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n",
        places,
    )


def proxy_unit(places: Places) -> str:
    """The HTTPS proxy, from its own environment; cffi makes callbacks at run time, hence no MemoryDenyWriteExecute."""
    text = _unit(
        "blockerd's page filter",
        f"After={DNS}\n",
        f"ExecStart={places.program} proxy --wait --config {places.config}\n"
        "ExecReload=kill -HUP $MAINPID\n"
        # Names are answered first; mitmdump is started again at 400 MB, this is for what grows faster than that.
        "Nice=5\nSystemCallErrorNumber=EPERM\nMemoryMax=700M\n"
        "CapabilityBoundingSet=\nRestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n",
        places,
    )
    plain = text.replace("Type=notify\nNotifyAccess=main\n", "Type=exec\n").replace("MemoryDenyWriteExecute=yes\n", "")
    return plain.replace("WatchdogSec=30\nWatchdogSignal=SIGKILL\n", "ProcSubset=pid\n")


def watchdog_unit(wish: Wish, way: Way) -> str:
    """Root with one capability, the one over networks: it writes one resolver file and restarts systemd-resolved."""
    python = PurePosixPath(wish.places.program).with_name("python")
    words = ["-m", "blockerd.system.watchdog", way.name.lower(), wish.fallback or "none", *wish.listen]
    asks = ["localhost", *(address for address in resolved.asked(wish) if not loopback([address]))]
    return (
        f"{_HEAD}[Unit]\nDescription=blockerd's guard: resolvers that are named later, and the time without a filter\n"
        f"After={DNS}\n\n[Service]\nExecStart={python} {' '.join(words)}\n"
        "Restart=always\nRestartSec=2\n"
        f"{_COMMON}"
        f"RuntimeDirectory=blockerd-guard\nRuntimeDirectoryMode=0755\nRuntimeDirectoryPreserve=restart\n"
        f"ReadWritePaths={'/run' if way is Way.RESOLVED else '/etc /run'}\n"
        "CapabilityBoundingSet=CAP_NET_ADMIN\n"
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK\nIPAddressDeny=any\n"
        f"IPAddressAllow={' '.join(asks)}\n"
        "\n[Install]\nWantedBy=multi-user.target\n"
    )


def probe_unit(wish: Wish, machine: Machine) -> str:
    """A user of its own, for whom the packet filter makes no exception: it sees what any program sees.

    (A DynamicUser= is refused by D-Bus where libnss-systemd is missing, and with it what NetworkManager could tell.)
    """
    python = PurePosixPath(wish.places.program).with_name("python")
    hosts = digest(machine.file("/etc/hosts") or b"")
    known = tuple(link.name for link in machine.links if link.tunnel)
    watched = Watched(wish.listen, wish.belt and machine.has("nft"), hosts, known, wish.browsers, wish.proxy_address)
    return (
        f"{_HEAD}[Unit]\nDescription=blockerd's self-probe: do programs still ask the filter\n"
        f"After={DNS}\n\n[Service]\nExecStart={python} -m blockerd.system.selfprobe {' '.join(words(watched))}\n"
        f"User={wish.places.probe_user}\nGroup={wish.places.probe_user}\nType=notify\nNotifyAccess=main\nWatchdogSec=300\nRestart=always\nRestartSec=5\n"
        f"RuntimeDirectory=blockerd-probe\nRuntimeDirectoryMode=0755\n{_COMMON}CapabilityBoundingSet=\n"
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK\nNice=10\n"
        "\n[Install]\nWantedBy=multi-user.target\n"
    )


def belt_unit(rules: str) -> str:
    """Loads the packet filter's table after those who flush it."""
    return (
        f"{_HEAD}[Unit]\nDescription=blockerd's second belt (packet filter)\n"
        "After=nftables.service firewalld.service ufw.service\nBefore=network.target\n"
        f"ConditionPathExists={rules}\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        f"ExecStart=nft -f {rules}\nExecStop=-nft delete table inet blockerd\n"
        f"{_COMMON}CapabilityBoundingSet=CAP_NET_ADMIN\nRestrictAddressFamilies=AF_NETLINK AF_UNIX\nIPAddressDeny=any\n"
        "\n[Install]\nWantedBy=multi-user.target\n"
    )


def agent_unit(places: Places, person: str) -> str:
    """Screen time of the one who agreed, never of others who log in here. It knows no network.

    PrivateUsers= is what lets a user's manager build the rest (systemd.exec(5)).
    """
    sandbox = _COMMON
    for line in ("ProtectHome=yes\n", "PrivateTmp=yes\n", "ProtectProc=invisible\n", "ProtectSystem=strict\n"):
        assert line in sandbox
        sandbox = sandbox.replace(line, "")  # the screen's socket lies in /tmp, the window's program is looked up
    return (
        f"{_HEAD}[Unit]\nDescription=blockerd's screen time, for this session\n"
        f"PartOf=graphical-session.target\nAfter=graphical-session.target\nConditionUser={person}\n\n[Service]\n"
        f"ExecStart={places.program} agent --socket {AGENT_SOCKET}\nRestart=on-failure\nRestartSec=30\n"
        f"PrivateUsers=yes\nProtectSystem=full\nCapabilityBoundingSet=\n{sandbox}"
        "RestrictAddressFamilies=AF_UNIX\nIPAddressDeny=any\n"
        "\n[Install]\nWantedBy=graphical-session.target\n"
    )


def _agent(places: Places, person: str) -> tuple[Step, ...]:
    path = f"{USER_FOLDER}/{AGENT}"
    as_person = ("runuser", "-u", person, "--", "sh", "-c")
    return (
        Command("what the agent keeps goes from the home folder", inverse=(*as_person, _NO_BUFFERS), data=True),
        File(f"screen time, of {person} alone", path, agent_unit(places, person).encode()),
        Link("screen time in each session of theirs", f"{USER_FOLDER}/graphical-session.target.wants/{AGENT}", path),
        Command(
            "screen time in the session that is open",
            (*as_person, f"{_SESSION}systemctl --user daemon-reload; "
             f"if systemctl --user -q is-active graphical-session.target; then systemctl --user start {AGENT}; fi"),
            (*as_person, f"{_SESSION}systemctl --user stop {AGENT}"),
            may_fail=True,
        ),
    )  # fmt: skip


_SESSION = (
    "export XDG_RUNTIME_DIR=/run/user/$(id -u); test -S $XDG_RUNTIME_DIR/systemd/private || exit 0; "  # no one is there
)
_NO_BUFFERS = (
    "cd $(getent passwd $(id -u) | cut -d: -f6) && rm -rf .local/state/blockerd/agent && test -d .local/state/blockerd"
    " && rmdir -p --ignore-fail-on-non-empty .local/state/blockerd; true"
)


def _ended(places: Places, process: str) -> str:
    """How a run ended is left for the next one, which puts it on record (`journal.ended`)."""
    told = "$$SERVICE_RESULT $$EXIT_CODE $$EXIT_STATUS"
    return f"ExecStopPost=-/bin/sh -c 'echo {told} >{places.state}/run/{process}.ended'\n"


def _unit(what: str, order: str, own: str, places: Places) -> str:
    return (
        f"{_HEAD}[Unit]\nDescription={what}\n{order}StartLimitIntervalSec=0\n\n[Service]\n"
        f"{_SERVICE.format(user=places.user, state=places.state)}{own}{_COMMON}"
        "\n[Install]\nWantedBy=multi-user.target\n"
    )
