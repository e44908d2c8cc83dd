# ruff: noqa: RUF009  (`setting`, `table` and `tables` are dataclasses.field with more to say; their values are immutable)
"""Every setting, declared once: key, type, default, unit, help, which change is weaker, and whether its part is built.

Read by `settings.load`, `binding.change` and `cli.config`; nothing else of the package declares a key.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from blockerd.model import CATEGORIES
from blockerd.policy.schedule import DAYS
from blockerd.settings.address import (
    Endpoint,
    Upstream,
    bootstrap,
    https_url,
    listener,
    local_domains,
    network,
    upstream,
)
from blockerd.settings.declare import Setting, Weaker, declared, setting, table, table_names, tables
from blockerd.settings.value import (
    SendAt,
    choice,
    flag,
    mail_address,
    many,
    optional,
    path,
    send_at,
    text,
    whole,
    window,
    word,
)


class BlockAnswer(StrEnum):
    """What a blocked question is answered with."""

    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    ZERO = "zero"
    PAGE = "page"
    """The address of the local page; answered like NODATA until the dashboard is built."""


class YouTube(StrEnum):
    """How YouTube is restricted, weakest first."""

    OFF = "off"
    MODERATE = "moderate"
    STRICT = "strict"


class PrivateRelay(StrEnum):
    """Whether iCloud Private Relay, which goes round a local resolver, may be used; weakest first."""

    ALLOW = "allow"
    BLOCK = "block"


class Format(StrEnum):
    """Syntax of a list."""

    AUTO = "auto"
    HOSTS = "hosts"
    DOMAINS = "domains"
    WILDCARD = "wildcard"
    ADBLOCK = "adblock"
    DNSMASQ = "dnsmasq"
    RPZ = "rpz"
    UNBOUND = "unbound"
    SQUIDGUARD = "squidguard"
    REGEX = "regex"


class Level(StrEnum):
    """How fine names are kept, finest first."""

    NAME = "name"
    SITE = "site"
    CATEGORY = "category"
    COUNTS = "counts"


class Scope(StrEnum):
    """What a plain name in a list covers; weakest first."""

    EXACT = "exact"
    SUBTREE = "subtree"


class Trust(StrEnum):
    """What a list may do; weakest first: one that may rewrite can answer instead of block."""

    REWRITE = "rewrite"
    BLOCK = "block"


class OnPolicyError(StrEnum):
    """What the proxy does while it has no policy; weakest first."""

    PASS = "pass"
    BLOCK = "block"


class ProxyMode(StrEnum):
    """How traffic gets to the proxy."""

    EXPLICIT = "explicit"
    TRANSPARENT = "transparent"
    LOCAL = "local"


class Every(StrEnum):
    """How long the period of a report is."""

    DAY = "day"
    THREE_DAYS = "3-days"
    WEEK = "week"


class Per(StrEnum):
    """What a budget of time is for; weakest first."""

    DAY = "day"
    WEEK = "week"


class Security(StrEnum):
    """How mail is protected on its way to the mail server."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class RoadName(StrEnum):
    """How notes reach a reader."""

    SMTP = "smtp"
    FILE = "file"
    WEBHOOK = "webhook"
    NTFY = "ntfy"


class Role(StrEnum):
    """Who a report is for."""

    SPOUSE = "spouse"
    MENTOR = "mentor"
    THERAPIST = "therapist"
    SELF = "self"


_ID = r"(?!own-|starter-|offline-|gone-|test-name$)[a-z0-9][a-z0-9-]{0,63}"
_ZONE = r"[A-Za-z0-9_+/-]{1,64}"
_NAME = r"\S(.{0,62}\S)?"
_USER = r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}\$?"
_OWN = r"(https://|http://(127\.0\.0\.1|localhost|\[::1\])(?=[:/]))[!-?A-~]{1,500}"


@dataclass(frozen=True, slots=True)
class State:
    """[state]"""

    dir: Path = setting("var", path(), "where everything blockerd keeps lives", weaker=Weaker.ANY)


