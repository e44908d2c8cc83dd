"""Building the policy: what changes when, what a source's trouble costs, and what kill -9 and a full disk leave."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blockerd.lists.build import build, inputs_changed
from blockerd.lists.guard import protected
from blockerd.lists.snapshot import HEADER, SnapshotError, open_table, read_pointer
from blockerd.lists.state import open_policy
from blockerd.policy.name import from_text
from tests.e2e.install import environment
from tests.lists.places import Place

KILLS = 24


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_build_writes_a_policy_that_only_its_user_can_read(place: Place):
    place.add("mine", "listed.test\n")
    report = place.build()
    assert (report.generation, report.written) == (1, True)
    assert place.blocked("www.listed.test")
    assert (place.var / "policy-1.snapshot").stat().st_mode & 0o777 == 0o400
    assert {
        path.name: oct(path.stat().st_mode & 0o077) for path in place.var.iterdir() if path.stat().st_mode & 0o077
    } == {}


def test_a_build_of_the_same_inputs_writes_nothing(place: Place):
    place.add("mine", "listed.test\n")
    place.build()
    before = _stamps(place.var)
    report = place.build()
    assert (report.generation, report.written) == (1, False)
    assert _stamps(place.var) == before
    assert not inputs_changed(place.settings)


def test_force_builds_again(place: Place):
    place.build()
    assert place.build(force=True).generation == 2


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.mark.parametrize("change", ["scope", "category", "text", "gone"])
def test_each_input_is_a_reason_to_build(place: Place, change: str):
    path = place.add("mine", "listed.test\n")
    place.build()
    if change == "scope":
        place.sources += 'scope = "exact"\n'
    elif change == "category":
        place.sources = place.sources.replace('"adult"', '"cam"')
    elif change == "text":
        path.write_text("listed.test\nmore.test\n")
    else:
        path.unlink()
    assert inputs_changed(place.settings)
    assert place.build().generation == 2
    assert place.blocked("listed.test")


def test_what_is_only_state_does_not_build(place: Place):
    place.add("mine", "listed.test\n")
    place.build()
    snapshot = _stamps(place.var)["policy-1.snapshot"]
    number = place.policy().state.number
    place.lists = 'categories = ["cam"]'
    place.rest = '[privacy]\nlevel = "name"\n[dns]\nblock_answer = "zero"\n'
    assert not inputs_changed(place.settings)
    assert not place.build().written
    assert _stamps(place.var)["policy-1.snapshot"] == snapshot
    state = place.policy().state
    assert (state.number, state.level, state.block_answer) == (number + 1, "name", "zero")
    assert not place.blocked("listed.test")
    assert place.blocked("blocked.example")


def test_two_generations_are_kept(place: Place):
    path = place.add("mine", "a0.test\n")
    for number in range(5):
        path.write_text(f"a{number}.test\n")
        place.build()
    assert sorted(p.name for p in place.var.glob("policy-*")) == ["policy-4.snapshot", "policy-5.snapshot"]


def test_the_rules_digest_does_not_depend_on_the_order_of_the_lists(tmp_path: Path):
    texts = {
        "one": "a.test\nb.test\n",
        "two": "||c.test^\n@@||x.c.test^\n||a.test^$important\n",
        "three": "b.test\nd.test\n",
    }
    digests = set()
    for turn, order in enumerate((("one", "two", "three"), ("three", "one", "two"), ("two", "three", "one"))):
        (tmp_path / str(turn)).mkdir()
        place = Place(tmp_path / str(turn))
        for source in order:
            place.add(source, texts[source])
        place.build()
        digests.add(_rules_digest(place))
    assert len(digests) == 1
    place.add("four", "e.test\n")
    place.build()
    assert _rules_digest(place) not in digests


def _rules_digest(place: Place) -> bytes:
    path = max(place.var.glob("policy-*.snapshot"), key=lambda path: path.stat().st_mtime_ns)
    digest: bytes = HEADER.unpack(path.read_bytes()[: HEADER.size])[-1]
    return digest


@pytest.mark.parametrize("trouble", ["missing", "html", "empty", "folder"])
def test_a_source_in_trouble_keeps_its_last_good_copy(place: Place, trouble: str):
    path = place.add("mine", "listed.test\n")
    place.add("other", "other.test\n")
    place.build()
    path.unlink()
    if trouble == "folder":
        path.mkdir()
    elif trouble != "missing":
        path.write_text("" if trouble == "empty" else "<!DOCTYPE html><html><body>listed.test</body></html>\n")
    report = place.build()
    mine = next(source for source in report.sources if source.id == "mine")
    assert mine.from_copy
    assert mine.problem
    assert place.blocked("listed.test")
    assert place.blocked("other.test")


UNREAD = "".join(f"192.0.2.{n}\n" for n in range(60))


def test_a_list_that_turned_mostly_unreadable_keeps_its_last_good_copy(place: Place):
    path = place.add("mine", "listed.test\n")
    place.build()
    path.write_text(UNREAD + "new.test\n")
    mine = next(source for source in place.build().sources if source.id == "mine")
    assert mine.from_copy
    assert "60 of 61 lines" in mine.problem
    assert place.blocked("listed.test")
    assert not place.blocked("new.test")


def test_a_list_that_always_was_mostly_unreadable_blocks_the_rest_and_follows_its_file(place: Place):
    path = place.add("mine", UNREAD + "listed.test\n")
    place.build()
    assert place.blocked("listed.test")
    path.write_text(UNREAD + "new.test\n")
    mine = next(source for source in place.build().sources if source.id == "mine")
    assert (mine.from_copy, mine.problem) == (False, "")
    assert place.blocked("new.test")


def test_a_fetched_list_is_its_own_copy_and_blocks_what_can_be_read(place: Place):
    place.sources += '[[lists.source]]\nid = "far"\ncategory = "adult"\nurl = "https://list.example/x"\n'
    copy = place.var / "lists" / "far.copy"
    copy.parent.mkdir(parents=True)
    copy.write_text(UNREAD + "listed.test\n")
    far = next(source for source in place.build().sources if source.id == "far")
    assert (far.problem, far.entries, far.issue_count) == ("", 1, 60)
    assert place.blocked("listed.test")


def test_a_list_over_its_limit_keeps_its_last_good_copy_of_any_size(place: Place):
    place.add("mine", "listed.test\n" + "# long\n" * 400)
    place.build()
    place.sources += "max_bytes = 1024\n"
    mine = next(source for source in place.build(force=True).sources if source.id == "mine")
    assert mine.from_copy
    assert "over max_bytes" in mine.problem
    assert place.blocked("listed.test")


def test_a_good_copy_is_read_as_what_it_was_and_not_as_what_lies_there_now(place: Place):
    """A folder in the place of a hosts file does not make its copy a squidGuard list."""
    path = place.add("mine", "0.0.0.0 listed.test\n")
    place.build()
    path.unlink()
    path.mkdir()
    place.build()
    assert place.blocked("listed.test")


@pytest.mark.parametrize("kept", [False, True])
def test_a_list_that_the_service_may_not_reach_costs_that_list_only(service: Callable[[Path], None], *, kept: bool):
    """A home is 0700 in Debian, and the service is another user than who added the list."""
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name))
        for way in ("home/file", "folder"):
            (place.folder / way).mkdir(parents=True)
            (place.folder / way / "domains").write_text(f"{Path(way).name}.test\n")
        place.add("other", "other.test\n")
        place.sources += '[[lists.source]]\nid = "file"\ncategory = "adult"\npath = "home/file/domains"\n'
        place.sources += '[[lists.source]]\nid = "folder"\ncategory = "adult"\npath = "folder"\n'
        place.write()
        if kept:
            place.build()
        service(place.folder)
        closed = (place.folder / "home", place.folder / "folder")
        for path in closed:
            path.chmod(0)
        assert inputs_changed(place.settings)
        found = {source.id: source for source in place.build().sources}
        for path in closed:
            path.chmod(0o700)
        assert [found[id_].from_copy for id_ in ("other", "file", "folder")] == [False, kept, kept]
        assert [bool(found[id_].problem) for id_ in ("other", "file", "folder")] == [False, True, True]
        assert place.blocked("other.test")
        assert [place.blocked("file.test"), place.blocked("folder.test")] == [kept, kept]


def test_a_pipe_in_place_of_a_list_is_not_waited_for(place: Place):
    path = place.add("mine", "listed.test\n")
    place.add("other", "other.test\n")
    path.unlink()
    os.mkfifo(path)
    (mine,) = (source for source in place.build().sources if source.id == "mine")
    assert mine.problem == f"{path}: not a file: give a regular file or a folder"
    assert place.blocked("other.test")


def test_a_source_that_never_was_there_is_left_out_and_told(place: Place):
    place.add("mine", "listed.test\n").unlink()
    place.add("other", "other.test\n")
    report = place.build()
    mine = next(source for source in report.sources if source.id == "mine")
    assert not mine.from_copy
    assert "mine.txt" in mine.problem
    assert place.blocked("other.test")


def test_a_copy_that_cannot_be_read_costs_its_own_list_only(place: Place):
    path = place.add("mine", "listed.test\n")
    place.add("other", "other.test\n")
    place.build()
    path.unlink()
    copy = place.var / "lists" / "mine.copy"
    copy.write_bytes(b"\x1f\x8b\x00\x00")
    report = place.build()
    assert report.written
    assert place.blocked("other.test")


def test_a_name_in_two_lists_belongs_to_the_first_of_its_category(place: Place):
    place.add("one", "both.test\nonly1.test\n")
    place.add("two", "both.test\nonly2.test\n")
    place.add("three", "both.test\n", "cam")
    report = {source.id: source for source in place.build().sources}
    assert [(report[s].entries, report[s].added) for s in ("one", "two", "three")] == [(2, 2), (2, 1), (1, 1)]
    rule = place.decide("both.test").rule
    assert rule is not None
    assert (rule.source, rule.category, rule.line) == ("one", "adult", 1)
    place.lists = 'categories = ["cam"]'
    place.build()
    rule = place.decide("both.test").rule
    assert rule is not None
    assert rule.source == "three"


def test_a_damaged_seed_is_made_again(place: Place):
    place.build()
    (place.var / "policy.seed").write_text("no number")
    assert place.build(force=True).written
    assert place.blocked("blocked.example")


@pytest.mark.parametrize("how", ["damaged", "cut", "missing", "state", "no state", "pointer"])
def test_a_policy_that_is_not_whole_is_made_whole(place: Place, how: str):
    place.add("mine", "listed.test\n")
    place.build()
    path = place.var / {"state": "policy.state", "no state": "policy.state", "pointer": "policy.current"}.get(
        how, "policy-1.snapshot"
    )
    data = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(data[:-1])
    elif how not in ("missing", "no state"):
        path.write_bytes(data[: len(data) // 2] + bytes((data[len(data) // 2] ^ 1,)) + data[len(data) // 2 + 1 :])
    place.build()
    assert place.blocked("listed.test")


def test_the_policy_is_never_absent_while_it_is_replaced(place: Place):
    """A reader at any moment finds a whole pair of snapshot and state."""
    path = place.add("mine", "listed.test\n")
    place.build()
    settings, guard = place.settings, protected()
    end, troubles = threading.Event(), list[str]()

    def read() -> None:
        while not end.is_set():
            try:
                open_policy(place.var, guard)
            except SnapshotError as error:
                troubles.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(15):
        path.write_text(f"listed.test\nmore{number}.test\n")
        build(settings)
    end.set()
    reader.join()
    # The pointer may be read just before two builds went by; then the file it names is gone.
    assert [text for text in troubles if "No such file" not in text] == []


def test_kill_9_at_any_moment_leaves_a_whole_policy_and_the_next_build_works(place: Place):
    path = place.add("mine", "")
    texts = ["".join(f"{word}{n}.test\n" for n in range(4000)) for word in ("old", "new")]
    path.write_text(texts[0])
    began = time.monotonic()
    place.build()
    whole = time.monotonic() - began
    chance = random.Random(11)
    seen = set()
    with _Builder(place) as builder:
        for turn in range(KILLS):
            path.write_text(texts[turn % 2])
            builder.build_and_kill(1.2 * whole * chance.random())
            policy = place.policy()
            old, new = (policy.table.hits(from_text(f"{word}77.test")) for word in ("old", "new"))
            assert bool(old) != bool(new)
            seen.add((turn % 2, bool(new)))
            generations = sorted(int(p.stem.partition("-")[2]) for p in place.var.glob("policy-*.snapshot"))
            assert policy.generation in generations
            assert len(generations) <= 3
    assert builder.killed >= KILLS // 2
    assert (1, False) in seen, "no kill came before the pointer moved"
    left = sorted(p.name for p in place.var.iterdir() if p.suffix == ".partial" or p.name.startswith("."))
    place.build(force=True)
    assert [p.name for p in place.var.iterdir() if p.suffix == ".partial" or p.name.startswith(".")] == [], left
    assert len(list(place.var.glob("policy-*.snapshot"))) == 2


class _Builder:
    """A process that has everything loaded and forks one build after another, so that a kill costs no start."""

    CODE = """
