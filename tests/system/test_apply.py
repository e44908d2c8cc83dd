"""A plan done and undone on trees: whatever happens in between, uninstalling gives back what was there, to the byte."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from blockerd.system import nftables, rescue, units
from blockerd.system.apply import MARK, Applier, ApplyError, Moment, look, run
from blockerd.system.manifest import BALLAST, FOLDER, ManifestError
from blockerd.system.plan import plan
from blockerd.system.resolved import DROP_IN, FALLBACK
from blockerd.system.steps import Command, File, Folder, Foreign, Link, Owned, Step
from blockerd.system.wish import Places, Way, Wish
from tests.system.machines import DESKTOP, MACHINES, PLAIN, System, again, picture, put, tree

WISH = Wish(fallback="192.0.2.9", chat_ports=True)
PLANS = {
    **{name: (machine, WISH) for name, machine in MACHINES.items()},
    "stub-off": (DESKTOP, Wish(way=Way.STUB_OFF)),
}

as_root = pytest.mark.needs_kernel("handing files to another user: root", os.geteuid() == 0)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where that is possible: thousands of synced writes say nothing more on a disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


class Cut(BaseException):
    """The power went away."""


def applier(root: Path, watch: object = None) -> Applier:
    return Applier(root, System(root).run, watch) if watch else Applier(root, System(root).run)  # type: ignore[arg-type]


def points(steps: tuple[Step, ...]) -> int:
    """How many moments there are at which the power can go while installing."""
    return sum(4 if isinstance(step, File) else 3 for step in steps)


@pytest.mark.parametrize("name", PLANS)
def test_after_a_cut_at_each_moment_uninstalling_gives_the_tree_back(name: str, tmp_path: Path):
    machine, wish = PLANS[name]
    steps = plan(machine, wish).steps
    tree(tmp_path / "before", machine)
    before = picture(tmp_path / "before")
    for at in range(points(steps) + 1):
        root = tmp_path / "root"
        shutil.copytree(tmp_path / "before", root, symlinks=True)
        seen = 0

        def watch(_number: int, _moment: Moment, at: int = at) -> None:
            nonlocal seen
            if seen == at:
                raise Cut
            seen += 1

        try:
            applier(root, watch).apply(steps)
        except Cut:
            pass
        else:
            assert at == points(steps)
        assert applier(root).undo(data=True, tell=lambda _: None) == []
        assert picture(root) == without_lib(before), f"cut at moment {at}"
        shutil.rmtree(root)


def without_lib(before: dict[str, tuple[str, str, int]]) -> dict[str, tuple[str, str, int]]:
    """/var/lib is there on every machine and not in these trees; the folder of the manifest makes it."""
    return {**before, "var": ("folder", "", 0o755), "var/lib": ("folder", "", 0o755)}


@pytest.mark.parametrize("name", PLANS)
def test_a_cut_while_uninstalling_is_made_good_by_uninstalling_again(name: str, tmp_path: Path):
    machine, wish = PLANS[name]
    steps = plan(machine, wish).steps
    tree(tmp_path / "root", machine)
    before = picture(tmp_path / "root")
    for at in range(len(steps)):
        root = tmp_path / "root"
        applier(root).apply(steps)
        left = at

        def watch(_number: int, moment: Moment) -> None:
            nonlocal left
            if moment is Moment.BACK:
                if not left:
                    raise Cut
                left -= 1

        with pytest.raises(Cut):
            applier(root, watch).undo(data=True, tell=lambda _: None)
        assert applier(root).undo(data=True, tell=lambda _: None) == []
        assert picture(root) == without_lib(before), f"cut after {at} steps back"


@pytest.mark.parametrize("name", PLANS)
def test_installing_twice_and_uninstalling_once_gives_the_tree_back(name: str, tmp_path: Path):
    machine, wish = PLANS[name]
    steps = [step for step in plan(machine, wish).steps if not (isinstance(step, File) and step.expect)]
    tree(tmp_path, machine)
    before = picture(tmp_path)
    applier(tmp_path).apply(steps)
    once_more = [step for step in steps if not (isinstance(step, Command) and "useradd" in step.forward)]
    applier(tmp_path).apply([step for step in once_more if not (isinstance(step, File) and step.expect is not None)])
    applier(tmp_path).undo(data=True, tell=lambda _: None)
    assert picture(tmp_path) == without_lib(before)


def leads_here(root: Path) -> bool:
    """True if the system asks blockerd; a filter that stops now leaves it without DNS."""
    resolv = root / "etc/resolv.conf"
    return (root / DROP_IN.lstrip("/")).exists() or (resolv.is_file() and MARK in resolv.read_bytes())


@pytest.mark.parametrize("name", PLANS)
def test_the_way_back_of_two_installs_never_stops_a_filter_that_is_asked(name: str, tmp_path: Path):
    machine, wish = PLANS[name]
    tree(tmp_path, machine)
    before = picture(tmp_path)
    applier(tmp_path).apply(plan(machine, wish).steps)
    applier(tmp_path).apply(again(machine, wish))
    dark, stopped = [], []
    system = System(tmp_path)

    def run(words: Sequence[str]) -> tuple[int, str]:
        if tuple(words) == ("systemctl", "stop", units.DNS):
            stopped.append(words)
            dark.append(leads_here(tmp_path))
        return system.run(words)

    Applier(tmp_path, run).undo(data=True, tell=lambda _: None)
    assert dark == [False]
    assert picture(tmp_path) == without_lib(before)


@pytest.mark.parametrize("name", PLANS)
def test_a_repair_that_fails_at_any_moment_leaves_the_install_before_it(name: str, tmp_path: Path):
    machine, wish = PLANS[name]
    steps = again(machine, wish)
    tree(tmp_path / "first", machine)
    first = applier(tmp_path / "first")
    first.apply(plan(machine, wish).steps)
    first.manifest.note("worked", True)
    first.manifest.finish()
    text = first.manifest.path.read_bytes()
    before, begun = picture(tmp_path / "first"), len(first.manifest.undos())
    for at in range(0, points(tuple(steps)), 3):
        root = tmp_path / "root"
        shutil.copytree(tmp_path / "first", root, symlinks=True)
        seen = 0

        def watch(_number: int, _moment: Moment, at: int = at) -> None:
            nonlocal seen
            if seen == at:
                raise ApplyError("no")
            seen += 1

        with pytest.raises(ApplyError):
            applier(root, watch).apply(steps)
        system = System(root)
        assert Applier(root, system.run).undo(data=False, tell=lambda _: None, since=begun) == []
        assert not [words for words in system.ran if words[:2] == ("systemctl", "stop")]
        assert not [words for words in system.ran if units.GUARD_FOLDER in words], "the guard runs on"
        kept = Applier(root).manifest
        assert kept.finished()
        assert kept.path.read_bytes().startswith(text)
        assert all(undo.data for undo in kept.undos()[begun:])
        assert without_ballast(picture(root)) == without_ballast(before), f"failed at moment {at}"
        shutil.rmtree(root)


def without_ballast(found: dict[str, tuple[str, str, int]]) -> dict[str, tuple[str, str, int]]:
    """Without the folder of the manifest."""
    return {name: what for name, what in found.items() if not name.startswith(FOLDER)}


def test_setup_and_kept_settings_are_no_install_that_did_not_come_to_its_end(tmp_path: Path):
    settings: list[Step] = [Folder("state", "/var/lib/blockerd", 0o700, data=True)]
    of_system: list[Step] = [File("unit", "/etc/unit", b"y")]
    manifest = Applier(tmp_path).manifest
    applier(tmp_path).apply(settings)
    assert (manifest.installed(), manifest.finished()) == (False, True), "setup alone"
    applier(tmp_path).apply(of_system)
    assert (manifest.installed(), manifest.finished()) == (True, False), "installing"
    manifest.finish()
    applier(tmp_path).apply(settings)
    assert (manifest.installed(), manifest.finished()) == (True, True), "setup once more"
    applier(tmp_path).apply(of_system)
    assert not manifest.finished(), "an install again, cut"
    applier(tmp_path).undo(data=False, tell=lambda _: None)
    assert (manifest.installed(), manifest.finished()) == (False, True), "taken off, settings kept"


@as_root
def test_what_was_handed_to_the_service_belongs_to_its_owner_again(tmp_path: Path):
    """Also where settings and record stay: a later user with the number of the removed one must not get them."""
    tree(tmp_path, PLAIN)
    state, config = tmp_path / "var/lib/blockerd", tmp_path / "etc/blockerd/blockerd.toml"
    (state / "own").mkdir(parents=True)
    put(tmp_path, "/var/lib/blockerd/own/block.txt", b"site.test\n")
    put(tmp_path, "/etc/blockerd/blockerd.toml", b"")
    put(tmp_path, "/etc/other", b"")
    (state / "own/link").symlink_to("../../../../etc/other")
    for path in (state, state / "own", state / "own/block.txt"):
        os.chown(path, 1234, 1235)
    for path, mode in ((state, 0o755), (config.parent, 0o711), (config, 0o604)):
        path.chmod(mode)
    system = System(tmp_path, lambda words: "lists" in words)
    with pytest.raises(ApplyError, match="the first policy"):
        Applier(tmp_path, system.run).apply(plan(PLAIN, WISH).steps)
    assert owners(state, state / "own/block.txt") == [(994, 994, 0o700), (994, 994, 0o644)]
    assert owners(config.parent, config) == [(0, 994, 0o750), (0, 994, 0o640)]
    assert owners(tmp_path / "etc/other") == [(0, 0, 0o644)], "a link is not followed"
    applier(tmp_path).undo(data=False, tell=lambda _: None)
    assert owners(state, state / "own/block.txt") == [(1234, 1235, 0o755), (1234, 1235, 0o644)]
    assert owners(config.parent, config) == [(0, 0, 0o711), (0, 0, 0o604)]


@as_root
def test_a_file_that_goes_while_the_state_is_handed_over_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tree(tmp_path, PLAIN)
    put(tmp_path, "/etc/passwd", b"blockerd:x:994:994::/:/usr/sbin/nologin\n")
    for name in ("dns.new", "zone"):
        put(tmp_path, f"/var/lib/blockerd/{name}", b"")
    walk = os.fwalk

    def listed(top: Path) -> Iterator[tuple[str, list[str], list[str], int]]:
        for folder, folders, files, at in walk(top):
            (Path(folder) / "dns.new").unlink()
            yield folder, folders, sorted(files), at

    monkeypatch.setattr(os, "fwalk", listed)
    applier(tmp_path).apply([Owned("the service's", "/var/lib/blockerd", "blockerd:blockerd", 0o700, below=True)])
    assert owners(tmp_path / "var/lib/blockerd/zone") == [(994, 994, 0o644)]


def owners(*paths: Path) -> list[tuple[int, int, int]]:
    """User, group and mode of each."""
    return [(path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o7777) for path in paths]


def test_the_way_back_is_on_the_disk_before_the_change(tmp_path: Path):
    put(tmp_path, "/etc/hosts", b"old")

    def watch(_number: int, moment: Moment) -> None:
        content = (tmp_path / "etc/hosts").read_bytes()
        kept = Applier(tmp_path).manifest.undos()
        assert content == (b"new" if moment is Moment.DONE else b"old")
        assert bool(kept) == (moment is not Moment.LOOKED)

    applier(tmp_path, watch).apply([File("hosts", "/etc/hosts", b"new")])


def test_what_came_back_is_on_every_disk_before_the_way_back_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tree(tmp_path, PLAIN)
    before = picture(tmp_path)
    applier(tmp_path).apply(plan(PLAIN, WISH).steps)
    seen: list[tuple[bool, bool]] = []

    def sync() -> None:
        now = picture(tmp_path)
        seen.append(({path: now.get(path) for path in before} == before, applier(tmp_path).manifest.undos() != []))

    monkeypatch.setattr(os, "sync", sync)
    assert applier(tmp_path).undo(data=True, tell=lambda _: None) == []
    assert seen == [(True, True)]


@pytest.mark.parametrize("name", PLANS)
def test_after_rescue_a_start_of_the_machine_brings_neither_belt_nor_guard(name: str, tmp_path: Path):
    machine, wish = PLANS[name]
    root = tmp_path / "root"
    tree(root, machine)
    system = System(root)
    at_work = Applier(root, system.run)
    at_work.apply(plan(machine, wish).steps)
    installed = {path.name for path in (root / "etc/systemd/system").rglob("*.service")}
    assert units.WATCHDOG in installed
    assert at_work.undo(data=False, tell=print, only=rescue.is_network, forget=False) == []
    left = {path.name for path in (root / "etc/systemd/system").rglob("*.service")}
    assert installed - left == {units.WATCHDOG, nftables.UNIT} & installed
    back = system.ran[system.ran.index(("systemctl", "stop", units.WATCHDOG)) :]
    assert any(FALLBACK in words for words in back)
    assert ("systemctl", "daemon-reload") in back, "systemd knows of them no longer"
    assert look(root / "etc/resolv.conf").content == machine.resolv_text.encode() * (not machine.resolv_target)


def test_a_torn_line_of_the_manifest_is_a_change_not_begun(tmp_path: Path):
    put(tmp_path, "/etc/hosts", b"old")
    applier(tmp_path).apply([File("hosts", "/etc/hosts", b"new")])
    manifest = Applier(tmp_path).manifest.path
    with manifest.open("ab") as file:
        file.write(b'{"title": "half a li')
    assert [undo.title for undo in Applier(tmp_path).manifest.undos()] == ["hosts"]
    applier(tmp_path).apply([File("more", "/etc/more", b"x")])
    assert [undo.title for undo in Applier(tmp_path).manifest.undos()] == ["hosts", "more"]


def test_a_manifest_of_another_version_is_refused(tmp_path: Path):
    put(tmp_path, "/var/lib/blockerd-install/manifest.jsonl", b'{"manifest": 99}\n')
    with pytest.raises(ManifestError, match="another version"):
        Applier(tmp_path).manifest.undos()


def test_a_command_that_ends_with_an_error_stops_the_install_and_names_it(tmp_path: Path):
    tree(tmp_path, DESKTOP)
    before = picture(tmp_path)
    system = System(tmp_path, lambda words: words[:2] == ("systemctl", "restart") and "dns" in words[-1])
    with pytest.raises(ApplyError, match=r"start blockerd-dns.service.*the system says no"):
        Applier(tmp_path, system.run).apply(plan(DESKTOP, WISH).steps)
    assert not (tmp_path / "etc/systemd/resolved.conf.d").exists(), "nothing points at a filter that does not run"
    Applier(tmp_path, system.run).undo(data=True, tell=lambda _: None)
    assert picture(tmp_path) == without_lib(before)


@pytest.mark.parametrize(
    ("own", "said"), [("127.0.0.1:53: taken", r"failed\. 127\.0\.0\.1:53: taken$"), ("", r"failed\.$")]
)
def test_a_service_that_does_not_start_is_told_in_its_own_words(own: str, said: str, tmp_path: Path):
    """systemctl's last line only says where to read on."""

    def run(words: Sequence[str]) -> tuple[int, str]:
        if words[0] == "journalctl":
            assert words[-1] == "_SYSTEMD_UNIT=blockerd-dns.service"
            return 0, own
        return 1, "Job for blockerd-dns.service failed.\nSee journalctl for details."

    with pytest.raises(ApplyError, match=said):
        Applier(tmp_path, run).apply([Command("start", ("systemctl", "restart", "blockerd-dns.service"))])


