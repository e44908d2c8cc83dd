"""`proxy` and `proxy-ca`: the HTTPS proxy as a process, its environment, its rules, its certificate authority."""

import argparse
import logging
import os
import platform
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blockerd.cli import owner
from blockerd.cli.output import Stop, columns, dump, path_of, say, settings_of, warn
from blockerd.process import ENV_LIFE, ENV_WORDS, AlreadyRunning, Instance
from blockerd.settings import OnPolicyError, Settings, load

_LOOK_AGAIN = 2.0
"""Seconds between two looks for an environment that is waited for."""


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands of this file."""
    proxy = commands.add_parser("proxy", help="the HTTPS proxy, for pages", allow_abbrev=False)
    proxy.add_argument("--wait", action="store_true", help="where it has no environment yet: wait for one")
    proxy.set_defaults(run=run_proxy)
    words = proxy.add_subparsers(dest="word", metavar="WORD")
    setup = words.add_parser("setup", help="make the proxy's own environment", allow_abbrev=False)
    setup.add_argument("--python", default=sys.executable, help="interpreter for it, 3.11 or newer")
    setup.add_argument("--into", metavar="FOLDER", help="another place than <state.dir>/proxy/venv")
    setup.add_argument("--newest", action="store_true", help="not the versions that came with blockerd, but the newest")
    setup.add_argument("--again", action="store_true", help="make it anew though it is there")
    setup.set_defaults(run=run_setup)
    words.add_parser("pac", help="a PAC file", allow_abbrev=False).set_defaults(run=run_pac)
    policy = words.add_parser("policy", help="a browser policy", allow_abbrev=False)
    policy.add_argument("browser", choices=("chromium", "firefox"))
    policy.set_defaults(run=run_policy)
    mode = words.add_parser("mode", help="rules of a stricter mode, and their undo", allow_abbrev=False)
    mode.add_argument("mode", choices=("transparent", "local", "undo"))
    mode.add_argument("--user", default="blockerd", help="system user of the proxy")
    mode.set_defaults(run=run_mode)
    words.add_parser("rules", help="which hosts have page rules", allow_abbrev=False).set_defaults(run=run_rules)
    forget = words.add_parser("forget", help="open connections to HOST again", allow_abbrev=False)
    forget.add_argument("host")
    forget.set_defaults(run=run_forget)
    _register_ca(commands)


def _register_ca(commands: "argparse._SubParsersAction[Any]") -> None:
    authority = commands.add_parser("proxy-ca", help="the machine's own certificate authority", allow_abbrev=False)
    words = authority.add_subparsers(dest="word", required=True, metavar="WORD")
    words.add_parser("status", help="what it is, may sign, and who trusts it", allow_abbrev=False).set_defaults(
        run=run_status
    )
    authority.set_defaults(as_root=True)  # the system's trust stores; `manifest` gives what it writes to the service
    for word, what in (("install", "into this machine's trust stores"), ("rotate", "a new root in place of the old")):
        one = words.add_parser(word, help=what, allow_abbrev=False)
        one.add_argument("--home", default=os.path.expanduser("~"), help="whose browsers")
        one.add_argument("--by-hand", action="store_true", help="touch no store: you trust it where it is needed")
        one.set_defaults(run=run_install if word == "install" else run_rotate)
    words.add_parser("remove", help="out of every store, and away", allow_abbrev=False).set_defaults(run=run_remove)


def run_proxy(args: argparse.Namespace) -> int:
    """The proxy in the foreground; 2 where it has no environment."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it is heard: settings are read at the start anyway
    settings = settings_of(args)
    owner.for_good(settings.state.dir)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    held = _only(settings)
    made = _environment(settings, wait=args.wait or ENV_LIFE in os.environ)
    if made is None:
        return 0
    process = _process()
    try:
        process.prepare(settings)
    except process.ProxyError as error:
        raise Stop(str(error)) from None
    life, said = int(os.environ.pop(ENV_LIFE, "-1")), int(os.environ.pop(ENV_WORDS, "-1"))

    def tell(word: str) -> None:
        logging.getLogger(__name__).info("%s on %s", word, settings.proxy.listen)
        if said >= 0:
            os.write(said, f"{word}\n".encode())

    if said >= 0:
        os.set_inheritable(said, False)
        os.write(said, b"bound\n")  # the supervisor waits for a word; mitmdump takes its port a moment later
    code = int(process.ProxyProcess(settings, made, _reload(args)).run(life, tell))
    del held
    return code