import os, sys
from pathlib import Path
from blockerd.lists.build import build
from blockerd.settings import load
settings = load(Path(sys.argv[1]), {}, Path("/"))
for _ in sys.stdin:
    pid = os.fork()
    if not pid:
        build(settings)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""

    def __init__(self, place: Place) -> None:
        place.write()
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.CODE, str(place.file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=environment(),
        )  # fmt: skip
        self.killed = 0

    def __enter__(self) -> "_Builder":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)
        assert self._process.returncode == 0

    def build_and_kill(self, seconds: float) -> None:
        """Starts a build and kills it after `seconds`, if it has not ended by then."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("build\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        timer = threading.Timer(seconds, _kill, (pid,))
        timer.start()
        self.killed += self._process.stdout.readline() == "9\n"
        timer.cancel()
        timer.join()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def test_a_partial_snapshot_of_a_killed_build_is_not_written_into(place: Place):
    """It may be read-only already (0400), so that only a new file can be opened by anybody but root."""
    place.var.mkdir()
    partial = place.var / "policy-1.partial"
    partial.write_bytes(b"left")
    partial.chmod(0o400)
    other = place.folder / "other"
    os.link(partial, other)
    place.build()
    assert other.read_bytes() == b"left"
    assert place.blocked("blocked.example")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _can_mount() -> bool:
    if os.getuid() != 0:
        return False
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.needs_kernel("mounting a small disk as root", _can_mount())
def test_a_full_disk_leaves_the_old_policy(small_disk: Path):
    place = Place(small_disk)
    path = place.add("mine", "listed.test\n")
    place.build()
    before = read_pointer(place.var)
    path.write_text("".join(f"n{n}.test\n" for n in range(15_000)))
    with pytest.raises(OSError, match="No space left"):
        place.build()
    assert read_pointer(place.var) == before
    assert place.blocked("listed.test")
    assert list(place.var.glob("*.partial")) == []
    path.write_text("again.test\n")
    place.build()
    assert place.blocked("again.test")


def test_reports_are_kept_for_lists_ls(place: Place):
    place.add("mine", "listed.test\nno name here!\n")
    place.build()
    kept = json.loads((place.var / "lists.json").read_bytes())
    mine = next(source for source in kept["sources"] if source["id"] == "mine")
    assert (mine["entries"], mine["issue_count"], mine["issues"][0]["line"]) == (1, 1, 2)


def test_every_kept_snapshot_can_be_opened(place: Place):
    path = place.add("mine", "a.test\n")
    place.build()
    path.write_text("b.test\n")
    place.build()
    for file in place.var.glob("policy-*.snapshot"):
        assert open_table(file).size >= 1024
