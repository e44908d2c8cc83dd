"""How `control` keeps up with the networks this machine is in: sign-in windows and the domains of VPNs.

Glances each second, looks when something changed, records what opens, closes, comes and goes, and leaves for `dns` one
file that says who is asked about which names and until when. Decides by `system.portal`; a file that cannot be written
is told once and tried again. Called by `control`.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockerd import clock
from blockerd.dns.roads import FILE, Road, elsewhere, to_bytes
from blockerd.policy.name import BadName, from_text, to_text
from blockerd.process import boot_id, put_for_now, run_folder
from blockerd.settings import Settings
from blockerd.system import network, portal
from blockerd.system.apply import run
from blockerd.system.portal import Net, Window

if TYPE_CHECKING:
    from blockerd.system.picture import NetLink

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two glances."""

AGAIN, CALM = 5.0, 60.0
"""Seconds between two looks: within a minute after a change, while leases come in, and later."""

PATIENCE = 5.0
"""Seconds that a command which is asked about links may take."""

LEASE = 3 * portal.MINUTE
"""For how long `dns` believes the domains of a VPN after the last look (µs): longer than two looks are apart."""

Record = Callable[[dict[str, Any]], object]


class Networks:
    """Looks at the networks below `root` and writes `run/roads.json`. `record` puts an event into the spool."""

    def __init__(
        self, settings: Settings, record: Record, root: Path = Path("/"), runner: network.Runner | None = None
    ) -> None:
        self.settings = settings
        self._record = record
        self._root = root
        self._run = runner or brief
        self._path = run_folder(settings) / FILE
        self._net, late = restored(self._path, boot_id(), clock.boottime_us(), clock.now_us())
        for event in late:
            record(event)
        self._glance = network.Glance()
        self._links: tuple[NetLink, ...] = ()
        self._glance_at, self._look_at, self._calm_at = 0.0, 0.0, 0.0
        self._looking: asyncio.Task[None] | None = None
        self._said = ""

    def look(self) -> None:
        """Called often: one glance a second, and the begin of a look where one is due, which holds nothing up."""
        if clock.monotonic() < self._glance_at or (self._looking and not self._looking.done()):
            return
        self._glance_at = clock.monotonic() + EVERY
        if self._looking and (error := self._looking.exception()):
            log.warning("networks: %s: %s; looked at again later", type(error).__name__, error)
        self._looking = None
        seen, now = network.glance(self._root), clock.monotonic()
        if seen != self._glance:
            self._glance, self._look_at, self._calm_at = seen, now, now + CALM
        if now >= self._look_at:
            self._look_at = now + (AGAIN if now < self._calm_at else CALM)
            self._looking = asyncio.get_running_loop().create_task(self._look(seen.joined))
        elif self._net.window:
            self._take(*portal.passed(self._net, clock.boottime_us()))

    async def _look(self, joined: portal.Joined) -> None:
        links = await asyncio.to_thread(network.look, self._root, self._run)
        self._links = links
        minutes = self.settings.dns.portal_minutes
        self._take(*portal.seen(self._net, links, joined, clock.boottime_us(), minutes), always=True)

    def _take(self, net: Net, events: Sequence[portal.Event], *, always: bool = False) -> None:
        """Makes `net` what holds: recorded first, then written for `dns`."""
        changed, self._net = net != self._net, net
        for event in events:
            self._record(event)
        if changed or always:
            self._write()

    def _write(self) -> None:
        now = clock.boottime_us()
        found = portal.zones(self._net, self._links, self._glance.joined)
        roads = [
            Road(zone.name, servers, zone.until or now + LEASE)
            for zone in found
            if (servers := tuple(filter(elsewhere, zone.servers)))
        ]
        told = {"window": asdict(self._net.window) if self._net.window else None, "vpn": self._net.vpn,
                "known": sorted(self._net.known)}  # fmt: skip
        trouble = ""
        try:
            put_for_now(self._path, to_bytes(roads, self._net.boot, told))
        except OSError as error:
            trouble = f"{self._path}: {error.strerror}; sign-in pages and VPN names wait until it can be written"
        if trouble and trouble != self._said:
            log.warning("%s", trouble)
        self._said = trouble

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What is said to `{"do": "portal", "want": "open" | "close" | "status", "names": [...]}`."""
        want, now = request.get("want"), clock.boottime_us()
        if want == "open":
            try:
                names = [to_text(from_text(str(name))) for name in list(request.get("names", []))]
            except (BadName, TypeError) as error:
                return {"error": f"no domain name ({error})"}
            if len(names) > portal.MOST_NAMES:
                return {"error": f"{portal.MOST_NAMES} names at most"}
            minutes = self.settings.dns.portal_minutes or 10
            self._take(*portal.opened(self._net, names, now, minutes, portal.ASKED))
        elif want == "close":
            self._take(*portal.closed(self._net, portal.ASKED))
        elif want != "status":
            return {"error": "want is open, close or status"}
        return self.state()

    def state(self) -> dict[str, Any]:
        """The window as a person is told of it: `seconds` left, 0 while it is closed; `resolvers` of the network."""
        window = self._net.window
        left = (window.until - clock.boottime_us()) // 1_000_000 if window else 0
        return {
            "open": left > 0, "seconds": max(0, left), "why": window.why if window else "",
            "names": list(window.names) if window else [], "vpn": list(self._net.vpn),
            "resolvers": list(portal.resolvers(self._links, self._glance.joined)),
        }  # fmt: skip


def restored(path: Path, boot: str, now: int, wall: int) -> tuple[Net, list[portal.Event]]:
    """What an earlier run of this boot remembered; a window of before that has ended since is recorded as ended then.

    A VPN that was up is taken for gone: whether it is still there, the first look tells, and the time in between was
    seen by nobody.
    """
    fresh = Net(boot)
    try:
        got = json.loads(path.read_bytes())
        same = got["boot"] == boot
        known = frozenset((str(a), str(b), int(c)) for a, b, c in got["known"])
        told = got["window"]
        window = Window(int(told["until"]), str(told["why"]), tuple(map(str, told["names"]))) if told else None
    except (OSError, ValueError, KeyError, TypeError):
        return fresh, []
    if not same:
        return fresh, portal.closed(Net(boot, window=window), "restart")[1]
    net, events = portal.passed(Net(boot, known, window), now)
    ended = wall - (now - window.until) if window else wall
    return net, [event | {"at": ended} for event in events]


def brief(words: Sequence[str]) -> tuple[int, str]:
    """Runs a command that only tells, for `PATIENCE` seconds at most."""
    return run(words, PATIENCE)


def read_state(settings: Settings) -> dict[str, Any]:
    """What the file says now, for `status`: `seconds` that the window is still open, and the links of VPNs."""
    try:
        got = json.loads((settings.state.dir / "run" / FILE).read_bytes())
        window = got["window"] if got["boot"] == boot_id() else None
        left = max(0, (int(window["until"]) - clock.boottime_us()) // 1_000_000) if window else 0
        vpn = [str(name) for name in got["vpn"]] if got["boot"] == boot_id() else []
    except (OSError, ValueError, KeyError, TypeError):
        return {"open": False, "seconds": 0, "why": "", "vpn": []}
    return {"open": left > 0, "seconds": left, "why": str(window["why"]) if window and left else "", "vpn": vpn}
