"""Resolvers that are named later: what is taken from links and from /etc/resolv.conf, and what is left alone."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from blockerd.system.links import MOST, WITHIN, Links, Told, of_file, own_domains, per_link, read
from blockerd.system.resolved import FALLBACK, resolv_conf
from blockerd.system.watchdog import Decider, left_over, turn, turn_back, watch
from blockerd.system.wish import Way, Wish

DNS = "Global: 127.0.0.1\nLink 2 (eth0):\nLink 5 (wg0): 198.51.100.7 fd00::7\nLink 6 (lo0): 127.0.0.1\n"
DOMAIN = "Global: ~.\nLink 2 (eth0):\nLink 5 (wg0): ~. corp.example ~intra.example\n"


def test_a_link_with_resolvers_of_its_own_is_found_with_its_domains():
    assert per_link(DNS, DOMAIN) == [Told("wg0", ("198.51.100.7", "fd00::7"), ("corp.example", "intra.example"))]


def test_the_whole_name_space_and_single_labels_are_nobodys_own():
    assert own_domains(["~.", ".", "com", "~Corp.Example.", "corp.example"]) == ("corp.example",)


def test_a_resolv_conf_of_another_is_read():
    text = "# by resolvconf\nsearch corp.example lan\nnameserver 198.51.100.7\nnameserver 127.0.0.1\n"
    assert of_file(text) == Told("resolv.conf", ("198.51.100.7",), ("corp.example",))


def test_systemd_resolved_is_looked_at_only_when_its_servers_changed(tmp_path: Path):
    ran: list[Sequence[str]] = []

    def run(words: Sequence[str]) -> tuple[int, str]:
        ran.append(words)
        return 0, {"dns": DNS, "domain": DOMAIN}.get(words[1], "")

    (tmp_path / "sys/class/net/wg0").mkdir(parents=True)
    links = Links(Way.RESOLVED, Wish(), run, tmp_path)
    assert len(links.look(0)) == 1, "at the start it looks in any case"
    ran.clear()
    assert links.look(0) == []
    assert ran == []
    uplinks = tmp_path / "run/systemd/resolve/resolv.conf"
    uplinks.parent.mkdir(parents=True)
    uplinks.write_text("nameserver 198.51.100.7\n")
    assert len(links.look(1)) == 1
    assert ("resolvectl", "revert", "wg0") in ran
    count = len(ran)
    assert links.look(2) == []
    assert len(ran) == count
    kept = tmp_path / "run/blockerd-guard/links.json"
    assert [told.link for told in read(kept)] == ["wg0"]
    (tmp_path / "sys/class/net/wg0").rmdir()
    links.look(3)
    assert read(kept) == []


def test_a_rewritten_resolv_conf_is_ours_again_but_nobody_fights_for_ever(tmp_path: Path):
    path = tmp_path / "etc/resolv.conf"
    path.parent.mkdir()
    ours = resolv_conf(Wish())
    path.write_bytes(ours)
    links = Links(Way.PLAIN, Wish(), lambda _: (0, ""), tmp_path)
    assert links.look(0) == []
    for at in range(MOST):
        path.write_text(f"nameserver 198.51.100.{at}\n")
        assert links.look(at + 1.0) == ["/etc/resolv.conf was rewritten; programs ask blockerd again"]
        assert path.read_bytes() == ours
    path.write_text("nameserver 198.51.100.99\n")
    assert links.look(MOST + 1.0) == []
    assert b"198.51.100.99" in path.read_bytes()
    assert links.look(WITHIN + MOST + 1.0) != [], "later it is tried again"
    assert path.read_bytes() == ours


@pytest.mark.parametrize("way", [Way.RESOLVED, Way.STUB_OFF, Way.PLAIN])
def test_the_fallback_is_named_to_all_whom_programs_ask_and_to_nobody_afterwards(way: Way, tmp_path: Path):
    ran: list[Sequence[str]] = []

    def run(words: Sequence[str]) -> tuple[int, str]:
        ran.append(words)
        return 0, ""

    file, drop_in = tmp_path / "etc/resolv.conf", tmp_path / FALLBACK.lstrip("/")
    file.parent.mkdir()
    before = resolv_conf(Wish()) if way is not Way.RESOLVED else b"nameserver 127.0.0.53\n"
    file.write_bytes(before)
    assert not left_over(way, "192.0.2.9", tmp_path)
    turn(way, "192.0.2.9", Wish(), tmp_path, run)
    assert b"DNS=192.0.2.9\n" in drop_in.read_bytes(), "libnss-resolve asks systemd-resolved on every way"
    assert ran[-1] == ("systemctl", "try-restart", "systemd-resolved.service")
    assert (b"nameserver 192.0.2.9\n" in file.read_bytes()) == (way is not Way.RESOLVED)
    assert left_over(way, "192.0.2.9", tmp_path)
    ran.clear()
    turn_back(way, Wish(), tmp_path, run)
    assert not drop_in.exists()
    assert file.read_bytes() == before
    assert ran[-1] == ("systemctl", "try-restart", "systemd-resolved.service")
    assert not left_over(way, "192.0.2.9", tmp_path)


def test_a_guard_without_a_fallback_turns_back_what_one_with_it_had_left(tmp_path: Path):
    turn(Way.RESOLVED, "192.0.2.9", Wish(), tmp_path, lambda _: (0, ""))
    said: list[str] = []

    class Enough(Exception):
        """The loop went round."""

    def pause(_seconds: float) -> None:
        raise Enough

    with pytest.raises(Enough):
        watch(
            Way.RESOLVED, "", Wish(), alive=lambda: True, say=said.append, clock=lambda: 0.0, pause=pause,
            root=tmp_path, runner=lambda _: (0, ""),
        )  # fmt: skip
    assert said == ["the filter answers; the system asks it"]
    assert not (tmp_path / FALLBACK.lstrip("/")).exists()


def test_after_a_restart_of_the_machine_a_file_that_names_the_fallback_is_found(tmp_path: Path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_bytes(resolv_conf(Wish(), ("192.0.2.9",)))
    assert left_over(Way.PLAIN, "192.0.2.9", tmp_path)


def test_the_fallback_is_turned_to_in_less_than_ten_seconds_and_back_at_once():
    decider = Decider()
    seconds = [0.0, *(float(n) * 1.2 for n in range(1, 12))]
    turned = next(now for now in seconds if decider.saw(False, now) is True)
    assert turned < 10
    assert decider.saw(False, 99.0) is None
    assert decider.saw(True, 100.0) is False
    assert decider.saw(True, 101.0) is None
    assert decider.saw(False, 102.0) is None, "one lost answer is nothing"