def _environment(settings: Settings, *, wait: bool) -> Any:  # noqa: ANN401 - environment.Environment, imported late
    """The proxy's environment, waited for where wanted; None where the supervisor is gone before there is one."""
    from blockerd.proxy import environment

    made = environment.find(settings)
    if made is None and not wait:
        raise Stop("the proxy has no environment of its own yet; run: blockerd proxy setup")
    if made is None:
        warn("pages are not filtered: the proxy has no environment yet; run: blockerd proxy setup. It starts by itself"
             " then; names are filtered all the while")  # fmt: skip
    life = [int(os.environ[ENV_LIFE])] if ENV_LIFE in os.environ else []
    while made is None:
        if select.select(life, [], [], _LOOK_AGAIN)[0]:
            return None
        made = environment.find(settings)
    return made


def _reload(args: argparse.Namespace) -> Callable[[], Settings]:
    """Reads the configuration again, as at the start."""
    return lambda: load(path_of(args), os.environ, Path.cwd())


def run_setup(args: argparse.Namespace) -> int:
    """Makes the environment where it is not there or was made from another lock; 1 where a step did not end well."""
    settings = settings_of(args)
    from blockerd.proxy import environment

    folder = Path(args.into) if args.into else settings.state.dir / "proxy" / "venv"
    lock = None if args.newest else environment.shipped_lock()
    made = environment.Environment(folder)
    try:
        if owner.became():
            os.environ["PIP_NO_CACHE_DIR"] = "1"
        owner.for_good(settings.state.dir)  # nothing that is downloaded runs as root
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if args.again or not made.made_from(lock):
            made = environment.make(folder, Path(args.python), say, lock)
        version = environment.version(made)
    except environment.SetupError as error:
        raise Stop(f"proxy setup: {error}", 1) from None
    except OSError as error:
        raise Stop(f"{folder}: {error.strerror}", 1) from None
    say(f"mitmproxy {version} is ready in {folder}. Next: blockerd proxy-ca install, then blockerd proxy")
    return 0


def run_pac(args: argparse.Namespace) -> int:
    """Prints a PAC file."""
    settings = settings_of(args)
    from blockerd.proxy.pac import pac

    fall_back = settings.proxy.on_policy_error is OnPolicyError.PASS
    sys.stdout.write(pac(str(settings.proxy.listen), fall_back=fall_back))
    return 0


def run_policy(args: argparse.Namespace) -> int:
    """Prints a browser policy."""
    settings = settings_of(args)
    from blockerd.proxy import manifest, pac

    listen = str(settings.proxy.listen)
    if args.browser == "chromium":
        sys.stdout.write(pac.chromium_policy(listen))
        return 0
    certificate = settings.state.dir / "proxy" / "ca" / manifest.CERT_FILE
    sys.stdout.write(pac.firefox_policy(listen, str(certificate) if certificate.exists() else ""))
    return 0


def run_mode(args: argparse.Namespace) -> int:
    """Prints nftables rules."""
    settings = settings_of(args)
    from blockerd.proxy import modes

    texts = {"transparent": modes.transparent(settings.proxy.listen.port, args.user), "local": modes.quic_only()}
    sys.stdout.write(texts.get(args.mode, modes.UNDO))
    return 0


