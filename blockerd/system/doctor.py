"""The doctor's checks: from facts to lines that say what is well, what is not, and what to do about it. Pure.

Each check is one small function of `Facts`; CHECKS is their order. Judges the machine, never the person. The facts are
gathered by `cli.doctor`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from textwrap import shorten

from blockerd.system.drift import OURS, Answer, Finding, Seen
from blockerd.system.picture import Holder, Machine, loopback
from blockerd.system.plan import in_the_way
from blockerd.system.wish import Wish

RELEASED = date(2026, 11, 23)
"""When this version was made; set with each release."""

_OLD_MONTHS = 6
_LOW_MB = 200
_SILENT = 300.0


class Health(StrEnum):
    """How a check came out."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the doctor; `fix` says what to do, "" where nothing need be done."""

    key: str
    health: Health
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the checks look at. Times in seconds; None where it could not be told.

    `whole` is False where an install was looked at by somebody who may not see its settings and its record.
    """

    machine: Machine
    seen: Seen
    installed: bool
    finished: bool
    today: date
    config_problems: tuple[str, ...] = ()
    config_notes: tuple[str, ...] = ()
    config_readable_by_others: bool = False
    listen: tuple[str, ...] = ()
    answers: tuple[tuple[str, bool], ...] = ()
    running: tuple[tuple[str, bool], ...] = ()
    dns_pid: int = 0
    generation: int = 0
    policy_notes: tuple[str, ...] = ()
    list_days: int | None = None
    refresh_hours: int = 24
    journal_trouble: str = ""
    spool_bytes: int = 0
    state_open: bool = False
    free_mb: int | None = None
    consent: bool | None = False
    upstream_answers: bool | None = None
    upstream_plain: bool = False
    clock_year: int = 0
    findings: tuple[Finding, ...] = ()
    browsers_wanted: bool = True
    belt_wanted: bool = False
    belt_there: bool | None = None
    python: tuple[int, int] = (3, 11)
    partners: int = 0
    mail_set: bool = False
    leaks_ipv6: bool = False
    probe_seconds: float | None = None
    by_hand: tuple[str, ...] = ()
    whole: bool = True


OPEN = frozenset({
    *("install", "answers", "test-name", "port", "system", "resolvers", "ipv6", "upstream", "clock", "browsers"),
    *("doh", "probe", "vpn", "proxy", "nscd", "python", "version"),
})  # fmt: skip
"""Checks of what every user of a machine sees."""

Check = Callable[[Facts], Result]


def examine(facts: Facts) -> list[Result]:
    """Every check in order; those that everybody may see, and a word about it, where `facts` are not the whole."""
    found = [check(facts) for check in CHECKS]
    if facts.whole:
        return found
    rest = _note("root", "settings, record and processes were not looked at: only root may", "sudo blockerd doctor")
    return [rest, *(one for one in found if one.key in OPEN)]


def _good(key: str, text: str) -> Result:
    return Result(key, Health.GOOD, text)


def _bad(key: str, text: str, fix: str) -> Result:
    return Result(key, Health.BAD, text, fix)


def _note(key: str, text: str, fix: str = "") -> Result:
    return Result(key, Health.NOTE, text, fix)


def _config(facts: Facts) -> Result:
    if facts.config_problems:
        return _bad("config", facts.config_problems[0], "correct it; `blockerd config check` says all of it")
    if facts.config_notes:
        return _note("config", shorten(facts.config_notes[0], 90, placeholder=" …"), "blockerd config check")
    return _good("config", "the configuration is in order")


def _config_mode(facts: Facts) -> Result:
    if facts.config_readable_by_others and facts.installed:
        return _note("config-mode", "the configuration can be read by every user", "chmod o-r on it")
    return _good("config-mode", "the configuration is read by the service and root")


def _installed(facts: Facts) -> Result:
    if facts.installed and not facts.finished:
        return _bad("install", "an install did not come to its end", "blockerd install, or blockerd uninstall")
    if not facts.installed:
        return _note("install", "not installed into the system: it filters only what asks it", "sudo blockerd install")
    return _good("install", "installed")


def _processes(facts: Facts) -> Result:
    still = [name for name, runs in facts.running if not runs]
    if still:
        fix = "systemctl restart blockerd-dns blockerd-control" if facts.installed else "blockerd run"
        return _bad("processes", f"not running: {', '.join(still)}", fix)
    return _good("processes", f"running: {', '.join(name for name, _ in facts.running)}")


def _answers(facts: Facts) -> Result:
    silent = [address for address, good in facts.answers if not good]
    if silent:
        return _bad("answers", f"does not refuse the test name on {', '.join(silent)}", "blockerd status")
    return _good("answers", f"refuses the test name on {', '.join(address for address, _ in facts.answers)}")


def _port(facts: Facts) -> Result:
    held = [holder for holder in in_the_way(facts.machine, Wish(listen=facts.listen)) if not _ours(holder, facts)]
    if held:
        return _bad("port", f"port 53 is held by {held[0].named()}", "end that program, or change dns.listen")
    return _good("port", "nobody else holds its addresses")


def _ours(holder: Holder, facts: Facts) -> bool:
    """Only root sees whose a socket is; to others an address that answers as it should is ours."""
    if holder.pid:
        return holder.pid == facts.dns_pid
    return holder.address in facts.listen and all(good for _, good in facts.answers)


def _system_path(facts: Facts) -> Result:
    if facts.seen.system and all(each == "again" for each in facts.seen.system):
        return _bad("system", "programs get no answers at all", "sudo blockerd rescue-network")
    if not any(each in OURS for each in facts.seen.system):
        fix = "sudo blockerd install" if facts.installed else "sudo blockerd install, once you want that"
        health = _bad if facts.installed else _note
        return health("system", "programs of this computer ask another resolver", fix)
    return _good("system", "programs of this computer ask blockerd")


def _resolv_conf(facts: Facts) -> Result:
    if facts.installed and facts.machine.resolvers and not loopback(facts.machine.resolvers):
        others = [one for one in facts.machine.resolvers if not loopback([one])]
        return _bad("resolvers", f"other resolvers are named too: {', '.join(others)}", "sudo blockerd install")
    return _good("resolvers", "no other resolver is named")


def _ipv6(facts: Facts) -> Result:
    if facts.leaks_ipv6:
        return _bad("ipv6", "a resolver that the network announces by IPv6 is in use", "sudo blockerd install")
    return _good("ipv6", "no resolver comes in by IPv6")


def _policy(facts: Facts) -> Result:
    if not facts.generation:
        return _bad("policy", "there is no policy yet", "blockerd lists build")
    if facts.policy_notes:
        return _note("policy", facts.policy_notes[0], "blockerd lists ls")
    return _good("policy", f"policy {facts.generation} is live")


def _list_age(facts: Facts) -> Result:
    if facts.list_days is not None and facts.list_days * 24 > 7 * facts.refresh_hours:
        return _note("lists", f"the oldest list is {facts.list_days} days old", "blockerd lists update")
    return _good("lists", "the lists are as new as they should be")


def _upstream(facts: Facts) -> Result:
    if facts.upstream_answers is None:
        return _note("upstream", "no upstream was asked: the filter does not answer", "blockerd status")
    if not facts.upstream_answers:
        return _bad(
            "upstream", "no upstream answers", "look at the network, a sign-in page, or dns.upstreams in the settings"
        )
    return _good("upstream", "allowed names are answered")


def _encrypted(facts: Facts) -> Result:
    if facts.upstream_plain:
        return _note("encryption", "questions leave this computer unencrypted", "e.g. tls://9.9.9.9#dns.quad9.net")
    return _good("encryption", "questions leave this computer encrypted")


def _journal(facts: Facts) -> Result:
    if facts.journal_trouble:
        return _bad("journal", facts.journal_trouble, "blockerd status; a backup: blockerd import FILE")
    return _good("journal", "the record is in order")


def _spool(facts: Facts) -> Result:
    if facts.spool_bytes > 16 << 20:
        return _note("spool", f"{facts.spool_bytes >> 20} MB wait to be taken into the record", "is control running?")
    return _good("spool", "nothing waits for the record")


def _state_mode(facts: Facts) -> Result:
    if facts.state_open:
        return _bad("state", "other users can look into the state folder", "chmod 700 on it")
    return _good("state", "the state folder is for the service alone")


def _disk(facts: Facts) -> Result:
    if facts.free_mb is not None and facts.free_mb < _LOW_MB:
        return _bad(
            "disk", f"{facts.free_mb} MB are free where the record is", "make room; filtering goes on meanwhile"
        )
    return _good("disk", "there is room for the record")


def _clock(facts: Facts) -> Result:
    if facts.clock_year and not RELEASED.year <= facts.clock_year <= RELEASED.year + 20:
        return _bad("clock", f"the clock says {facts.clock_year}", "set the clock; encrypted upstreams need it")
    return _good("clock", "the clock is plausible")


def _agreed(facts: Facts) -> Result:
    if facts.consent is None:
        told = "consent.json cannot be read: no note goes out meanwhile"
        return _bad("consent", told, "give it to the owner of the folder that it is in (chown)")
    if not facts.consent:
        return _note("consent", "nobody has agreed here: nothing is shared", "blockerd setup")
    return _good("consent", "the person this is for has agreed")


def _browsers(facts: Facts) -> Result:
    gone = [one for one in facts.findings if one.key.startswith("policy-")]
    if gone and facts.installed:
        return _bad("browsers", gone[0].text, "sudo blockerd install")
    if not facts.machine.browsers:
        return _good("browsers", "no known browser is installed")
    names = ", ".join(sorted({str(browser.vendor) for browser in facts.machine.browsers}))
    if facts.installed and facts.browsers_wanted:
        return _good("browsers", f"encrypted DNS is off in {names}")
    return _note("browsers", f"{names} may use a resolver of their own", "sudo blockerd install")


def _belt(facts: Facts) -> Result:
    if facts.belt_wanted and facts.belt_there is False:
        return _bad("belt", "the packet filter's table is gone", "systemctl restart blockerd-belt")
    if not facts.belt_there:
        return _note(
            "belt", "no packet filter: a program with a resolver of its own goes past", "sudo blockerd install"
        )
    return _good("belt", "the packet filter turns other questions to blockerd")


def _by_hand(facts: Facts) -> Result:
    if facts.by_hand and not facts.installed:
        return _note("doh", f"asks a resolver by HTTPS: {', '.join(facts.by_hand)}", "its settings: DNS over HTTPS off")
    if facts.by_hand:
        fix = "its settings: DNS over HTTPS off; the policy of `blockerd install` overrules it at the next start"
        return _note("doh", f"set by hand to ask a resolver by HTTPS: {', '.join(facts.by_hand)}", fix)
    return _good("doh", "no browser of yours is set to ask a resolver by HTTPS")


def _self_probe(facts: Facts) -> Result:
    if not facts.installed:
        return _good("probe", "the self-probe belongs to an install")
    if facts.probe_seconds is None or facts.probe_seconds > _SILENT:
        return _bad("probe", "the self-probe does not run", "systemctl restart blockerd-probe")
    return _good("probe", f"the self-probe looked {facts.probe_seconds:.0f} s ago")


def _tunnels(facts: Facts) -> Result:
    up = [link.name for link in facts.machine.links if link.tunnel and link.up]
    if up:
        return _note("vpn", f"a VPN is up: {', '.join(up)}; its hours are told in the report", "")
    return _good("vpn", "no VPN is up")


def _hosts(facts: Facts) -> Result:
    if any(one.key == "hosts" for one in facts.findings):
        return _note("hosts", "/etc/hosts was edited since the install", "look at it: it answers before blockerd")
    return _good("hosts", "/etc/hosts is as it was")


def _proxy_variables(facts: Facts) -> Result:
    if found := [one for one in facts.findings if one.key == "proxy"]:
        return _note("proxy", found[0].text, "programs that obey it ask for names elsewhere")
    return _good("proxy", "no other proxy is set")


def _nscd(facts: Facts) -> Result:
    if facts.machine.runs("nscd"):
        return _note("nscd", "nscd keeps answers up to an hour", "apt remove nscd, or systemctl restart nscd")
    return _good("nscd", "no second cache is in the way")


def _mail(facts: Facts) -> Result:
    if facts.partners and not facts.mail_set:
        return _bad("mail", "a reader is named but no mail server", "[report.smtp] in the settings")
    return _good("mail", "a mail server is set" if facts.partners else "nobody reads your reports")


def _python(facts: Facts) -> Result:
    if facts.python < (3, 11):
        return _bad("python", f"Python {facts.python[0]}.{facts.python[1]} is too old", "install Python 3.11 or newer")
    return _good("python", f"Python {facts.python[0]}.{facts.python[1]}")


def _age(facts: Facts) -> Result:
    months = (facts.today.year - RELEASED.year) * 12 + facts.today.month - RELEASED.month
    if months >= _OLD_MONTHS:
        return _note(
            "version", f"your version is {months} months old", "get the current one; it updates nothing itself"
        )
    return _good("version", f"your version is {max(0, months)} months old")


def _direct(facts: Facts) -> Result:
    if facts.seen.direct is Answer.OPEN:
        return _bad("test-name", "the filter lets the test name through", "blockerd lists build")
    return _good("test-name", "the test name is listed")


CHECKS: Sequence[Check] = (
    _config, _config_mode, _installed, _processes, _answers, _direct, _port, _system_path, _resolv_conf, _ipv6, _policy,
    _list_age, _upstream, _encrypted, _journal, _spool, _state_mode, _disk, _clock, _agreed, _browsers, _by_hand, _belt,
    _self_probe, _tunnels, _hosts, _proxy_variables, _nscd, _mail, _python, _age,
)  # fmt: skip
