"""The process `dns`: binds, waits for a good policy, answers, follows policy changes, ends within a moment.

One event loop, one thread. Started by `blockerd dns`, by the supervisor and by a service manager. The order of
starting stands in `run`; the timer `_tick` is the only thing that looks at files while it serves.
"""

import asyncio
import gc
import json
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import asdict

from blockerd import clock
from blockerd.dns import front, roads, safesearch, special
from blockerd.dns.cache import Cache
from blockerd.dns.clients import Clients, clients_of, packed
from blockerd.dns.engine import Counters, Engine, block_tail
from blockerd.dns.following import Following
from blockerd.dns.gate import Question
from blockerd.dns.listener import Resolver
from blockerd.dns.sockets import Bind, bind
from blockerd.dns.upstream import Upstreams
from blockerd.dns.wire import Fast, make_serve, next_second, prepare
from blockerd.journal import spool
from blockerd.journal.alive import COUNTERS, AliveMark, Mark
from blockerd.journal.ended import ending, note_of
from blockerd.lists.guard import guard_of
from blockerd.model import Decision, kind_of
from blockerd.policy.decide import Policy
from blockerd.policy.name import from_text, site_of, to_text
from blockerd.process import (
    Lifeline,
    alive_file,
    boot_id,
    put_for_now,
    raise_descriptor_limit,
    run_folder,
    spool_folder,
)
from blockerd.report.signs import Sign, What, is_hole
from blockerd.settings import ConfigError, Settings

log = logging.getLogger(__name__)

TICK = 0.25
"""Seconds between two looks at `policy.current`: a change is live within this time."""

STEP = 1.0
"""Seconds between two ticks by which a clock is not slewed but set."""

_COLLECT = (50_000, 20, 50)
"""How seldom cycles are looked for: a kept answer is made of tuples that are in none, and each look goes through them
(6 % of a forwarded question with Python's own 700, 2026-11)."""

_STATUS_EVERY = 4
_MARK_EVERY, _ALIVE_EVERY = 120, 240
"""Ticks between status writes (1 s), alive marks in their file (30 s), and signs of life in the spool (60 s)."""


