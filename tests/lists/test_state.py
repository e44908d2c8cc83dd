"""The small half of the policy: own files, what is written when, and what a kill in between leaves."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from blockerd.lists import snapshot
from blockerd.lists.snapshot import SnapshotError, read_pointer
from blockerd.lists.state import own_rules, read_state, write_state
from blockerd.model import Action
from blockerd.policy.name import from_text
from blockerd.policy.rule import Scope
from tests.lists.places import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.add("mine", "listed.test\n")
    made.build()
    (made.var / "own").mkdir()
    return made


def _own(place: Place, allow: str = "", block: str = "") -> None:
    (place.var / "own" / "allow.txt").write_text(allow)
    (place.var / "own" / "block.txt").write_text(block)


def test_own_files_say_names_scopes_and_categories(place: Place):
    _own(
        place,
        "ok.test  # why\n\n# comment\n*.below.test\n",
        "no.test\nchat.test chat\ntab.test\tcam\nB\u00fccher.test\n",
    )
    rules, issues = own_rules(place.settings)
    assert issues == []
    told = {name: (rule.allow, rule.scope, rule.category, rule.line) for name, rule in rules.items()}
    assert told == {
        from_text("ok.test"): (True, Scope.SUBTREE, "mixed", 1),
        b"\x01*" + from_text("below.test"): (True, Scope.BELOW, "mixed", 4),
        from_text("no.test"): (False, Scope.SUBTREE, "mixed", 1),
        from_text("chat.test"): (False, Scope.SUBTREE, "chat", 2),
        from_text("tab.test"): (False, Scope.SUBTREE, "cam", 3),
        from_text("xn--bcher-kva.test"): (False, Scope.SUBTREE, "mixed", 4),
    }


def test_a_line_that_is_no_name_is_told_with_its_number(place: Place):
    _own(place, "", "good.test\nno name!\nx.test nosuch\n")
    rules, issues = own_rules(place.settings)
    assert list(rules) == [from_text("good.test")]
    assert [(issue.path.name, issue.line) for issue in issues] == [("block.txt", 2), ("block.txt", 3)]


def test_a_name_in_both_files_is_allowed(place: Place):
    _own(place, "listed.test\n", "listed.test\n")
    place.build()
    assert not place.blocked("www.listed.test")


def test_the_most_specific_own_rule_wins(place: Place):
    _own(place, "in.site.test\n", "site.test\nout.in.site.test\n")
    place.build()
    assert [place.blocked(n) for n in ("site.test", "in.site.test", "x.in.site.test", "out.in.site.test")] == [
        True, False, False, True,
    ]  # fmt: skip


def test_own_rules_beat_lists_and_protected_names_beat_own_rules(place: Place):
    _own(place, "listed.test\n", "samaritans.org\nmine.test\n")
    place.build()
    assert not place.blocked("listed.test")
    assert not place.blocked("samaritans.org")
    assert place.decide("mine.test").action is Action.NXDOMAIN


@pytest.mark.parametrize("closed", ["block.txt", "allow.txt"])
def test_an_own_file_that_cannot_be_read_keeps_its_rules_and_is_told(
    service: Callable[[Path], None], caplog: pytest.LogCaptureFixture, closed: str
):
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name))
        place.add("mine", "listed.test\n")
        (place.var / "own").mkdir(parents=True)
        _own(place, "listed.test\n", "mine.test\n")
        place.build()
        _own(place, "listed.test\nmore.test\n", "mine.test\nmore.test\n")
        service(place.folder)
        (place.var / "own" / closed).chmod(0)
        place.build(force=True)
        assert [place.blocked(one) for one in ("mine.test", "listed.test", "more.test")] == [
            True, False, closed == "allow.txt",
        ]  # fmt: skip
        (told,) = caplog.messages
        assert told.startswith(f"{place.var / 'own' / closed}: Permission denied; check its permissions")
        with pytest.raises(PermissionError):
            own_rules(place.settings)


def test_a_first_build_goes_on_without_an_own_file_that_cannot_be_read(
    service: Callable[[Path], None], caplog: pytest.LogCaptureFixture
):
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name))
        place.add("mine", "listed.test\n")
        (place.var / "own").mkdir(parents=True)
        _own(place, "", "mine.test\n")
        service(place.folder)
        (place.var / "own" / "block.txt").chmod(0)
        assert place.build().written
        assert place.blocked("listed.test")
        assert len(caplog.messages) == 1


def test_a_state_that_did_not_change_is_not_written(place: Place):
    before = (place.var / "policy.current").stat().st_mtime_ns
    pointer = read_pointer(place.var)
    assert pointer
    assert write_state(place.settings, pointer) == pointer
    assert (place.var / "policy.current").stat().st_mtime_ns == before


def test_a_change_killed_before_the_pointer_moved_leaves_the_old_state_and_the_next_build_applies_it(place: Place):
    """What the disk holds when the process dies between the two renames: the new state and the old pointer."""
    pointer = (place.var / "policy.current").read_bytes()
    _own(place, "", "site.test\n")
    place.build()
    (place.var / "policy.current").write_bytes(pointer)
    assert not place.blocked("site.test")
    assert place.blocked("listed.test")
    place.build()
    assert place.blocked("site.test")


def test_a_damaged_state_is_refused_and_written_again_by_a_build(place: Place):
    path = place.var / "policy.state"
    path.write_bytes(path.read_bytes().replace(b"adult", b"chatt"))
    with pytest.raises(SnapshotError, match=r"policy\.state"):
        place.policy()
    assert not place.build().written
    assert place.blocked("listed.test")


def test_the_number_grows_with_each_change_and_each_build(place: Place):
    numbers = [place.policy().state.number]
    _own(place, "a.test\n")
    place.build()
    numbers.append(place.policy().state.number)
    place.build(force=True)
    numbers.append(place.policy().state.number)
    assert numbers == sorted(set(numbers))


def test_schedules_zone_and_level_reach_the_state(place: Place):
    schedule = '[[schedule]]\ncategory = "adult"\nwindows = ["00:00-12:00"]\n'
    place.rest = schedule + '[time]\nzone = "UTC"\n[privacy]\nlevel = "counts"\n'
    place.build()
    assert place.decide("listed.test", at=3600).blocked
    assert not place.decide("listed.test", at=13 * 3600).blocked
    assert place.policy().state.level == "counts"


def test_the_state_names_what_the_pointer_says(place: Place):
    pointer = read_pointer(place.var)
    assert pointer
    assert snapshot.digest_of((place.var / "policy.state").read_bytes()) == pointer.state_digest
    assert read_state(place.var, pointer).number == pointer.number
    assert json.loads((place.var / "policy.state").read_bytes())["number"] == pointer.number
