"""`setup`: two minutes in a terminal, after which there is a configuration and a consent, and nothing else has changed.

For adults about themselves: whoever sits here types that they are 18 or older and that it is their own decision.
Refuses to run without a terminal, and never overwrites a configuration.
"""

import argparse
import os
import shutil
import socket
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.cli import owner
from blockerd.cli.config import example_text
from blockerd.cli.install import asked_until
from blockerd.cli.output import Stop, bold, say
from blockerd.model import CATEGORIES
from blockerd.policy.schedule import zone_of
from blockerd.report import consent
from blockerd.settings import SYSTEM_FILE, ConfigError, Endpoint, load
from blockerd.settings.address import upstream
from blockerd.settings.value import Bad, toml
from blockerd.system.apply import Applier, ApplyError, run
from blockerd.system.look import look
from blockerd.system.picture import Machine, loopback
from blockerd.system.steps import File, Folder, Step

INTRO = (
    "blockerd helps an adult who wants to stop compulsive use of porn, cam and sex-chat sites. It refuses the names of "
    "such sites on this computer, keeps a record that stays here, and can send a short note each week to a person you "
    "choose.",
    "",
    "What it records: names that were refused, and when; how long the filter ran. Never pages, pictures or what you "
    "type.",
    "Where: on this computer alone, {state}. Nobody else gets anything unless you and they both agree.",
    "What it is not: a way to watch anybody else. It has no hidden mode, and `blockerd uninstall` works at any time.",
    "",
    "If you are in danger or think of harming yourself, please talk to somebody now: your emergency number, 988 (USA "
    "and Canada), 116 123 (UK and Ireland), or one near you from findahelpline.com. No list here can block those.",
)

PARTNER = (
    "Somebody you trust (a partner, mentor or therapist) may get a short note each week: how long the filter ran, how "
    "many requests it refused, never which. They have to agree, you see what they see, and you can end it at any time."
)

