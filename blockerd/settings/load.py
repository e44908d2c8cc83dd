"""Finds the configuration file and reads it: all of it is good, or all that is wrong with it is said at once.

Nothing else of the package reads configuration or environment. Refuses to guess: a named file that is missing, a key
that is unknown and a value that does not fit end in `ConfigError`. Called by whoever starts a process.
"""

import ipaddress
import os
import stat
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from blockerd.policy.schedule import zone_of
from blockerd.settings.address import Endpoint
from blockerd.settings.fill import At, Filling, Place, Problem, line_of
from blockerd.settings.keys import SETTINGS, TABLES, Every, NoteAddress, RoadName, Security, Settings, State

SYSTEM_FILE = Path("/etc/blockerd/blockerd.toml")
"""Where an installed blockerd keeps its configuration."""

OF_THE_RESOLVER = frozenset({"state", "dns", "client", "proxy"})
"""Tables that the resolver reads itself; all else reaches it through the policy."""

_LOCAL_FILE = "blockerd.toml"


class ConfigError(Exception):
    """A configuration that is refused; `problems` holds one line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ConfigUnreadable(ConfigError):
    """The configuration is there, and this user may not read it."""


def find(explicit: str | None, env: Mapping[str, str], cwd: Path) -> Path | None:
    """The configuration file to use, None for the defaults. A file that was named is taken even if it is missing.

    Order: `explicit` (--config), $BLOCKERD_CONFIG, blockerd.toml in `cwd`, SYSTEM_FILE.
    """
    named = explicit or env.get("BLOCKERD_CONFIG")
    if named:
        return cwd / named
    return next((file for file in (cwd / _LOCAL_FILE, SYSTEM_FILE) if _is_there(file)), None)


def _is_there(file: Path) -> bool:
    """True also for a file we may not look at: `load` then says so, instead of going on without it."""
    try:
        return stat.S_ISREG(os.stat(file).st_mode)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False


def load(path: Path | None, env: Mapping[str, str], cwd: Path, *, only: Collection[str] | None = None) -> Settings:
    """The settings in the file `path`, or the defaults for None. Relative paths in a file are relative to it.

    Where `only` names tables, what is wrong in others is `passed` over; those are not to be read.

    Raises:
        ConfigError: the file cannot be read, or anything in it is wrong; all problems at once.
    """
    if path is None:
        return _placed(Settings(), cwd, _state_home(env))
    file = cwd / path
    body = _read(file)
    try:
        raw = tomllib.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise ConfigError([f"{file}: not TOML: {reason}"]) from None
    filling = Filling([item.name for item in SETTINGS] + [name for name, _ in TABLES])
    made: Settings = filling.fill(Settings, raw, At())
    bad = {problem.place for problem in filling.problems}
    problems = [*filling.problems, *_together(made, bad, filling.given)]
    told = _told(file, body, problems)
    if any(only is None or problem.place[0] in only for problem in problems):
        raise ConfigError(told)
    notes = [*_notes(made, filling.given), *filling.notes]
    made = replace(made, path=file, given=frozenset(filling.given), notes=tuple(notes), passed=tuple(told))
    return _placed(made, file.parent, None)


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError([f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8"]) from None
    except PermissionError as error:
        raise ConfigUnreadable(
            [f"{file}: {error.strerror}; try it with sudo, or name another file with --config"]
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError([f"{file}: {reason}; name another file with --config"]) from None


def _told(file: Path, body: str, problems: Iterable[Problem]) -> list[str]:
    """One line for each problem, in the order of the file."""
    found = sorted((line_of(body, problem.place), f"{problem.key}: {problem.text}") for problem in problems)
    return list(dict.fromkeys(f"{file}:{line}: {text}" if line else f"{file}: {text}" for line, text in found))


def _state_home(env: Mapping[str, str]) -> Path:
    """Where state lives without a file (XDG Base Directory Specification: a relative value is ignored)."""
    named = Path(env.get("XDG_STATE_HOME", ""))
    if named.is_absolute():
        return named / "blockerd"
    home = env.get("HOME") or os.path.expanduser("~")
    return Path(home) / ".local" / "state" / "blockerd"


def _placed(made: Settings, base: Path, state: Path | None) -> Settings:
    """`made` with absolute paths."""
    base = Path(os.path.abspath(base))
    sources = tuple(replace(s, path=_under(base, s.path)) if s.path else s for s in made.lists.source)
    report = made.report
    report = replace(
        report,
        smtp=replace(report.smtp, password_file=_under(base, report.smtp.password_file)),
        file=replace(report.file, folder=_under(base, report.file.folder)),
        webhook=_token_under(base, report.webhook),
        ntfy=_token_under(base, report.ntfy),
    )
    return replace(
        made,
        state=State(state or _under(base, made.state.dir)),
        lists=replace(made.lists, source=sources),
        report=report,
    )


def _token_under(base: Path, address: NoteAddress) -> NoteAddress:
    return replace(address, token_file=_under(base, address.token_file))


def _under(base: Path, path: Path) -> Path:
    return Path(os.path.normpath(base / path))


def _together(made: Settings, bad: set[Place], given: set[str]) -> Iterator[Problem]:
    """What shows only when several keys are seen together; values at the places `bad` are not the file's own."""
    for index, source in enumerate(made.lists.source):
        at: Place = ("lists", "source", index)
        if (source.path is None) == (source.url is None) and not bad & {(*at, "path"), (*at, "url")}:
            what = "has neither path nor url; add one" if source.path is None else "has both path and url; remove one"
            label = index + 1 if (*at, "id") in bad else source.id
            yield Problem(f"lists.source[{label}]", at, what)
    yield from _twice("lists.source", "id", [source.id for source in made.lists.source], bad)
    yield from _twice("client", "name", [client.name for client in made.client], bad)
    yield from _twice("report.partner", "name", [partner.name for partner in made.report.partner], bad)
    yield from _own_upstream(made)
    if "time.zone" in given or made.schedule:
        yield from _zone(made.time.zone)
    smtp = made.report.smtp
    if smtp.security is Security.NONE and not _loopback(smtp.host):
        what = f'"none" would send mail and password in the open to {smtp.host}; write "starttls" or "tls"'
        yield Problem("report.smtp.security", ("report", "smtp", "security"), what)
    yield from _roads(made)
    if made.report.every is Every.WEEK and made.report.send_at.day is None:
        yield Problem("report.send_at", ("report", "send_at"), 'a week needs its day; write e.g. "sun 18:00"')