def run_rules(args: argparse.Namespace) -> int:
    """Lists the hosts that have page rules; exit 1 if a line of the own file was not taken."""
    settings = settings_of(args)
    loaded = _rules(settings)
    from blockerd.policy.name import to_text

    rows: list[dict[str, Any]] = [
        {"host": to_text(host), "rules": len(rules), "decrypts": any(rule.decrypts for rule in rules),
         "categories": sorted({rule.category or "safe search" for rule in rules})}
        for host, rules in sorted(loaded.pages.rules.by_host.items(), key=lambda item: to_text(item[0]))
    ]  # fmt: skip
    if args.json:
        dump({"hosts": rows, "refused": [[one.line, one.text, one.reason] for one in loaded.refused]})
    else:
        lines = [(str(row["host"]), str(row["rules"]), ", ".join(row["categories"]),
                  "decrypted while it may speak" if row["decrypts"] else "") for row in rows]  # fmt: skip
        for line in columns(lines, right=frozenset((1,))):
            say(line)
        for one in loaded.refused:
            warn(f"url-rules.txt:{one.line}: {one.reason}")
    return 1 if loaded.refused else 0


def run_forget(args: argparse.Namespace) -> int:
    """Takes a host off those that pass; 1 where it is not among them."""
    settings = settings_of(args)
    from blockerd.proxy import manifest

    try:
        folder = manifest.proxy_folder(settings)
        passed = manifest.passed(folder)
        if passed.pop(args.host, None) is None:
            raise Stop(f"{args.host}: not among the hosts that pass; see blockerd proxy-ca status", 1)
        manifest.write_passed(folder, passed)
    except OSError as error:
        raise Stop(str(error)) from None
    say(f"{args.host}: its connections are opened again where a rule may speak")
    return 0


def run_status(args: argparse.Namespace) -> int:
    """Exit 1 where there is no root in force that a store trusts, or it ends within a month."""
    settings = settings_of(args)
    from blockerd import clock
    from blockerd.proxy import manifest

    try:
        held = manifest.read(manifest.ca_folder(settings))
        passed = manifest.passed(manifest.proxy_folder(settings))
    except OSError as error:
        raise Stop(str(error)) from None
    missing = sorted(set(_hosts(settings)) - set(held.hosts))
    days = int((held.ends - clock.now()) / 86400) if held.fingerprint else 0
    good = held.trusted and days > 30 and not missing
    if args.json:
        dump({
            "fingerprint": held.fingerprint or None, "ends": clock.rfc3339(held.ends) if held.fingerprint else None,
            "days": days, "hosts": held.hosts, "missing": missing, "trusted": held.trusted,
            "stores": [[one.kind, one.place, one.fingerprint == held.fingerprint] for one in held.stores],
            "passed": {host: clock.rfc3339(at) for host, at in passed.items()},
        })  # fmt: skip
        return 0 if good else 1
    for line in _status_lines(held.fingerprint, days, len(held.hosts), missing):
        say(line)
    for one in held.stores:
        old = "" if one.fingerprint == held.fingerprint else "  an older root: blockerd proxy-ca remove or rotate"
        say(f"  trusted in {one.place or 'a store of your own'} ({one.kind}){old}")
    for host, at in sorted(passed.items()):
        say(f"  passes since {clock.rfc3339(at)[:10]}: {host} (a client did not take our certificate)")
    return 0 if good else 1


def _status_lines(fingerprint: str, days: int, hosts: int, missing: list[str]) -> list[str]:
    if not fingerprint:
        return ["no certificate authority yet; run: blockerd proxy-ca install"]
    lines = [f"root {fingerprint[:16]}…, {days} days left, may sign for {hosts} hosts and no other"]
    if days <= 30:
        lines.append("it ends soon; run: blockerd proxy-ca rotate")
    if missing:
        lines.append(f"rules without effect, for the root does not name their host: {', '.join(missing[:5])}; "
                     "run: blockerd proxy-ca rotate")  # fmt: skip
    return lines


def run_install(args: argparse.Namespace) -> int:
    """Makes a root where there is none and gives it to the trust stores; 1 where a store did not take it."""
    settings = settings_of(args)
    from blockerd import clock
    from blockerd.proxy import manifest

    authority = _authority()
    try:
        folder = manifest.ca_folder(settings)
        authority.ensure(folder, _hosts(settings), clock.now())
        return _give(folder, args)
    except OSError as error:
        raise Stop(str(error)) from None


