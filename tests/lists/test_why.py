"""The line behind a decision as it stands in the list, and which lists hold a name."""

import gzip
from pathlib import Path

import pytest

from blockerd.lists.guard import protected
from blockerd.lists.why import Why, client_of, held_by, why
from blockerd.policy.name import from_text, to_text
from tests.fakes.policies import Listing, policy
from tests.lists.places import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _why(place: Place, name: str) -> Why:
    live = place.policy()
    return why(place.settings, live.table, from_text(name), place.decide(name))


@pytest.mark.parametrize(
    ("text", "form", "name", "line", "written"),
    [
        ("# a\n\nx.test # why\n", "auto", "www.x.test", 3, "x.test # why"),
        ("a.test\r\n0.0.0.0 X.Test y.test\r\n", "hosts", "y.test", 2, "0.0.0.0 X.Test y.test"),
        ("! t\n||x.test^\n", "adblock", "x.test", 2, "||x.test^"),
        ("||x.test^$important\n", "adblock", "x.test", 1, "||x.test^$important"),
        ("/^x[0-9]+\\./\n", "adblock", "x12.test", 1, "/^x[0-9]+\\./"),
        ("local=/a.test/x.test/\n", "dnsmasq", "x.test", 1, "local=/a.test/x.test/"),
        ("$TTL 60\n@ SOA a. b. 1 2 3 4 5\nx.test CNAME .\n", "rpz", "x.test", 3, "x.test CNAME ."),
        ("\ufeffbücher.test\n", "auto", "xn--bcher-kva.test", 1, "bücher.test"),
    ],
)
def test_the_line_is_shown_as_it_stands_in_the_list(
    place: Place, text: str, form: str, name: str, line: int, written: str
):
    path = place.add("mine", "", format=form)
    path.write_bytes(text.encode())
    place.build()
    rule = place.decide(name).rule
    assert rule
    assert rule.line == line
    assert _why(place, name).written == written


def test_a_list_that_changed_since_the_build_shows_no_line_that_says_something_else(place: Place):
    path = place.add("mine", "a.test\nb.test\n")
    place.build()
    path.write_text("c.test\nd.test\n")
    (place.var / "lists" / "mine.copy").unlink()
    assert _why(place, "a.test") == Why("mine", "", True, (), "")


def test_the_copy_that_was_built_answers_where_the_file_has_changed(place: Place):
    path = place.add("mine", "a.test\nb.test\n")
    place.build()
    path.write_text("c.test\nd.test\n")
    assert _why(place, "b.test").written == "b.test"


def test_a_compressed_list_shows_its_line(place: Place):
    path = place.add("mine", "")
    path.write_bytes(gzip.compress(b"a.test\nb.test # gz\n"))
    place.build()
    assert _why(place, "b.test").written == "b.test # gz"


def test_an_own_rule_shows_the_line_the_person_wrote(place: Place):
    own = place.var / "own"
    own.mkdir(parents=True)
    (own / "block.txt").write_text("# mine\nX.test chat # late\n")
    place.build()
    assert _why(place, "www.x.test") == Why("own block list", "X.test chat # late", None, (), "")


def test_a_table_rule_is_confirmed_by_full_name_and_tells_its_hours(place: Place):
    place.add("mine", "x.test\n")
    place.rest = '[[schedule]]\ncategory = "adult"\ndays = ["mon"]\nwindows = ["21:00-07:00"]\n'
    place.build()
    found = why(place.settings, place.policy().table, from_text("x.test"), place.decide("x.test", 1795471200))
    assert found.confirmed is True
    assert found.schedule == ("mon 21:00-07:00",)


def test_a_protected_name_tells_what_help_it_is(place: Place):
    place.build()
    wire = sorted(protected().names)[0]
    found = _why(place, to_text(wire))
    assert found.title == "protected names"
    assert "# [" in found.written


def test_an_open_name_has_nothing_behind_it(place: Place):
    place.build()
    assert _why(place, "open.test") == Why()


def test_a_client_is_known_by_its_network(place: Place):
    place.rest = '[[client]]\nname = "tv"\naddresses = ["192.168.1.30/32"]\n'
    assert client_of(place.settings, "192.168.1.30") == "tv"
    assert client_of(place.settings, "192.168.1.31") == ""
    with pytest.raises(ValueError, match="tv"):
        client_of(place.settings, "tv")


def test_lists_of_adult_cam_and_chat_hold_a_name_by_itself_its_parent_or_what_is_below():
    table = policy(
        Listing("x.test\n", "adult", "l-adult"),
        Listing("a.b.parent.test\n", "cam", "l-cam"),
        Listing("x.test\nonly.test\n", "dating", "l-dating"),
        Listing("||free.test^\n@@||ok.free.test^\n", "chat", "l-chat"),
    ).table

    def held(name: str) -> list[str]:
        return [holder.source for holder in held_by(table, from_text(name))]

    assert held("x.test") == ["l-adult"]
    assert held("deep.www.x.test") == ["l-adult"]
    assert held("parent.test") == ["l-cam"]
    assert held("rent.test") == []
    assert held("only.test") == []
    assert held("bank.test") == []
    assert held("free.test") == ["l-chat"]


def test_a_pattern_holds_a_name():
    table = policy(Listing("/^cam[0-9]+\\./\n", "cam", "l-cam")).table
    assert [holder.source for holder in held_by(table, from_text("cam7.test"))] == ["l-cam"]


def test_a_label_as_long_as_a_hyphen_is_not_taken_for_a_boundary():
    """The length octet 45 of a label is the sign "-" too: `x-<label>` must not count as below `<label>`."""
    label = "a" * 45
    table = policy(Listing(f"x-{label}.test\n", "adult", "l")).table
    assert held_by(table, from_text(f"{label}.test")) == []
