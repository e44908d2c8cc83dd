"""The proxy's judgement without mitmproxy: is a host or page withheld, is a connection opened, does an open one go on.

Total towards the addon: a surprise while rules are looked at falls back to the decision by name, and one in that
refuses this one request alone. Nothing is opened that stands on the never-decrypt list, is protected, has refused our
certificate before, or is not among the names that the root may sign. Called by `addon` alone.
"""

import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from blockerd import clock
from blockerd.model import Decision
from blockerd.policy.name import BadName, from_text, masked, site_of, suffixes, to_text
from blockerd.process import run_folder
from blockerd.proxy import blockpage, manifest, resolve
from blockerd.proxy.decide_url import Verdict, decide_host, decide_url, opens
from blockerd.proxy.doubt import Doubts
from blockerd.proxy.record import Recorder
from blockerd.proxy.rulesource import RuleSource
from blockerd.proxy.url import BadUrl, Url, of
from blockerd.report import texts
from blockerd.settings import OnPolicyError, Settings

if TYPE_CHECKING:
    from blockerd.report.helplines import Country

log = logging.getLogger(__name__)

FORBIDDEN, UNAVAILABLE = 403, 503
_ALIVE_EVERY = 60.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is not made: HTTP status and the page in its place."""

    status: int
    page: bytes


class Way(IntEnum):
    """What happens to a TLS connection."""

    CLOSE = 0
    PASS = 1
    """Untouched: the client sees the origin's own certificate."""
    OPEN = 2
    """Decrypted, for a page rule may speak there."""


@dataclass(slots=True)
class Counters:
    """What became of connections and requests since the start."""

    blocked: int = 0
    passed: int = 0
    opened: int = 0
    refused: int = 0
    set: int = 0
    cut: int = 0
    errors: int = 0