def run_rotate(args: argparse.Namespace) -> int:
    """A new root in place of the old one, in every store; then the old one goes."""
    settings = settings_of(args)
    from blockerd import clock
    from blockerd.proxy import manifest, stores

    authority = _authority()
    try:
        folder = manifest.ca_folder(settings)
        fresh = authority.rotate(folder, _hosts(settings), clock.now())
        code = _give(folder, args)
        old = _told(stores.remove(folder, stores.run, keep=fresh.fingerprint), "the old root is out of")
        return code or old
    except OSError as error:
        raise Stop(str(error)) from None


def run_remove(args: argparse.Namespace) -> int:
    """Takes the root out of every store and away; 1 where a store did not let go of it."""
    settings = settings_of(args)
    from blockerd.proxy import manifest, stores

    authority = _authority()
    try:
        folder = manifest.ca_folder(settings)
        by_hand = stores.commands(folder, platform.system())
        code = _told(stores.remove(folder, stores.run), "out of")
        authority.erase(folder)
    except OSError as error:
        raise Stop(str(error)) from None
    if by_hand:
        say(f"out of the system's store, by hand: {by_hand[1]}")
    say("the root and its key are gone; no connection is opened any more")
    return code


def take_root_out(settings: Settings) -> list[str]:
    """Takes the root out of every store that has it, for `uninstall`; one line for each that did not let go of it."""
    from blockerd.proxy import stores

    folder = settings.state.dir / "proxy" / "ca"
    if not folder.is_dir():
        return []
    try:
        outcomes = stores.remove(folder, stores.run)
    except OSError as error:
        return [str(error)]
    return [f"{one.store.place} ({one.store.kind}): {one.problem}" for one in outcomes if one.problem]


def _give(folder: Path, args: argparse.Namespace) -> int:
    from blockerd.proxy import manifest, stores

    by_hand = stores.commands(folder, platform.system())
    if args.by_hand or by_hand:
        stores.by_hand(folder)
        say(f"trust it where you need it: {by_hand[0] if by_hand else folder / manifest.CERT_FILE}")
    if args.by_hand:
        return 0
    home = Path(args.home)
    problem = stores.begin_chromium(home, stores.run)
    if problem:
        warn(f"Chromium: {problem}; install certutil (package libnss3-tools)")
    return _told(stores.install(folder, stores.found(Path("/"), home), stores.run), "trusted in")


def _told(outcomes: list[Any], what: str) -> int:
    for outcome in outcomes:
        if outcome.problem:
            warn(f"{outcome.store.place} ({outcome.store.kind}): {outcome.problem}")
        else:
            say(f"{what} {outcome.store.place} ({outcome.store.kind})")
    return 1 if any(outcome.problem for outcome in outcomes) else 0


def _hosts(settings: Settings) -> list[str]:
    """Every host that has a rule for which its connection would be opened."""
    from blockerd.proxy import standing

    try:
        return standing.hosts(settings)
    except OSError as error:
        raise Stop(f"own page rules: {error.strerror}") from None


def _rules(settings: Settings) -> Any:  # noqa: ANN401 - shipped.Loaded, imported late
    from blockerd.lists.sources import own_folder
    from blockerd.proxy.shipped import load

    try:
        return load(own_folder(settings), safe_search=settings.dns.safe_search)
    except OSError as error:
        raise Stop(f"{own_folder(settings)}: {error.strerror}") from None


def _authority() -> Any:  # noqa: ANN401 - the module, imported late
    try:
        from blockerd.proxy import ca
    except ImportError:
        raise Stop("cryptography is missing: install blockerd[control]") from None
    return ca


def _process() -> Any:  # noqa: ANN401 - the module, imported late
    try:
        from blockerd.proxy import process
    except ImportError:
        raise Stop("cryptography is missing: install blockerd[control]") from None
    return process


def _only(settings: Settings) -> Instance:
    try:
        return Instance(settings, "proxy", 2.5 if ENV_LIFE in os.environ else 0.1)
    except AlreadyRunning as error:
        raise Stop(f"{error}; state folder {settings.state.dir}; stop that one first") from None
    except OSError as error:
        raise Stop(f"{settings.state.dir}: {error.strerror}; name a folder you may write to in state.dir") from None