SCHEME = (
    "Answers for allowed names come from a resolver on the internet, which then sees the names this computer asks for."
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A resolver to choose: its key, what a person should know, its `dns.upstreams`."""

    key: str
    text: str
    upstreams: tuple[str, ...]


PUBLIC = (
    Choice("quad9", "Quad9, a foundation in Switzerland, encrypted", ("tls://9.9.9.9#dns.quad9.net",)),
    Choice("cloudflare", "Cloudflare, a company in the USA, encrypted", ("tls://1.1.1.1#cloudflare-dns.com",)),
    Choice("mullvad", "Mullvad, a company in Sweden, encrypted", ("tls://194.242.2.2#dns.mullvad.net",)),
)


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    setup = commands.add_parser("setup", help="the first two minutes, in a terminal", allow_abbrev=False)
    setup.set_defaults(run=run_setup)


def run_setup(args: argparse.Namespace) -> int:
    """Exit 0 set up, 1 not agreed, 2 no terminal or no right."""
    if not sys.stdin.isatty():
        raise Stop("setup talks with the person this is for: run it in a terminal")
    root = os.geteuid() == 0
    named = args.config or os.environ.get("BLOCKERD_CONFIG")
    path = Path(named).absolute() if named else (SYSTEM_FILE if root else Path.cwd() / "blockerd.toml")
    state = _state_of(path, root)
    say(bold("blockerd: setting up"))
    say("")
    tell(*(text.format(state=state) for text in INTRO))
    words = _agree()
    steps: list[Step] = [
        Folder("settings", str(path.parent), 0o755, data=True),
        Folder("state and record", str(state), 0o700, data=True),
    ]
    invite = False
    if path.exists():
        say(f"{path} is there already and stays as it is.")
    else:
        machine = look(Path("/"), run, live=False)
        answers = _answers(machine, state, system=path == SYSTEM_FILE)
        invite = _partner()
        text = configured(example_text(), answers)
        steps.append(File("the configuration", str(path), text.encode(), 0o600, data=True))
    _do(steps, system=path == SYSTEM_FILE)
    with owner.as_owner(state):  # the service's, where it is installed already
        consent.give(state, consent.Consent(clock.now_us(), words))
    say("")
    tell(f"Your consent is kept with its date in {state}; `blockerd consent` shows it and takes it back.")
    say(bold("Next: ") + ("sudo blockerd install" if path == SYSTEM_FILE else "blockerd run"))
    if invite:
        say(
            f"Then {'sudo ' * (path == SYSTEM_FILE)}blockerd partner invite: they agree themselves, or nothing is sent."
        )
    return 0


def tell(*paragraphs: str) -> None:
    """Prints each as wide as the terminal, 88 columns at most."""
    width = min(88, shutil.get_terminal_size().columns)
    for text in paragraphs:
        say(textwrap.fill(text, width, break_on_hyphens=False, break_long_words=False))


def _agree() -> str:
    say("")
    tell("This is for the person at this keyboard alone. To go on, type this sentence (or nothing, to leave):")
    say(f"  {consent.WORDS}")
    typed = asked_until(lambda text: text)
    if " ".join(typed.lower().rstrip(".").split()) != consent.WORDS.lower():
        raise Stop("not agreed; nothing was changed", 1)
    return typed


def _answers(machine: Machine, state: Path, *, system: bool) -> dict[str, object]:
    """The settings that the questions give."""
    categories = _categories()
    port = 53 if system else 5335
    listen = [f"127.0.0.1:{port}", *([f"[::1]:{port}"] if has_ipv6() else [])]
    upstreams = _upstream(machine, listen)
    found: dict[str, object] = {
        "state.dir": str(state) if system else "var", "dns.listen": listen, "dns.upstreams": list(upstreams),
        "lists.categories": categories,
    }  # fmt: skip
    if zone := zone_here():
        found["time.zone"] = zone
    return found


def _partner() -> bool:
    say("")
    tell(PARTNER)
    say("Type now or later; nothing for later.")
    return asked_until(lambda text: {"": "later", "now": "now", "later": "later"}.get(text.lower())) == "now"


def _categories() -> list[str]:
    say("")
    tell(f"What shall be refused? Any of: {' '.join(name for name in CATEGORIES if name != 'demo')}")
    say("Type words with spaces between, or nothing for: adult cam chat")

    def good(text: str) -> str | None:
        names = text.split() or ["adult", "cam", "chat"]
        return " ".join(dict.fromkeys(names)) if set(names) <= set(CATEGORIES) else None

    return asked_until(good).split()


def _upstream(machine: Machine, listen: list[str]) -> tuple[str, ...]:
    say("")
    tell(SCHEME)
    choices = {choice.key: choice for choice in choices_for(machine)}
    for choice in choices.values():
        say(f"  {choice.key}: {choice.text}")
    say("Type one of these words, or an address of your own; nothing for the first.")
    usual = next(iter(choices))

    def good(text: str) -> str | None:
        chosen = (text or usual).lower()
        return chosen if chosen in choices else _own(text, listen)

    typed = asked_until(good)
    return choices[typed].upstreams if typed in choices else (typed,)


def _own(text: str, listen: list[str]) -> str | None:
    """`text` where the settings take it as an upstream; else None, and why not is said."""
    try:
        server = upstream().read(text)
    except Bad as bad:
        say("; ".join(map(str, bad.args)))
        return None
    if str(Endpoint(server.host, server.port)) in listen:
        say(f"{text} will be blockerd itself; name another resolver")
        return None
    return text


def choices_for(machine: Machine) -> list[Choice]:
    """The public resolvers, and the one this system asks now, where it is not this system itself."""
    own = [address for address in machine.resolvers if not loopback([address]) and "%" not in address]
    here = f"the one this computer asks now ({', '.join(own)}), unencrypted; for this network alone"
    now = Choice("system", f"{here}: in another one it cannot be reached, and no names are found", tuple(own[:2]))
    return [*PUBLIC, *([now] if own else [])]


def configured(text: str, values: Mapping[str, object]) -> str:
    """The example configuration with `values` ("dns.listen") in place of its own."""
    lines, section = [], ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        key = line.partition("=")[0].strip()
        name = f"{section}.{key}"
        lines.append(f"{key} = {toml(values[name])}" if name in values and not line.startswith("#") else line)
    return "\n".join(lines) + "\n"


def has_ipv6() -> bool:
    """True if ::1 can be listened on."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def zone_here() -> str:
    """The system's time zone, "" where it has no name that is known here."""
    try:
        target = os.readlink("/etc/localtime")
    except OSError:
        return ""
    _, found, name = target.partition("zoneinfo/")
    try:
        zone_of(name)
    except ValueError:
        return ""
    return name if found else ""


def _state_of(path: Path, root: bool) -> Path:
    if path.exists():
        try:
            return load(path, os.environ, Path.cwd()).state.dir
        except ConfigError as error:
            raise Stop("\n".join(error.problems)) from None
    return Path("/var/lib/blockerd") if root and path == SYSTEM_FILE else path.parent / "var"


def _do(steps: list[Step], *, system: bool) -> None:
    """Writes what was chosen; in the system it goes into the manifest, so that `uninstall` can take it back."""
    applier = Applier(Path("/"))
    try:
        if system:
            applier.apply(steps)
            return
        for step in steps:
            if isinstance(step, Folder):
                Path(step.path).mkdir(mode=step.mode, parents=True, exist_ok=True)
            elif isinstance(step, File):
                Path(step.path).write_bytes(step.content)
    except (ApplyError, OSError) as error:
        raise Stop(f"{error}; nothing else was changed") from None
