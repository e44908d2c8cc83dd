"""`check` of a URL is the proxy's own decision."""

from pathlib import Path

import pytest

from blockerd import clock
from blockerd.proxy.gate import Gate, Refusal
from blockerd.proxy.lookup import is_page, page_decision
from blockerd.proxy.record import Recorder
from blockerd.proxy.url import BadUrl
from tests.lists.places import Place

PAGES = ("https://mixed.test/board/1", "https://mixed.test/other", "http://listed.test/x", "https://open.test/")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.add("adult", "listed.test\n")
    (place.var / "own").mkdir(parents=True)
    (place.var / "own" / "url-rules.txt").write_text("||mixed.test/board^\n")
    place.build()
    return place


def test_check_and_the_gate_say_the_same(place: Place):
    settings = place.settings
    recorder = Recorder(settings)
    gate = Gate(settings, recorder)
    gate.tick(clock.now())
    for page in PAGES:
        scheme, _, rest = page.partition("://")
        host, _, path = rest.partition("/")
        refused = isinstance(gate.request((host,), scheme, 443, f"/{path}", "127.0.0.1"), Refusal)
        found = page_decision(settings, place.policy(), page, clock.now())
        assert (found.shown, found.decision.blocked) == (host, refused)
        assert found.title == ("own page rules" if "board" in page else "")
    recorder.close()


def test_a_telephone_number_is_looked_up_too(place: Place):
    place.lists = 'categories = ["phone-sex"]'
    place.build()
    found = page_decision(place.settings, place.policy(), "tel:+41 906 123", clock.now())
    assert (found.shown, found.decision.category, found.title) == ("+41906123", "phone-sex", "premium numbers")


def test_names_are_left_to_the_names(place: Place):
    assert [is_page(text) for text in ("site.test", "site.test/x", "https://site.test", "tel:1")] == [
        False,
        *[True] * 3,
    ]
    with pytest.raises(BadUrl):
        page_decision(place.settings, place.policy(), "https:///x", clock.now())