def test_a_file_that_changed_since_the_look_is_not_overwritten(tmp_path: Path):
    tree(tmp_path, DESKTOP)
    steps = plan(DESKTOP, WISH).steps
    put(tmp_path, "/etc/firefox/policies/policies.json", b'{"policies": {"Homepage": {}}}')
    with pytest.raises(ApplyError, match="has changed since the look"):
        applier(tmp_path).apply(steps)


def test_settings_and_record_stay_unless_asked_for(tmp_path: Path):
    steps: list[Step] = [
        Folder("state", "/var/lib/blockerd", 0o700, data=True),
        File("config", "/etc/blockerd/blockerd.toml", b"x", data=True),
        File("unit", "/etc/blockerd/unit", b"y"),
    ]
    applier(tmp_path).apply(steps)
    put(tmp_path, "/var/lib/blockerd/journal", b"record")
    applier(tmp_path).undo(data=False, tell=lambda _: None)
    assert (tmp_path / "var/lib/blockerd/journal").exists()
    assert not (tmp_path / "etc/blockerd/unit").exists()
    applier(tmp_path).undo(data=True, tell=lambda _: None)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["lib", "var"]


@pytest.mark.parametrize(
    ("words", "code", "left"),
    [
        pytest.param(("userdel", "blockerd"), 8, True, id="the user is still at work"),
        pytest.param(("userdel", "blockerd"), 6, False, id="no such user"),
        pytest.param(("systemctl", "restart", "systemd-resolved.service"), 1, True, id="a service that does not start"),
        pytest.param(("systemctl", "stop", "blockerd-dns.service"), 5, False, id="no such unit"),
    ],
)
def test_a_way_back_that_fails_is_kept_for_the_next_time(words: tuple[str, ...], code: int, left: bool, tmp_path: Path):
    steps: list[Step] = [Command("it", inverse=words), File("x", "/etc/x", b"x")]
    applier(tmp_path).apply(steps)
    said: list[str] = []
    troubles = Applier(tmp_path, lambda _: (code, "first\nno")).undo(data=True, tell=said.append)
    assert said == [f"it: {' '.join(words)}: no"]
    assert [undo.title for undo in troubles] == (["it"] if left else [])
    assert not (tmp_path / "etc/x").exists()
    assert Applier(tmp_path).manifest.exists() == left
    assert Applier(tmp_path, lambda _: (0, "")).undo(data=True, tell=said.append) == []
    assert not Applier(tmp_path).manifest.exists()


