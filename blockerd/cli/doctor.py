"""`doctor`: gathers facts about this install and machine, and says what is well, what is not, and what to do.

Changes nothing. Asks the system's resolver made-up names that blockerd answers itself, and through blockerd the
configured upstream one below a reserved name. Exit 1 if anything is bad.
"""

import argparse
import os
import pwd
import secrets
import shutil
import stat
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.cli.output import bold, columns, dump, path_of, say
from blockerd.cli.service import ask_control
from blockerd.cli.status import USUAL, blocks, may_look
from blockerd.lists.added import merged
from blockerd.lists.fetch import record as fetch_record
from blockerd.lists.snapshot import read_pointer
from blockerd.lists.watch import notes
from blockerd.model import TEST_NAME
from blockerd.process import running_pid
from blockerd.report import consent
from blockerd.settings import ConfigError, ConfigUnreadable, Endpoint, Scheme, Settings, load
from blockerd.system import byhand, drift, probe, selfprobe, units
from blockerd.system.apply import Applier, run
from blockerd.system.doctor import Facts, Health, examine
from blockerd.system.look import look
from blockerd.system.manifest import Manifest, ManifestError
from blockerd.system.picture import Machine
from blockerd.system.watched import Watched, of_unit
from blockerd.system.wish import BrowserWish


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    doctor = commands.add_parser("doctor", help="what is well here, what is not, what to do", allow_abbrev=False)
    doctor.set_defaults(run=run_doctor)


def run_doctor(args: argparse.Namespace) -> int:
    """Exit 0 if nothing is bad, else 1."""
    results = examine(gather(args))
    bad = [one for one in results if one.health is Health.BAD]
    if args.json:
        checks = [{"check": one.key, "health": one.health, "text": one.text, "fix": one.fix} for one in results]
        dump({"healthy": not bad, "checks": checks})
        return 1 if bad else 0
    for line in columns([(one.health, one.text) for one in results]):
        say(line)
    wanting = [one for one in results if one.fix]
    if wanting:
        say("")
        say(bold("What to do"))
        for one in wanting:
            say(f"  {one.text}: {one.fix}")
    return 1 if bad else 0


def gather(args: argparse.Namespace) -> Facts:
    """Everything the checks look at."""
    settings, problems, whole = _settings(args)
    watched, now, probed = _watched(), clock.utc(clock.now()), selfprobe.read()
    machine = look(Path("/"), run)
    manifest = Applier(Path("/")).manifest
    try:
        installed, finished = manifest.installed(), manifest.finished()
    except ManifestError:
        installed, finished = True, not whole
    answers = tuple((str(endpoint), blocks(endpoint)) for endpoint in settings.dns.listen)
    open_to_all = Facts(
        machine=machine,
        seen=_seen(settings),
        installed=installed,
        finished=finished,
        today=now.date(),
        listen=tuple(endpoint.host for endpoint in settings.dns.listen if endpoint.port == 53),
        answers=answers,
        upstream_answers=_goes_on(settings) if any(good for _, good in answers) else None,
        clock_year=now.year,
        findings=(*_findings(settings, machine, watched), *_hosts(manifest, machine)),
        browsers_wanted=watched is None or watched.browsers is not None,
        belt_wanted=watched is not None and watched.belt,
        belt_there=_belt(machine),
        python=sys.version_info[:2],
        leaks_ipv6=installed and any(":" in one and one != "::1" for one in machine.resolvers),
        probe_seconds=None if probed is None else max(0.0, clock.now() - probed.at / 1e6),
        by_hand=_by_hand(),
        whole=whole,
    )
    return _with_state(open_to_all, settings, problems) if whole else open_to_all


def _with_state(facts: Facts, settings: Settings, problems: tuple[str, ...]) -> Facts:
    """`facts` and what stands in settings and state."""
    folder = settings.state.dir
    pointer = read_pointer(folder)
    control = ask_control(settings) if running_pid(settings, "control") else {}
    return replace(
        facts,
        config_problems=problems,
        config_notes=settings.notes,
        config_readable_by_others=_open(settings.path, stat.S_IROTH),
        running=tuple((name, running_pid(settings, name) > 0) for name in ("dns", "control")),
        dns_pid=running_pid(settings, "dns"),
        generation=pointer.generation if pointer else 0,
        policy_notes=tuple(notes(settings)),
        list_days=_list_days(settings, clock.now()),
        refresh_hours=settings.lists.refresh_hours,
        journal_trouble=str(control.get("trouble", "")),
        spool_bytes=int(control.get("spool_bytes", 0)),
        state_open=_open(folder, stat.S_IROTH | stat.S_IXOTH),
        free_mb=_free_mb(folder),
        consent=_agreed(folder),
        upstream_plain=any(one.scheme in (Scheme.UDP, Scheme.TCP) for one in settings.dns.upstreams),
        partners=len(settings.report.partner),
        mail_set=bool(settings.report.smtp.from_),
    )