class DnsProcess:
    """The resolver process; `run` returns when it is told to end."""

    def __init__(self, settings: Settings, reload: Callable[[], Settings], listen: Bind = bind) -> None:
        self._settings = settings
        self._bind = listen
        self._reload = reload
        self._following = Following(settings.state.dir, lambda: guard_of(self._settings))
        self._writer = spool.Writer(
            spool_folder(settings), "dns", clock.now_us, clock.monotonic, cap_bytes=settings.dns.spool_mb << 20
        )
        self._cache = Cache(settings.dns.cache_entries)
        self._roads = roads.Following(settings.state.dir / "run" / roads.FILE, boot_id)
        self._front = front.Front(settings.state.dir / "run" / front.FILE, boot_id)
        self._upstreams: Upstreams | None = None
        self._since = 0.0
        self._booted = 0.0
        self._next_change: float | None = None
        self._engine: Engine | None = None
        self._clients = Clients()
        self._resolver: Resolver | None = None
        self._alive = AliveMark(alive_file(settings, "dns"))
        self._run = (self._alive.previous.run if self._alive.previous else 0) + 1
        self._last: Sign | None = None
        self._ticks = 0
        self._status = b""

    async def run(self, lifeline: Lifeline) -> None:
        """Binds first, then waits for a policy, then reads; ends on SIGTERM, SIGINT or the supervisor's death.

        Raises:
            BindError: an address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        end = asyncio.Event()
        pairs = self._bind(self._settings.dns.listen)
        raise_descriptor_limit()
        gc.set_threshold(*_COLLECT)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end.set)
        loop.add_signal_handler(signal.SIGHUP, self._read_again, loop)
        lifeline.watch(loop, end.set)
        self._clients = clients_of(self._settings)
        self._upstreams = _upstreams(self._settings, loop)
        self._resolver = Resolver(pairs, self._writer, self._upstreams, loop, self._clients)
        lifeline.say("bound")
        lifeline.beat(loop)
        ended = ending(os.environ, note_of(run_folder(self._settings), "dns"))
        self._sign("start", mark=_told(self._alive.previous), ended=ended)
        self._mark(What.START)
        ticking = loop.create_task(self._tick_for_ever(lifeline))
        told = loop.create_task(end.wait())
        await asyncio.wait((ticking, told), return_when=asyncio.FIRST_COMPLETED)
        if ticking.done():
            ticking.result()  # a surprise in the timer: end with it, and be started again, rather than go on blind
        ticking.cancel()
        self._resolver.close()
        self._sign("stop")
        self._alive.stopped(*self._moment())
        self._alive.close()
        self._writer.close()
        if lost := self._writer.take_lost():
            log.warning("%d events could not be kept at the end: the disk is full, slow or failing", lost)

    async def _tick_for_ever(self, lifeline: Lifeline) -> None:
        while True:
            await self._tick(lifeline)
            await asyncio.sleep(TICK)

    async def _tick(self, lifeline: Lifeline) -> None:
        """Looks for a new policy, ends memos, counts losses, says how things are."""
        now = clock.now()
        self._mind_the_clock(now)
        policy = self._following.poll(self._engine.policy if self._engine else None, now)
        if policy:
            self._adopt(policy, now)
        if self._roads.poll(clock.boottime_us()):
            self._lead()
        self._clients.another = self._front.another(clock.boottime_us())
        if self._engine and self._resolver and not self._ticks:
            await self._resolver.go(self._engine, make_serve(self._engine.fast))
            lifeline.say("ready")
            log.info("answering on %s", ", ".join(str(endpoint) for endpoint in self._settings.dns.listen))
        if not self._engine:
            return
        self._ticks += 1
        if self._next_change is not None and not self._since <= now < self._next_change:  # or the clock was set back
            self._adopt(self._engine.policy, now)
        if self._ticks % _STATUS_EVERY == 0:
            next_second(self._engine.fast)
            self._writer.flush()
            self._say_status(now)
        if self._ticks % _ALIVE_EVERY == 0:
            self._sign("alive")
        if self._ticks % _MARK_EVERY == 0:
            self._mark(What.MARK)
        if lost := self._writer.tell_lost():
            log.warning("%d events could not be kept: the disk is full or failing", lost)

    def _mind_the_clock(self, now: float) -> None:
        """Forgets what has a time to end where the clock was set back: it would stay for as long as the step."""
        before, self._booted = self._booted, now - clock.boottime_us() / 1e6
        if self._engine and self._booted < before - STEP:
            self._engine.forget()

    def _moment(self) -> tuple[int, int, int, str, int]:
        """Now by every clock (µs), the boot and the number of this run, as alive marks keep it."""
        return clock.now_us(), clock.boottime_us(), clock.monotonic_us(), boot_id(), self._run

    def _mark(self, what: What) -> None:
        """Marks in the file that this process is alive; a hole since the last mark (sleep, a clock that was set, a
        process that stood still) is told to the record, so that it is placed to half a minute."""
        at, boottime, monotonic, boot, run = self._moment()
        sign = Sign(at, boot, run, boottime, monotonic, what)
        if self._last and is_hole(self._last, sign):
            for kind, one in ((What.MARK, self._last), (What.AGAIN, sign)):
                self._writer.event({
                    "kind": kind, "process": "dns", "at": one.wall_us, "boot": one.boot, "run": one.run,
                    "boottime": one.boottime_us, "monotonic": one.monotonic_us,
                })  # fmt: skip
        self._last = sign
        counters = tuple(asdict(self._engine.counters).values())[:COUNTERS] if self._engine else ()
        self._alive.mark(at, boottime, monotonic, boot, run, counters)

    def _sign(self, state: str, **more: object) -> None:
        """A sign of life in the spool."""
        _, boottime, monotonic, boot, run = self._moment()
        times = {"run": run, "boottime": boottime, "monotonic": monotonic}
        self._writer.event({"kind": "coverage", "process": "dns", "state": state, "boot": boot, **times, **more})

    def _read_again(self, loop: asyncio.AbstractEventLoop) -> None:
        """SIGHUP: takes up upstreams, cache and answers of an edited configuration; a bad one is told and left."""
        self._following.again()
        try:
            fresh = self._reload()
        except ConfigError as error:
            log.warning("%s; the settings stay as they were", "; ".join(error.problems))
            return
        for key in ("listen", "spool_mb"):
            if getattr(fresh.dns, key) != getattr(self._settings.dns, key):
                log.warning("dns.%s has changed: it takes effect at the next start", key)
        self._settings = fresh
        if self._resolver:
            self._clients = clients_of(fresh)
            self._clients.another = self._front.another(clock.boottime_us())
            self._upstreams = _upstreams(fresh, loop)
            self._upstreams.lead(self._roads.zones)
            self._resolver.ask(self._upstreams, self._clients)
        if self._engine:
            self._cache = Cache(fresh.dns.cache_entries)
            self._engine = self._engine_for(self._engine.policy, self._engine.fast, self._engine.counters)
            if self._resolver and self._ticks:
                self._resolver.change(self._engine, make_serve(self._engine.fast))

    def _lead(self) -> None:
        """Lets upstreams and engine know the roads; what is kept ready for other zones' answers is made anew."""
        if self._upstreams:
            self._upstreams.lead(self._roads.zones)
        engine = self._engine
        if engine:
            engine.local, engine.fleeting = self._local(), frozenset(self._roads.zones)
            engine.special = special.table(private_relay=self._settings.dns.private_relay, local=engine.local)
            engine.failed.clear()
            engine.fast.templates.clear()
            engine.fast.memo.clear()

    def _local(self) -> frozenset[bytes]:
        """Zones in wire form that a resolver in this network knows, configured or for now."""
        return frozenset(from_text(zone) for zone, _ in self._settings.dns.local_domains) | frozenset(self._roads.zones)

    def _adopt(self, policy: Policy, now: float) -> None:
        """Makes `policy` the live one, with the hot path as of `now`."""
        fast = prepare(policy, now, block_tail(policy), protected_digest=self._following.guard.digest)
        if self._engine is None:
            self._engine = self._engine_for(policy, fast, Counters())
        else:
            self._engine.policy, self._engine.fast = policy, fast
        self._since = now
        self._next_change = policy.state.schedules.next_change(now)
        self._writer.meta(meta_of(policy), spool.Level(policy.state.level))
        if self._resolver and self._ticks:
            self._resolver.change(self._engine, make_serve(fast))

    def _engine_for(self, policy: Policy, fast: Fast, counters: Counters) -> Engine:
        """An engine that answers as the settings want it."""
        dns = self._settings.dns
        local = self._local()
        return Engine(
            policy,
            self._cache,
            self._attempted,
            fast,
            special=special.table(private_relay=dns.private_relay, local=local),
            safe=safesearch.table(engines=dns.safe_search, youtube=dns.youtube),
            local=local,
            fleeting=frozenset(self._roads.zones),
            hide_ech=self._settings.proxy.enabled,
            counters=counters,
        )

    def _attempted(self, question: Question, decision: Decision, name: bytes, client: str) -> None:
        """Spools an attempt that the engine refused, cut to the privacy level before it touches the disk."""
        assert self._engine is not None
        if not self._clients.enrolled(packed(client)):
            return
        state = self._engine.policy.state
        site = decision.site or site_of(name)
        source = decision.rule.source if decision.rule else ""
        titles = {entry.id: entry.title for entry in self._engine.policy.table.sources}
        bare = state.level == spool.Level.COUNTS
        shown, of = cut(state.level, to_text(question.name), to_text(site))
        self._writer.event({
            "kind": "attempt", "time": clock.now_us(), "name": shown, "site": of, "qtype": question.qtype,
            "category": "" if bare else decision.category, "source": "" if bare else source,
            "list": "" if bare else titles.get(source, "own block list"), "action": decision.action, "channel": "dns",
            "client": client.partition("%")[0], "user": "", "attempt": kind_of(decision.category),
        })  # fmt: skip

    def _say_status(self, now: float) -> None:
        """Writes `run/dns.json` where something changed, for `status`; a page of memory, no sync."""
        assert self._engine is not None
        policy = self._engine.policy
        status = {
            "pid": os.getpid(), "generation": policy.generation, "state": policy.state.number,
            "counters": asdict(self._engine.counters), "cache": len(self._cache), "problem": self._problem(),
        }  # fmt: skip
        data = json.dumps(status).encode()
        if data == self._status:
            return
        try:
            put_for_now(run_folder(self._settings) / "dns.json", data)
        except OSError:
            return  # tried again at the next look
        self._status = data

    def _problem(self) -> str:
        """What is in the way of the newest policy or of the record, as one line; "" for nothing."""
        trouble = self._writer.trouble
        kept = f"what happens cannot be kept now, only counted ({trouble}); free some space or look at the disk"
        return "; ".join(filter(None, (self._following.problem, kept if trouble else "")))