def test_what_others_wrote_beside_the_accounts_since_stays(tmp_path: Path):
    tree(tmp_path, PLAIN)
    before = picture(tmp_path)
    user, *_ = units.account(Places(), PLAIN)
    applier(tmp_path).apply([user])
    put(tmp_path, "/etc/subuid", b"me:100000:65536\n")
    put(tmp_path, "/etc/subuid-", b"me:1:1\n")
    put(tmp_path, "/etc/subgid", b"")
    put(tmp_path, "/etc/.pwd.lock", b"")
    applier(tmp_path).undo(data=True, tell=lambda _: None)
    after = picture(tmp_path)
    assert (tmp_path / "etc/subuid").read_bytes() == b"me:100000:65536\n"
    assert (tmp_path / "etc/subuid-").exists()
    assert {name: after[name] for name in after if not name.startswith("etc/subuid")} == without_lib(before)


def test_what_another_program_wrote_to_resolv_conf_since_stays(tmp_path: Path):
    put(tmp_path, "/etc/resolv.conf", b"nameserver 192.0.2.1\n")
    applier(tmp_path).apply([File("r", "/etc/resolv.conf", b"# blockerd\n", foreign=Foreign.LEAVE)])
    put(tmp_path, "/etc/resolv.conf", b"nameserver 198.51.100.1\n")
    said: list[str] = []
    applier(tmp_path).undo(data=True, tell=said.append)
    assert (tmp_path / "etc/resolv.conf").read_bytes() == b"nameserver 198.51.100.1\n"
    assert said == ["/etc/resolv.conf: written by another program since; left as it is"]