def _agreed(folder: Path) -> bool | None:
    """Whether the person has agreed; None where nobody can tell."""
    try:
        return consent.read(folder) is not None
    except OSError:
        return None


def _findings(settings: Settings, machine: Machine, watched: Watched | None) -> list[drift.Finding]:
    wish = BrowserWish(safe_search=settings.dns.safe_search, quic=settings.proxy.enabled)
    own = str(settings.proxy.listen) if settings.proxy.enabled else ""
    return [
        *drift.compare(machine, [link.name for link in machine.links], watched.browsers if watched else wish),
        *drift.proxies(os.environ.items(), own),
    ]


def _watched() -> Watched | None:
    """What the install was asked for, as it stands in the self-probe's unit, which everybody may read."""
    try:
        return of_unit(Path(units.unit_path(units.PROBE)).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _goes_on(settings: Settings) -> bool:
    """True if a name that is in no cache is answered by an upstream."""
    return any(
        probe.goes_on(endpoint.host, lambda: secrets.token_hex(8), endpoint.port) for endpoint in settings.dns.listen
    )


def _settings(args: argparse.Namespace) -> tuple[Settings, tuple[str, ...], bool]:
    """The settings (the defaults where they are refused), what is wrong with them, and whether they and the state are
    for this user to see; if not, of the settings only the addresses that answer.
    """
    usual, listen = Settings(), USUAL
    try:
        found = load(path_of(args), os.environ, Path.cwd())
        if may_look(found.state.dir):
            return found, (), True
        listen = found.dns.listen
    except ConfigUnreadable:
        watched = _watched()
        listen = tuple(Endpoint(address, 53) for address in watched.listen) if watched else USUAL
    except ConfigError as error:
        return usual, tuple(error.problems), True
    return replace(usual, dns=replace(usual.dns, listen=listen)), (), False


def _by_hand() -> tuple[str, ...]:
    """Browsers of the one who asks that are set to another resolver; none where the home is another's."""
    try:
        return tuple(byhand.chosen(_home()))
    except PermissionError:
        return ()


def _list_days(settings: Settings, now: float) -> int | None:
    """How many days ago the oldest fetched list was last known to be current; None where none is fetched."""
    oldest = min(
        (fetch_record.load(settings, one.id).good_at for one in merged(settings).lists.source if one.url), default=0.0
    )
    return int((now - oldest) // 86400) if oldest else None


def _home() -> Path:
    """The home of the one who asks, behind sudo too."""
    user = os.environ.get("SUDO_USER", "")
    with suppress(KeyError):
        return Path(pwd.getpwnam(user).pw_dir)
    return Path.home()


def _hosts(manifest: Manifest, machine: Machine) -> list[drift.Finding]:
    try:
        then = manifest.noted("hosts")
    except ManifestError:
        return []
    return [] if then is None else drift.hosts(then, machine)


def _seen(settings: Settings) -> drift.Seen:
    endpoint = settings.dns.listen[0]
    return drift.Seen(
        system=tuple(probe.system_path(lambda: secrets.token_hex(8), 8.0)),
        direct=probe.filtered(endpoint.host, TEST_NAME, endpoint.port),
    )


def _belt(machine: Machine) -> bool | None:
    """None where it cannot be told: only root sees the packet filter."""
    if os.geteuid() != 0 or not machine.has("nft"):
        return None
    return run(("nft", "list", "table", "inet", "blockerd"))[0] == 0


def _open(path: Path | None, bits: int) -> bool:
    try:
        return path is not None and bool(path.stat().st_mode & bits)
    except OSError:
        return False


def _free_mb(folder: Path) -> int | None:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free >> 20
    except OSError:
        return None
