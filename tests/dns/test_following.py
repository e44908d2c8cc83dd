"""Which policy the resolver lives by: what is taken up when, and what is told of one that cannot be."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from blockerd.dns.following import BAD_AGAIN, Following
from blockerd.lists.edit import go_live
from blockerd.lists.guard import guard_of
from blockerd.policy.decide import Policy
from blockerd.policy.name import from_text
from tests.lists.places import Place


@dataclass(slots=True)
class Follower:
    """A resolver's view of `place`, at a tick of the clock each time it is asked."""

    place: Place
    live: Policy | None = None
    now: float = 1000.0
    following: Following = field(init=False)

    def __post_init__(self) -> None:
        self.following = Following(self.place.var, lambda: guard_of(self.place.settings))

    def tick(self, seconds: float = 0.25) -> bool:
        """True where there was something to take up."""
        self.now += seconds
        fresh = self.following.poll(self.live, self.now)
        self.live = fresh or self.live
        return fresh is not None

    @property
    def shown(self) -> tuple[int, int]:
        assert self.live is not None
        return self.live.generation, self.live.state.number


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.add("mine", "listed.test\n")
    made.build()
    (made.var / "own").mkdir(exist_ok=True)
    return made


def _damage(place: Place) -> None:
    path = place.var / f"policy-{place.build(force=True).generation}.snapshot"
    path.chmod(0o600)
    path.write_bytes(b"\0" * 4096)


def _block(place: Place, name: str) -> None:
    (place.var / "own" / "block.txt").write_text(f"{name}\n")
    go_live(place.settings)


def test_a_policy_is_taken_up_once(place: Place):
    follower = Follower(place)
    assert [follower.tick() for _ in range(3)] == [True, False, False]
    follower.following.again()
    assert [follower.tick() for _ in range(3)] == [True, False, False]


def test_own_rules_are_taken_up_although_the_newest_snapshot_is_damaged(place: Place, caplog: pytest.LogCaptureFixture):
    follower = Follower(place)
    follower.tick()
    _damage(place)
    assert follower.tick()
    assert follower.shown[0] == 1
    assert "policy 1, the one before it, is used" in follower.following.problem
    before = follower.shown[1]
    _block(place, "no.test")
    assert follower.tick(), "at once, not at the next look at what is damaged"
    assert follower.shown == (1, before + 1)
    assert not any(follower.tick(BAD_AGAIN) for _ in range(10))
    assert len(caplog.records) == 1, "told once"
    place.build(force=True)
    assert follower.tick()
    assert (follower.shown[0], follower.following.problem) == (3, "")


def test_what_is_put_right_without_a_new_pointer_is_taken_up_after_a_moment(place: Place):
    path = place.var / "policy-1.snapshot"
    whole = path.read_bytes()
    path.unlink()
    follower = Follower(place)
    assert not follower.tick()
    path.write_bytes(whole)
    assert not follower.tick()
    assert follower.tick(BAD_AGAIN)
    assert follower.following.problem == ""
    follower.following.problem, follower.now = "something", 10.0
    follower.tick(0)
    assert follower.following.problem == "", "a clock that was set back is no reason to wait"


def test_a_pointer_that_was_away_for_a_moment_leaves_no_problem_behind(place: Place):
    follower = Follower(place)
    follower.tick()
    pointer = place.var / "policy.current"
    pointer.rename(place.var / "away")
    assert not follower.tick()
    assert "no policy yet" in follower.following.problem
    (place.var / "away").rename(pointer)
    follower.tick()
    assert follower.following.problem == ""


def test_a_folder_that_was_emptied_and_built_anew_has_another_policy_of_the_same_number(place: Place):
    follower = Follower(place)
    follower.tick()
    for path in place.var.iterdir():
        if path.is_file():
            path.unlink()
    assert not follower.tick()
    (place.folder / "mine.txt").write_text("another.test\n")
    place.build()
    assert follower.tick()
    assert follower.live is not None
    assert follower.shown[0] == 1
    hits = [bool(follower.live.table.hits(from_text(name))) for name in ("listed.test", "another.test")]
    assert hits == [False, True]


@pytest.mark.parametrize("left", [None, b"\0" * 4096], ids=["lost", "overwritten"])
def test_a_table_whose_file_is_gone_stays_in_use(place: Place, left: bytes | None):
    follower = Follower(place)
    follower.tick()
    path = place.var / "policy-1.snapshot"
    path.unlink()
    if left:
        path.write_bytes(left)
    _block(place, "no.test")
    assert follower.tick()
    assert follower.live is not None
    assert follower.live.table.hits(from_text("listed.test"))
    assert "the names in memory are used" in follower.following.problem


def test_a_change_of_own_rules_that_could_not_be_read_at_first_is_taken_up_later(place: Place):
    follower = Follower(place)
    follower.tick()
    before = follower.shown
    _block(place, "no.test")
    state = place.var / "policy.state"
    copies = [(path, path.read_bytes()) for path in (state, *place.var.glob("policy.state.*"))]
    for path, _ in copies:
        path.unlink()
    assert not follower.tick()
    for path, data in copies:
        path.write_bytes(data)
    assert [follower.tick(BAD_AGAIN) for _ in range(2)] == [True, False]
    assert follower.shown == (before[0], before[1] + 1)
    assert follower.following.problem == ""


def test_the_host_of_a_new_list_is_protected_here_as_in_the_build(place: Place):
    follower = Follower(place)
    follower.tick()
    place.rest = '[report.smtp]\nhost = "mail.home.test"\n'
    place.build()
    assert follower.tick()
    assert follower.live is not None
    assert follower.live.table.protected_digest == follower.following.guard.digest, "the hot path stays on"
    assert follower.following.problem == ""
    place.rest = '[report.smtp]\nhost = "post.home.test"\n'
    follower.following.again()
    assert follower.tick()
    assert "lists build" in follower.following.problem, "not yet built in: told"