def _roads(made: Settings) -> Iterator[Problem]:
    """A reader whose road leads nowhere."""
    for index, partner in enumerate(made.report.partner):
        address = {RoadName.WEBHOOK: made.report.webhook, RoadName.NTFY: made.report.ntfy}.get(partner.road)
        if address is not None and not address.url:
            at: Place = ("report", "partner", index, "road")
            what = f'"{partner.road}" leads nowhere yet; add [report.{partner.road}] with its url'
            yield Problem(f"report.partner[{partner.name}].road", at, what)


def _zone(key: str) -> Iterator[Problem]:
    """Not asked of a default that nothing uses, so that a machine without zone files can run without schedules."""
    try:
        zone_of(key)
    except ValueError as error:
        yield Problem("time.zone", ("time", "zone"), str(error))


def _own_upstream(made: Settings) -> Iterator[Problem]:
    for server in made.dns.upstreams:
        if Endpoint(server.host, server.port) in made.dns.listen:
            what = f'"{server}" is blockerd itself; name another resolver'
            yield Problem("dns.upstreams", ("dns", "upstreams"), what)


def _twice(name: str, key: str, labels: list[str], bad: set[Place]) -> Iterator[Problem]:
    places: list[Place] = [(*name.split("."), index, key) for index in range(len(labels))]
    seen = set()
    for label, place in zip(labels, places, strict=True):
        if place in bad:
            continue
        if label in seen:
            yield Problem(f"{name}[{label}].{key}", place, f'"{label}" is used twice; give each its own {key}')
        seen.add(label)


def _loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _notes(made: Settings, given: set[str]) -> Iterator[str]:
    idle = [item.name for item in SETTINGS if item.name in given and not item.built]
    if idle:
        yield f"no effect yet, their part is not built: {', '.join(idle)}"
    for entry in made.schedule:
        if entry.category not in made.lists.categories:
            yield f"schedule[{entry.category}]: no effect: lists.categories does not hold {entry.category}"
