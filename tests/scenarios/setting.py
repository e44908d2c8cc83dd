"""What a scenario configures, as the service would make it of its settings: policy, rewrites, engines, upstreams.

Two engines are kept: one with its hot path, as in the service, and one without, and every answer is asked of both.
Called by `world` and `runner`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from blockerd.dns import safesearch, special
from blockerd.dns.cache import Cache
from blockerd.dns.clients import Clients
from blockerd.dns.engine import Engine, Forward, block_tail
from blockerd.dns.wire import prepare
from blockerd.model import CATEGORIES
from blockerd.policy.decide import Policy
from blockerd.policy.name import from_text, suffixes
from blockerd.settings import Upstream
from blockerd.settings.address import upstream
from tests.fakes.policies import Listing, policy
from tests.fakes.resolvers import Attempted, Hot, Outcome, engine_of, run_hot
from tests.scenarios.script import Config, Server

DEFAULT_SERVER = "192.0.2.53"


class Disagreement(AssertionError):
    """The two ways of a query do not say the same."""


@dataclass(slots=True)
class Install:
    """The resolver as `config` wants it at `now`, with the upstreams `servers` (addresses in order)."""

    config: Config
    servers_named: Sequence[str]
    now: float
    clients: Clients = field(init=False)
    engine: Engine = field(init=False)
    plain: Engine = field(init=False)
    _attempts: list[Attempted] = field(init=False)
    _general: list[Upstream] = field(init=False)
    _local: dict[bytes, Upstream] = field(init=False)

    def __post_init__(self) -> None:
        self._local = {from_text(zone): address(server) for zone, server in self.config.local_domains}
        at_home = list(self._local.values())
        self._general = [server for server in map(address, self.servers_named) if server not in at_home]
        self._general = self._general or [address(DEFAULT_SERVER)]
        groups = (([network], enrolled) for network, enrolled in self.config.clients)
        self.clients = Clients(groups, self.config.settings.get("listen", "").split())
        made = _policy(self.config)
        self.engine, self._attempts = self._engine(made)
        self.plain, _ = self._engine(made)

    def _engine(self, made: Policy) -> tuple[Engine, list[Attempted]]:
        settings = self.config.settings
        engine, attempts = engine_of(made, self.now, Cache(int(settings.get("cache_entries", "1000"))))
        engine.special = _special(settings.get("private_relay", "block"), tuple(self._local))
        engine.safe = _safe(settings.get("safe_search", "on") == "on", settings.get("youtube", "moderate"))
        engine.local = frozenset(self._local)
        engine.hide_ech = settings.get("hide_ech") == "on"
        return engine, attempts

    def add(self, config: Config, now: float) -> None:
        """Takes up a policy that holds what `config` says beside what was there, as the service does."""
        old = self.config
        self.config = replace(
            old, lists=old.lists + config.lists, settings={**old.settings, **config.settings},
            names={word: old.names.get(word, ()) + config.names.get(word, ()) for word in {*old.names, *config.names}},
        )  # fmt: skip
        fresh = _policy(self.config)
        for engine in (self.engine, self.plain):
            engine.policy = fresh
            engine.fast = prepare(fresh, now, block_tail(fresh), protected_digest=fresh.table.protected_digest)

    def servers(self, name: bytes) -> Sequence[Upstream]:
        """Who is asked about `name`: the resolver of the longest local domain it is under, else the upstreams."""
        found = next((self._local[zone] for zone in suffixes(name) if zone in self._local), None)
        return [found] if found else self._general

    def ask(self, packet: bytes, client: str, now: float, *, stream: bool, hot: Callable[[Hot, str], None]) -> Outcome:
        """What is done with `packet`; `hot` is told what the hot path recorded."""
        done = Hot(None, [], []) if stream or len(packet) > 1232 else run_hot(self.engine, packet, now)
        if done.names:
            hot(done, client)
        outcome = done.answer or self.engine.handle(packet, client, now, stream=stream, unlisted=done.unlisted)
        plain = self.plain.handle(packet, client, now, stream=stream)
        if outcome != plain:
            way = "the hot path" if done.answer else "the engine"
            raise Disagreement(f"{way} says {_shown(outcome)}, the engine without hot path {_shown(plain)}")
        return outcome

    def both(self, call: Callable[[Engine], bytes | None]) -> bytes | None:
        """What both engines say."""
        answer, plain = call(self.engine), call(self.plain)
        if answer != plain:
            raise Disagreement(f"the engine says {_shown(answer)}, the engine without hot path {_shown(plain)}")
        return answer

    def take_attempts(self) -> list[Attempted]:
        """What the engine recorded since the last call."""
        found = self._attempts.copy()
        self._attempts.clear()
        return found


def address(text: str) -> Upstream:
    """An upstream as the settings read it."""
    return upstream().read(text)


def shown(server: Upstream) -> str:
    """An upstream as scenario files write it: without the usual port."""
    return str(server).removesuffix(":53").strip("[]")


def general(servers: Sequence[Server]) -> list[str]:
    """Addresses of the scripted servers, each once, in the order of the file."""
    return list(dict.fromkeys(server.address for server in servers))


@lru_cache
def _special(private_relay: str, local: tuple[bytes, ...]) -> Mapping[bytes, special.Special]:
    return special.table(private_relay=private_relay, local=local)


@lru_cache
def _safe(engines: bool, youtube: str) -> Mapping[bytes, bytes]:
    return safesearch.table(engines=engines, youtube=youtube)


def _policy(config: Config) -> Policy:
    settings = config.settings
    lists = [
        replace(
            Listing("\n".join(one.lines) + "\n", one.category, f"list-{number}", one.format),
            trust="rewrite" if one.rewrite else "block",
        )
        for number, one in enumerate(config.lists)
    ]
    return policy(
        *lists,
        allow=config.names.get("allow", ()),
        block=config.names.get("block", ()),
        protected=config.names.get("protected", ()),
        categories=settings["categories"].split() if "categories" in settings else CATEGORIES,
        block_answer=settings.get("block_answer", "nxdomain"),
        block_ttl=int(settings.get("block_ttl", "60")),
    )


def _shown(outcome: Outcome) -> str:
    if isinstance(outcome, Forward):
        return f"Forward({outcome.query.hex()})"
    return "nothing" if outcome is None else outcome.hex()