def test_a_policy_that_somebody_edited_since_loses_only_what_we_added(tmp_path: Path):
    tree(tmp_path, DESKTOP)
    applier(tmp_path).apply(plan(DESKTOP, WISH).steps)
    path = tmp_path / "etc/firefox/policies/policies.json"
    path.write_bytes(path.read_bytes().replace(b'"policies": {', b'"policies": {"NoDefaultBookmarks": true,'))
    applier(tmp_path).undo(data=True, tell=lambda _: None)
    assert path.read_bytes().split() == b'{ "policies": { "NoDefaultBookmarks": true, "BlockAbout": true } }'.split()


def test_a_link_comes_back_as_the_link_it_was(tmp_path: Path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    applier(tmp_path).apply([Link("r", "/etc/resolv.conf", "/etc/blockerd/resolv.conf")])
    assert os.readlink(tmp_path / "etc/resolv.conf") == "/etc/blockerd/resolv.conf"
    applier(tmp_path).undo(data=True, tell=lambda _: None)
    assert os.readlink(tmp_path / "etc/resolv.conf") == "../run/systemd/resolve/stub-resolv.conf"


def test_taking_back_has_room_that_was_put_aside(tmp_path: Path):
    applier(tmp_path).apply([File("x", "/etc/x", b"x")])
    ballast = tmp_path / "var/lib/blockerd-install/ballast"
    assert ballast.stat().st_blocks * 512 >= BALLAST
    there = []
    applier(tmp_path, lambda _number, _moment: there.append(ballast.exists())).undo(data=True, tell=lambda _: None)
    assert there == [False]


def test_a_folder_in_the_way_of_a_file_is_told_and_nothing_is_done(tmp_path: Path):
    (tmp_path / "etc/x").mkdir(parents=True)
    with pytest.raises(ApplyError, match="/etc/x"):
        applier(tmp_path).apply([File("x", "/etc/x", b"x")])
    assert look(tmp_path / "etc/x").kind == "folder"


SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>"$0.log"
case $1 in
  show) if [ -e "$0.often" ]; then echo start-limit-hit; else echo exit-code; fi ;;
  reset-failed) rm -f "$0.often" ;;
  *) if [ -e "$0.often" ] || [ -e "$0.broken" ]; then echo "Job for $2 failed."; exit 1; fi ;;
esac
"""


@pytest.mark.parametrize("verb", ["restart", "try-restart", "start"])
def test_what_systemd_refuses_for_starting_too_often_is_started_all_the_same(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Not started, systemd-resolved would be gone, and with it every name; what fails for another reason is left."""
    unit, tool = "systemd-resolved.service", tmp_path / "systemctl"
    log = tmp_path / "systemctl.log"
    tool.write_text(SYSTEMCTL)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert run(("systemctl", verb, unit)) == (0, "")
    (tmp_path / "systemctl.often").touch()
    assert run(("systemctl", "stop", unit))[0] == 1
    assert log.read_text().splitlines() == [f"{verb} {unit}", f"stop {unit}"]
    assert run(("systemctl", verb, unit)) == (0, "")
    assert log.read_text().splitlines()[-2:] == [f"reset-failed {unit}", f"restart {unit}"]
    (tmp_path / "systemctl.broken").touch()
    log.unlink()
    assert run(("systemctl", verb, unit)) == (1, f"Job for {unit} failed.")
    assert [line.split()[0] for line in log.read_text().splitlines()] == [verb, "show"]
