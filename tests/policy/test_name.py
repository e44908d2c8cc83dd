"""Names: what is one, its canonical form, its site, and how it is shown masked."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from blockerd.policy import name
from blockerd.policy.name import BadName, from_ascii, from_text, to_text


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("blocked.example", b"\x07blocked\x07example\x00"),
        ("Blocked.EXAMPLE.", b"\x07blocked\x07example\x00"),
        ("  site.test \n", b"\x04site\x04test\x00"),
        ("_dns.resolver.arpa", b"\x04_dns\x08resolver\x04arpa\x00"),
        ("static-.site.test", b"\x07static-\x04site\x04test\x00"),
        ("-.a--b.test", b"\x01-\x04a--b\x04test\x00"),
        ("example", b"\x07example\x00"),
    ],
)
def test_text_becomes_canonical_wire_form(text: str, wire: bytes):
    assert from_text(text) == wire


@pytest.mark.parametrize(
    ("text", "ascii_text"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("ｅｘａｍｐｌｅ.test", "example.test"),
        ("例え。テスト。", "xn--r8jz45g.xn--zckzah"),
        ("\U0001f4a9.example", "xn--ls8h.example"),
        ("_bücher.example", "xn--_bcher-4ya.example"),
        ("xn--bcher-kva.Bücher.example", "xn--bcher-kva.xn--bcher-kva.example"),
        ("xn--a.example", "xn--a.example"),
    ],
)
def test_unicode_and_punycode_are_one_name(text: str, ascii_text: str):
    assert to_text(from_text(text)) == ascii_text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no name"),
        (".", "no name"),
        ("  ", "no name"),
        ("a..example", "empty label"),
        (".example", "empty label"),
        ("site.test..", "empty label"),
        ("a" * 64 + ".test", "label over 63 octets"),
        ("ü" * 64 + ".test", "label over 63 octets"),
        ("ü" * 60 + ".test", "label over 63 octets"),
        (".".join(["a" * 63] * 4), "over 255 octets"),
        ("x" * 1_000_000, "over 255 octets"),
        ("si te.test", "character that no name has"),
        ("site.test:80", "character that no name has"),
        ("ba\x00d.test", "character that no name has"),
        ("a\ufffd.test", "character that no name has"),
        ("*.site.test", "character that no name has"),
    ],
)
def test_what_is_no_name_says_why(text: str, reason: str):
    with pytest.raises(BadName, match=f"^{reason}$"):
        from_text(text)


def test_a_name_of_255_octets_is_the_longest():
    longest = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert len(from_text(longest)) == name.MAX_NAME
    with pytest.raises(BadName):
        from_text("a" + longest)


@given(st.lists(st.text("abcxyz0189-_", min_size=1, max_size=20), min_size=1, max_size=6))
def test_text_and_wire_form_go_both_ways(labels: list[str]):
    text = ".".join(labels)
    assert to_text(from_text(text)) == text
    assert name.labels_of(from_text(text)) == [label.encode() for label in labels]


@given(st.text(max_size=80))
def test_any_text_gives_a_name_or_bad_name(text: str):
    try:
        wire = from_text(text)
    except BadName:
        return
    assert from_text(to_text(wire)) == wire


def test_octets_that_need_it_are_escaped():
    assert to_text(b"\x0bwww.example\x03a\x00b\x00") == "www\\.example.a\\000b"
    assert to_text(name.ROOT) == "."


def test_suffixes_go_from_the_name_up():
    assert [to_text(s) for s in name.suffixes(from_text("a.site.test"))] == ["a.site.test", "site.test", "test"]
    assert name.suffixes(name.ROOT) == []


def test_covers_compares_whole_labels():
    assert name.covers(from_text("site.test"), from_text("www.site.test"))
    assert name.covers(from_text("site.test"), from_text("site.test"))
    assert not name.covers(from_text("site.test"), from_text("notsite.test"))
    assert not name.covers(from_text("www.site.test"), from_text("site.test"))


@pytest.mark.parametrize(
    ("text", "suffix", "icann_suffix", "site"),
    [
        ("www.site.co.uk", "co.uk", "co.uk", "site.co.uk"),
        ("site.com", "com", "com", "site.com"),
        ("a.b.blogspot.com", "blogspot.com", "com", "b.blogspot.com"),
        ("blogspot.com", "blogspot.com", "com", "blogspot.com"),
        ("x.y.ck", "y.ck", "y.ck", "x.y.ck"),
        ("a.www.ck", "ck", "ck", "www.ck"),
        ("www.site.nosuchtop", "nosuchtop", "nosuchtop", "site.nosuchtop"),
        ("com", "com", "com", "com"),
        ("site.xn--55qx5d.cn", "xn--55qx5d.cn", "xn--55qx5d.cn", "site.xn--55qx5d.cn"),
    ],
)
def test_public_suffix_and_site(text: str, suffix: str, icann_suffix: str, site: str):
    wire = from_text(text)
    assert to_text(name.public_suffix(wire)) == suffix
    assert to_text(name.public_suffix(wire, private=False)) == icann_suffix
    assert to_text(name.site_of(wire)) == site


def test_public_suffix_agrees_with_the_library_it_comes_from():
    from publicsuffixlist import PublicSuffixList

    library = PublicSuffixList()
    for wire in sorted(name.suffix_rules()[0].rules | name.suffix_rules()[1].rules | name.suffix_rules()[0].wild):
        text = "a.b." + to_text(wire)
        assert to_text(name.public_suffix(from_text(text))) == library.publicsuffix(text)


def test_the_root_is_its_own_suffix_and_site():
    assert name.public_suffix(name.ROOT) == name.site_of(name.ROOT) == name.ROOT


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("blocked.example", "b…d.example"),
        ("www.blocked.example", "b…d.example"),
        ("www.site.co.uk", "s…e.co.uk"),
        ("www.diary.blogspot.com", "d…y.blogspot.com"),
        ("blogspot.com", "b…t.com"),
        ("ab.example", "….example"),
        ("example", "e…e"),
        ("no name", "…"),
        ("", "…"),
    ],
)
def test_masked_hides_the_label_before_the_suffix(text: str, shown: str):
    assert name.masked(text) == shown


def test_ascii_form_takes_lower_case_only():
    with pytest.raises(BadName):
        from_ascii(b"Site.test")
