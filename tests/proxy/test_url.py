"""URLs have one form whatever their spelling, and odd ones are refused in a few words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.policy.name import from_text
from blockerd.proxy.url import BadUrl, canonical_path, is_address, read


@pytest.mark.parametrize(
    ("spelling", "path"),
    [
        *(("/r/board", "/r/board"), ("/R/Board/", "/r/board/"), ("/r//board", "/r/board"), ("/r/%62oard", "/r/board")),
        *(("/r/%2562oard", "/r/board"), ("/x/../r/board", "/r/board"), ("/./r/board", "/r/board"), ("", "/")),
        *(("/../../r", "/r"), ("/r;v=1/board", "/r/board"), ("\\r\\board", "/r/board"), ("/r/%2e%2e/q", "/q")),
    ],
)
def test_every_spelling_of_a_path_is_the_same(spelling: str, path: str):
    assert canonical_path(spelling) == path


@given(st.text(max_size=60))
def test_a_canonical_path_has_no_dots_no_doubled_slashes_and_no_upper_case(text: str):
    path = canonical_path(text)
    assert path.startswith("/")
    assert "//" not in path
    assert not {"..", "."} & set(path.split("/"))


def test_a_url_gives_host_port_path_and_query():
    url = read("https://WWW.Site.test:8443/A/b?X=1&y=2;z=3#part")
    assert (url.name, url.port, url.path) == (from_text("www.site.test"), 8443, "/a/b")
    assert url.query == (("x", "1"), ("y", "2"), ("z", "3"))


def test_a_text_without_scheme_is_read_as_https():
    assert read("site.test/page").port == 443


@pytest.mark.parametrize("text", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "1.2.3.4"])
def test_an_address_is_no_name(text: str):
    assert is_address(text.strip("[]"))
    assert read(f"http://{text}/").name == b""


@pytest.mark.parametrize("text", ["", "ftp://site.test/", "https:///page", "https://site.test:99999/", "http://a b/"])
def test_what_is_no_url_is_refused(text: str):
    with pytest.raises(BadUrl):
        read(text)


@pytest.mark.parametrize("text", ["tel:+41-906 123.45", "TEL:+4190612345;ext=1", "tel:%2B4190612345"])
def test_a_telephone_number_loses_what_only_separates(text: str):
    assert read(text).number == "+4190612345"


def test_a_query_of_a_thousand_pairs_is_read_in_part():
    assert len(read("https://site.test/?" + "&".join(f"k{n}=1" for n in range(1000))).query) == 100