@dataclass(frozen=True, slots=True)
class Dns:
    """[dns]"""

    listen: tuple[Endpoint, ...] = setting(
        ["127.0.0.1:5335", "[::1]:5335"],
        many(listener(default_port=53), least=1),
        "each answers UDP and TCP; 5353 belongs to mDNS",
        weaker=Weaker.REMOVAL,
    )
    upstreams: tuple[Upstream, ...] = setting(
        ["9.9.9.9"], many(upstream()), '"IP[:port]", "tcp://IP", "tls://IP[:port]#name", "https://name/path"'
    )
    bootstrap: tuple[Endpoint, ...] = setting(["9.9.9.9"], many(bootstrap()), "resolves names in upstreams")
    block_answer: BlockAnswer = setting(
        "nxdomain", choice(BlockAnswer, later=[BlockAnswer.PAGE]), 'or "nodata", "zero" ("page" with the dashboard)'
    )
    block_ttl: int = setting(60, whole(0, 86400), "how long a blocked answer may be kept", unit="seconds")
    cache_entries: int = setting(50000, whole(0, 5_000_000), "answers kept in memory", unit="entries")
    spool_mb: int = setting(
        256, whole(1, 1_048_576), "most that waits to be taken into the log", unit="MB", weaker=Weaker.LOWER
    )
    local_domains: tuple[tuple[str, Upstream], ...] = setting(
        {}, local_domains(), '"lan" = "192.168.1.1": asked there instead'
    )
    portal_minutes: int = setting(
        10, whole(0, 60), "sign-in names go to a new network's resolver; 0: never by itself", unit="minutes"
    )
    safe_search: bool = setting(True, flag(), "search engines in their safe mode", weaker=Weaker.OFF)
    youtube: YouTube = setting("moderate", choice(YouTube), "off, moderate, strict", weaker=Weaker.EARLIER)
    private_relay: PrivateRelay = setting(
        "block", choice(PrivateRelay), 'or "allow": it goes round this filter', weaker=Weaker.EARLIER
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """[[lists.source]]; either `path` or `url` is set."""

    id: str = setting(
        None,
        text(
            "id",
            _ID,
            "write lower-case letters, digits, hyphens; own-, starter-, offline-, gone- and test-name are taken",
        ),
        "a short name of your own",
        required=True,
        sample="mine",
        weaker=Weaker.ANY,
    )
    category: str = setting(
        None, word("category", CATEGORIES), "what it lists", required=True, sample="adult", weaker=Weaker.ANY
    )
    path: Path | None = setting(
        None, optional(path()), 'or url = "https://…"', sample="lists/mine.txt", weaker=Weaker.ANY
    )
    url: str | None = setting(None, optional(https_url()), "where it is fetched", weaker=Weaker.ANY)
    format: Format = setting(
        "auto",
        choice(Format),
        "hosts domains wildcard adblock dnsmasq rpz unbound squidguard regex",
        weaker=Weaker.ANY,
    )
    scope: Scope = setting("subtree", choice(Scope), 'or "exact": without the names below', weaker=Weaker.EARLIER)
    trust: Trust = setting("block", choice(Trust), 'or "rewrite": may give another answer', weaker=Weaker.EARLIER)
    max_bytes: int = setting(
        67108864, whole(1, 1 << 30), "larger ones are not taken", unit="bytes", weaker=Weaker.LOWER
    )
    enabled: bool = setting(True, flag(), "false leaves it out", weaker=Weaker.OFF)


@dataclass(frozen=True, slots=True)
class Lists:
    """[lists]"""

    starter: bool = setting(True, flag(), "the shipped starter files", weaker=Weaker.OFF)
    refresh_hours: int = setting(24, whole(1, 8760), "how often lists are fetched", unit="hours", weaker=Weaker.HIGHER)
    grace_days: int = setting(
        0, whole(0, 365), "names that leave a list stay blocked", unit="days", weaker=Weaker.LOWER
    )
    categories: tuple[str, ...] = setting(
        ["adult", "cam", "chat"], many(word("category", CATEGORIES)), "those that block", weaker=Weaker.REMOVAL
    )
    source: tuple[Source, ...] = tables(Source, label="id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """[[schedule]]: when a category blocks. `days` as in `policy.schedule.DAYS`, `windows` as "HH:MM-HH:MM"."""

    category: str = setting(
        None, word("category", CATEGORIES), "what it is about", required=True, sample="chat", weaker=Weaker.ANY
    )
    days: tuple[str, ...] = setting(
        list(DAYS),
        many(word("day", DAYS), least=1),
        "on which a window begins; left out: every day",
        sample=["mon", "tue"],
        weaker=Weaker.ANY,
    )
    windows: tuple[str, ...] = setting(
        None,
        many(window(), least=1),
        "when it blocks; without a schedule: always",
        required=True,
        sample=["21:00-07:00"],
        weaker=Weaker.ANY,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """[[client]]: a device of the home network. `addresses` in CIDR form."""

    name: str = setting(None, text("name", _NAME), "what you call it", required=True, sample="living-room-tv")
    addresses: tuple[str, ...] = setting(
        None,
        many(network(), least=1),
        "addresses or networks",
        required=True,
        sample=["192.168.1.30/32"],
    )
    enrolled: bool = setting(False, flag(), "false: filtered, not recorded")


@dataclass(frozen=True, slots=True)
class Privacy:
    """[privacy]"""

    level: Level = setting("site", choice(Level), "how fine names are kept: name site category counts")
    retention_days: int = setting(90, whole(14, 3650), "how long what is recorded is kept", unit="days")


@dataclass(frozen=True, slots=True)
class Time:
    """[time]"""

    zone: str = setting(
        "Europe/Berlin", text("time zone", _ZONE, "write e.g. Europe/Berlin"), "your own, pinned", weaker=Weaker.ANY
    )


@dataclass(frozen=True, slots=True)
class Web:
    """[web]"""

    listen: Endpoint = setting("127.0.0.1:8053", listener(default_port=8053), "the dashboard", built=False)


@dataclass(frozen=True, slots=True)
class Proxy:
    """[proxy]"""

    enabled: bool = setting(False, flag(), "the HTTPS proxy, for pages; with the next start", weaker=Weaker.OFF)
    listen: Endpoint = setting(
        "127.0.0.1:8054", listener(default_port=8054), "where browsers find it", weaker=Weaker.ANY
    )
    mode: ProxyMode = setting("explicit", choice(ProxyMode), "transparent local: for programs without proxy settings",
                         weaker=Weaker.ANY)  # fmt: skip
    on_policy_error: OnPolicyError = setting(
        "block", choice(OnPolicyError), 'or "pass": while it has no policy', weaker=Weaker.EARLIER
    )


@dataclass(frozen=True, slots=True)
class Agent:
    """[agent]"""

    titles: bool = setting(False, flag(), "whether window titles are read")
    hide: tuple[str, ...] = setting(
        [], many(text("pattern", _NAME)), 'apps and titles whose title is not kept, "*bank*"'
    )
    users: tuple[str, ...] = setting(
        [],
        many(text("user", _USER, "write a login name")),
        "whose agents are heard, and whose record this is, beside who installed",
    )
    late: tuple[str, ...] = setting(["23:00-05:00"], many(window()), "your own late hours")
    long_minutes: int = setting(120, whole(15, 1440), "from when on a session is long", unit="minutes")
    baseline: str = setting(
        "", text("week", r"(\d{4}-W\d{2})?", "write e.g. 2026-W47"), "your week to set others beside, e.g. 2026-W47"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """[[budget]]: time that the person wants to keep to; it closes nothing. A warning comes `warn` minutes before."""

    of: str = setting(
        None,
        text("name", _NAME, "write an app, a category or all"),
        "an app as `blockerd time app` names it, a category, or all",
        required=True,
        sample="firefox",
        weaker=Weaker.ANY,
    )
    minutes: int = setting(
        None, whole(1, 10080), "at most", unit="minutes", required=True, sample=60, weaker=Weaker.HIGHER
    )
    per: Per = setting("day", choice(Per), "day week", weaker=Weaker.EARLIER)
    warn: int = setting(10, whole(0, 600), "how long before its end you are told", unit="minutes")


@dataclass(frozen=True, slots=True)
class Smtp:
    """[report.smtp]; the password stands alone in the file `password_file`."""

    host: str = setting("127.0.0.1", text("host", r"[A-Za-z0-9._:-]{1,253}", "write a name or address"), "mail server")
    port: int = setting(587, whole(1, 65535), "its port")
    user: str = setting("", text("user", r".{0,255}"), "who logs in; empty: nobody")
    from_: str = setting("", mail_address(may_be_empty=True), "sender's address")
    security: Security = setting("starttls", choice(Security), "starttls tls none (loopback only)")
    password_file: Path = setting("smtp-password", path(), "a file that holds the password alone")


@dataclass(frozen=True, slots=True)
class NoteFolder:
    """[report.file]: for readers with road = "file", to whom the notes are carried by hand."""

    folder: Path = setting("notes", path(), "where their notes are laid, for you to carry")


@dataclass(frozen=True, slots=True)
class NoteAddress:
    """[report.webhook], [report.ntfy]; the token stands alone in the file `token_file`."""

    url: str = setting("", text("address of your own", rf"({_OWN})?", "write https://host/path"), "where notes go")
    token_file: Path = setting("note-token", path(), "a file that holds a bearer token alone; may be missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """[[report.partner]]: who reads the reports. Sharing less is never weaker, so no change here is."""

    name: str = setting(
        None,
        text("name", _NAME, "write 1 to 64 letters"),
        "what you call them",
        required=True,
        sample="Robin",
    )
    address: str = setting(
        None,
        mail_address(),
        "where mail goes",
        required=True,
        sample="robin@mail.example",
    )
    role: Role = setting(None, choice(Role), "spouse mentor therapist self", required=True, sample="spouse")
    road: RoadName = setting("smtp", choice(RoadName), "smtp file webhook ntfy")


@dataclass(frozen=True, slots=True)
class Report:
    """[report]"""

    every: Every = setting("week", choice(Every), "day 3-days week")
    send_at: SendAt = setting("sun 18:00", send_at(), "when it goes out")
    country: str = setting(
        "",
        text("country", r"([A-Z]{2})?", "write two letters, e.g. DE"),
        "its help lines come first; empty: by time.zone",
    )
    yardsticks: bool = setting(False, flag(), "three signs and a mark of hours, for self and therapist")
    smtp: Smtp = table(Smtp)
    file: NoteFolder = table(NoteFolder)
    webhook: NoteAddress = table(NoteAddress)
    ntfy: NoteAddress = table(NoteAddress)
    partner: tuple[Partner, ...] = tables(Partner, label="name")


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration; paths are absolute. `path` is the file it came from, None for the defaults.

    `notes` are one-line remarks for `config check`: what has no effect; `passed` is what is wrong, in tables that
    whoever asked does not read.
    """

    state: State = table(State)
    dns: Dns = table(Dns)
    lists: Lists = table(Lists)
    schedule: tuple[Schedule, ...] = tables(Schedule, label="category")
    client: tuple[Client, ...] = tables(Client, label="name")
    privacy: Privacy = table(Privacy)
    time: Time = table(Time)
    web: Web = table(Web)
    proxy: Proxy = table(Proxy)
    agent: Agent = table(Agent)
    budget: tuple[Budget, ...] = tables(Budget, label="of")
    report: Report = table(Report)
    path: Path | None = None
    given: frozenset[str] = field(default=frozenset(), repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)
    passed: tuple[str, ...] = field(default=(), repr=False)

    def value(self, name: str) -> object:
        """The value of the setting or array of tables `name`, e.g. "dns.block_ttl".

        Raises:
            AttributeError: there is none of this name.
        """
        found: object = self
        for part in name.split("."):
            found = getattr(found, "from_" if part == "from" else part)
        return found

    def origin(self, name: str) -> str:
        """ "file" if the configuration file sets `name`, else "default"."""
        return "file" if name in self.given else "default"


SETTINGS: tuple[Setting, ...] = tuple(declared(Settings))
"""Every key, in the order of the example file."""

TABLES: tuple[tuple[str, bool], ...] = tuple(table_names(Settings))
"""(name, is an array) of every table, in the same order."""