def _upstreams(settings: Settings, loop: asyncio.AbstractEventLoop) -> Upstreams:
    dns = settings.dns
    local = {from_text(zone): address for zone, address in dns.local_domains}
    return Upstreams(dns.upstreams, loop, local=local, bootstrap=dns.bootstrap)


def _told(mark: Mark | None) -> dict[str, int | str]:
    """The last alive mark of the run before, for the record; empty where there is none."""
    if mark is None:
        return {}
    return {
        "at": mark.wall_us, "boot": mark.boot, "run": mark.run, "boottime": mark.boottime_us,
        "monotonic": mark.monotonic_us,
    }  # fmt: skip


def cut(level: str, name: str, site: str) -> tuple[str, str]:
    """Name and site as the privacy level keeps them."""
    if level == spool.Level.NAME:
        return name, site
    return ("", site) if level == spool.Level.SITE else ("", "")


def meta_of(policy: Policy) -> spool.Meta:
    """What the attempts recorded under `policy` need to be read."""
    table = policy.table
    action = "NXDOMAIN" if policy.state.block_answer == "nxdomain" else "NODATA"
    combos = tuple(
        (table.sources[c.source].id, table.sources[c.source].title, c.category_id, str(kind_of(c.category_id)))
        for c in table.combos
    )
    return spool.Meta(policy.generation, f"policy-{policy.generation}.snapshot", action, combos)


def main(settings: Settings, reload: Callable[[], Settings], lifeline: Lifeline, listen: Bind = bind) -> None:
    """Runs the process to its end; `reload` reads the configuration again, `listen` binds as `bind` does.

    Raises:
        BindError: an address cannot be listened on.
    """
    asyncio.run(DnsProcess(settings, reload, listen).run(lifeline))