class Gate:
    """Judges for one proxy process; `tick` is to be called four times a second."""

    def __init__(self, settings: Settings, recorder: Recorder) -> None:
        self._settings = settings
        self._recorder = recorder
        self.source = RuleSource(settings, self._no_policy)
        self.counters = Counters()
        self._folder = manifest.proxy_folder(settings)
        self.passed = self._read_passed()
        self._next_change: float | None = None
        self._alive_at = self._said_at = 0.0
        self._status = b""
        self._surprises: set[str] = set()
        self._doubts = Doubts()
        self._texts = texts.load()
        self._country: Country | None = texts.help_by_country().of("", settings.time.zone)

    def tick(self, now: float) -> bool:
        """Takes up changes; True where open connections are to be judged again. `now` is Unix seconds."""
        changed = self.source.follow(now)
        if changed or (self._next_change is not None and now >= self._next_change):
            policy = self.source.policy
            self._next_change = policy.state.schedules.next_change(now) if policy else None
            self._recorder.level = policy.state.level if policy else self._recorder.level
            changed = True
        mono = clock.monotonic()
        if mono >= self._alive_at:
            self._recorder.sign("alive" if self._alive_at else "start")
            self._alive_at = mono + _ALIVE_EVERY
        if changed or mono >= self._said_at:
            self._said_at = mono + 1.0
            self.passed = self._read_passed()
            self._recorder.flush()
            self._say_status()
        return changed

    def close(self) -> None:
        """The last words of this process."""
        self._recorder.sign("stop")
        self._recorder.close()

    def connect(self, hosts: Iterable[str], client: str) -> Refusal | None:
        """Judges a connection to `hosts` (CONNECT host, SNI; texts or addresses); None lets it through."""
        for host in dict.fromkeys(filter(None, hosts)):
            refusal = self._near(host) or self._by_name(host, client)
            if refusal:
                return refusal
        return None

    def way(self, asked: str, sni: str, client: str) -> Way:
        """What happens to a TLS connection asked for as `asked` (CONNECT host or address) with `sni` ("" none)."""
        if self.connect((asked, sni), client):
            return Way.CLOSE
        named, shown = self.opens(asked), self.opens(sni)
        if named and not shown:
            # A page rule stands on the one host and the handshake names another, or none: that would go round the rule.
            return Way.CLOSE
        return self._count_way(Way.OPEN if shown else Way.PASS)

    def request(
        self, hosts: Iterable[str], scheme: str, port: int, target: str, client: str
    ) -> Refusal | Verdict | None:
        """Judges a request that we can read; `hosts` are all that it names. A Verdict says what to set first."""
        found: Verdict | None = None
        for host in dict.fromkeys(filter(None, hosts)):
            verdict = self._page(host, scheme, port, target)
            if verdict is None or verdict.address:
                refusal = self._near(host) or self._by_name(host, client)
                if refusal:
                    return refusal
            elif verdict.blocked:
                return self._withhold(verdict.decision, _name(host), client, "page rules")
            elif verdict.sets:
                found = verdict
        if found:
            self.counters.set += 1
        return found

    def goes_on(self, hosts: Iterable[str], urls: Iterable[Url], *, opened: bool) -> bool:
        """True if an open connection to `hosts`, with `urls` last asked for on it, may stay; records nothing."""
        policy, pages, now = self.source.policy, self.source.pages, clock.now()
        if policy is None:
            return self._settings.proxy.on_policy_error is OnPolicyError.PASS
        for host in hosts:
            name = _name(host)
            if name and (decide_host(policy, name, now).blocked or (not opened and self.opens(host))):
                return False
        return pages is None or not any(decide_url(policy, pages, url, now).blocked for url in urls)

    def opens(self, host: str) -> bool:
        """True if connections to `host` are decrypted: a rule may speak there, the root may sign for it, and no client
        has refused it."""
        policy, pages, held, name = self.source.policy, self.source.pages, self.source.manifest, _name(host)
        if policy is None or pages is None or not name or not held.trusted or host in self.passed:
            return False
        if held.ends <= clock.now() or not _may_sign(held.hosts, name):
            return False
        try:
            return opens(policy, pages, name, clock.now())
        except Exception:  # a surprise in a rule costs that rule, never the connection
            self._surprise("page rules")
            return False

    def refuses_certificate(self, host: str) -> None:
        """Remembers that a client of `host` does not take our certificate: from now on it passes untouched."""
        if not host or host in self.passed:
            return
        self.passed = {**self.passed, host: clock.now()}
        try:
            manifest.write_passed(self._folder, self.passed)
        except OSError as error:
            log.warning("passed hosts: %s", error.strerror)
        name = _name(host)
        self._recorder.notice("certificate not taken: passes from now on",
                              host=self._recorder.host(host, to_text(site_of(name)) if name else ""))  # fmt: skip

    def gave_up(self, host: str, began: float) -> None:
        """A client of the opened `host` hung up before it asked for anything; `began` is of the monotonic clock."""
        self._doubts = self._doubts.gave_up(host, began, clock.monotonic())
        if self._doubts.enough(host):
            self.asked(host)
            self.refuses_certificate(host)

    def asked(self, host: str) -> None:
        """A client of the opened `host` has asked for a page."""
        self._doubts = self._doubts.asked(host, clock.monotonic())

    def near(self, host: str) -> Refusal:
        """Refuses and records a request that leads to this machine or into the home."""
        self.counters.refused += 1
        literal = bool(resolve.literal(host)) or host == "localhost"
        name = b"" if literal else _name(host)
        shown = host if literal or not name else self._recorder.host(host, to_text(site_of(name)))
        self._recorder.notice("refused: leads to this machine or into the home", host=shown)
        return Refusal(FORBIDDEN, blockpage.refusal("Addresses of this computer and home are not reached through the"
                                                    " proxy.", self._country))  # fmt: skip

    def _near(self, host: str) -> Refusal | None:
        text = host.rstrip(".").lower()
        address = resolve.literal(text)
        if (address and resolve.is_near(address)) or is_local(text):
            return self.near(text)
        return None

    def _by_name(self, host: str, client: str) -> Refusal | None:
        """The refusal of a host by its name; without a policy what `proxy.on_policy_error` says."""
        policy, name = self.source.policy, _name(host)
        if policy is None:
            if self._settings.proxy.on_policy_error is OnPolicyError.PASS:
                return None
            return Refusal(UNAVAILABLE, blockpage.refusal("blockerd has no policy at the moment.", self._country))
        if not name:
            return None
        try:
            decision = decide_host(policy, name, clock.now())
        except Exception:  # nothing is known about this host then, and a listed one must not slip through
            self._surprise("the policy")
            return Refusal(FORBIDDEN, blockpage.refusal("This could not be decided.", self._country))
        return self._withhold(decision, name, client, "") if decision.blocked else None

    def _page(self, host: str, scheme: str, port: int, target: str) -> Verdict | None:
        policy, pages = self.source.policy, self.source.pages
        if policy is None or pages is None or is_local(host.rstrip(".").lower()):
            return None
        try:
            return decide_url(policy, pages, of(scheme, host, port, target), clock.now())
        except BadUrl:
            return None
        except Exception:  # the host was decided by name already; a surprise in a rule costs that rule
            self._surprise("page rules")
            return None

    def _withhold(self, decision: Decision, name: bytes, client: str, title: str) -> Refusal:
        """Records the attempt and gives the page; a record that cannot be written changes nothing."""
        self.counters.blocked += 1
        policy = self.source.policy
        try:
            if policy:
                self._recorder.attempt(policy, decision, name, title, client)
        except Exception:  # the block stands whatever happens to its record
            self._surprise("the record")
        return Refusal(FORBIDDEN, blockpage.page(self._why(decision, name, title), self._country))

    def _why(self, decision: Decision, name: bytes, title: str) -> blockpage.Why:
        source = decision.rule.source if decision.rule else ""
        titles = self.source.titles
        kind = f"category.{decision.category}"
        until = when(decision.until, self._settings.time.zone, clock.now()) if decision.until is not None else ""
        return blockpage.Why(
            masked(to_text(name)) if name else "",
            self._texts.text(kind) if self._texts.has(kind) else decision.category,
            titles.get(source, title or source),
            decision.reason,
            until,
        )

    def _count_way(self, way: Way) -> Way:
        if way is Way.OPEN:
            self.counters.opened += 1
        else:
            self.counters.passed += 1
        return way

    def _surprise(self, where: str) -> None:
        self.counters.errors += 1
        log.error("surprise in %s", where, exc_info=where not in self._surprises)
        self._surprises.add(where)

    def _no_policy(self, problem: str) -> None:
        with suppress(OSError):
            self._recorder.notice("no policy", action=str(self._settings.proxy.on_policy_error))

    def _read_passed(self) -> dict[str, float]:
        try:
            return manifest.passed(self._folder)
        except (OSError, ValueError):
            return getattr(self, "passed", {})

    def _say_status(self) -> None:
        """Writes `run/proxy.json` where something changed, for `status`."""
        policy = self.source.policy
        status = {
            "pid": os.getpid(), "generation": policy.generation if policy else 0, "problem": self.source.problem,
            "counters": asdict(self.counters), "passed": len(self.passed),
        }  # fmt: skip
        data = json.dumps(status).encode()
        if data != self._status:
            self._status = data
            with suppress(OSError):
                manifest.write_file(run_folder(self._settings) / "proxy.json", data)


def when(until: float, zone: str, now: float) -> str:
    """Unix seconds as people say it in their time zone: the hour, with the day where it is not today."""
    at, today = (clock.utc(seconds).astimezone(ZoneInfo(zone)) for seconds in (until, now))
    return f"{at:%H:%M}" if at.date() == today.date() else f"{at:%a %H:%M}"


def is_local(host: str) -> bool:
    """True for the names of this machine (RFC 6761 section 6.3)."""
    return host == "localhost" or host.endswith(".localhost")


def _name(host: str) -> bytes:
    """The host in canonical wire form; b"" for an address and for what is no name."""
    if resolve.literal(host):
        return b""
    try:
        return from_text(host)
    except BadName:
        return b""


def _may_sign(hosts: tuple[str, ...], name: bytes) -> bool:
    return not {to_text(one) for one in suffixes(name)}.isdisjoint(hosts)
