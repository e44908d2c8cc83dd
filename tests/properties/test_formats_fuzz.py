"""Dirty lines by the thousand, and any octets at all: parsing never raises and always says the same.

The generator takes real syntaxes, fills them with good and bad names and damages a third of them. The long run of a
million lines goes by `make soak`.
"""

import random
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from blockerd.lists.formats import FORMATS, Parsed, parse
from blockerd.policy.name import from_text, labels_of, to_text

_NAMES = [
    *(b"site.test", b"www.blocked.example", b"a.b.c.d.test", b"xn--bcher-kva.example", b"b\xc3\xbccher.example"),
    *(b"\xf0\x9f\x92\xa9.test", b"co.uk", b"blogspot.com", b"xxx", b"actor", b"localhost", b"UPPER.Test", b"dot.test."),
    *(b".lead.test", b"-hy-.test-.example", b"_sip._tcp.test", b"192.0.2.1", b"2001:db8::1", b"a..b", b"x.1", b""),
    *(b"x" * 70 + b".test", b".".join([b"y" * 60] * 5), b"nul\x00.test", b"\xff\xfe.test", b"*.star.test"),
    *(b"port.test:80", b"a.test:b.test", b"host.test/path", b"a b"),
]
_LINES = [
    *(b"%", b"% %", b"  %  ", b"%\r", b"\xef\xbb\xbf%", b"%#note", b"% # note", b"http://%/", b"%/path"),
    *(b"0.0.0.0 %", b"127.0.0.1\t% % # note", b"::1 %", b"192.0.2.9 %", b"fe80::1%lo0 localhost", b"0 %"),
    *(
        b"||%^",
        b"||%",
        b"|%^",
        b"|%|",
        b"%^",
        b".%^",
        b"@@||%^|",
        b"@@%",
        b"||*.%^",
        b"||a*%^",
        b"*%*",
        b"*.%",
        b"://%^",
    ),
    *(b"/%/", b"/^(.*\\.)?%$/", b"/(^|\\.)%$/$important", b"^(.+\\.)?%$", b"(%|%)+$", b"/(a+)+$/", b"/[/", b"/(?=x)/"),
    *(b"||%^$important", b"||%^$badfilter", b"||%^$denyallow=%|%", b"||%^$dnstype=A|~AAAA", b"||%^$dnstype=~TYPE65"),
    *(b"||%^$dnsrewrite=%", b"||%^$dnsrewrite=NOERROR;MX;10 %", b"||%^$dnsrewrite=;;", b"||%^$third-party,script"),
    *(b"||%^$client=%", b"||%^$domain=~%", b"||%^$,", b"%##.ad", b"##%", b"%#@#x", b"||%/banner$image", b"%$$script"),
    *(
        b"local=/%/",
        b"server=/%/192.0.2.1",
        b"address=/%/%/0.0.0.0",
        b"address=/*.%/192.0.2.1",
        b"server=/%/#",
        b"no-hosts",
    ),
    *(
        b'local-zone: "%" always_null',
        b"local-zone: % redirect",
        b'local-data: "% A 0.0.0.0"',
        b'local-data: "% 6 IN CNAME %"',
    ),
    *(b"% CNAME .", b"*.% CNAME .", b"% 60 IN CNAME rpz-passthru.", b"% A 127.0.0.1", b'%\tTXT\t"x"', b" CNAME ."),
    *(
        b"24.0.2.0.192.rpz-ip CNAME .",
        b"$ORIGIN %.",
        b"$TTL 60",
        b"@ SOA a. b. ( 1 2",
        b"3 4 5 )",
        b"$INCLUDE x",
        b") CNAME (",
    ),
    *(b"! Title: %", b"# Entries: 1,234", b"[Adblock Plus]", b"; %", b"server:", b"<html>"),
]
_DAMAGE = [bytes((c,)) for c in b"$^|*.\\()#/ ,=~:;\"'@!<[]{}-_\t\r\x00\x7f\x85\xa0\xff"]


def dirty_lines(seed: int, count: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    for _ in range(count):
        line = rng.choice(_LINES)
        while b"%" in line:
            line = line.replace(b"%", rng.choice(_NAMES), 1)
        if rng.random() < 0.35:
            at = rng.randrange(len(line) + 1)
            line = line[:at] + rng.choice(_DAMAGE) + line[at + rng.randrange(2) :]
        yield line.replace(b"\n", b"")


def assert_sound(parsed: Parsed) -> None:
    """What the builder relies on."""
    assert len(parsed.names) == len(parsed.lines)
    assert all(0 <= index < len(parsed.names) for index in parsed.exact)
    names = {*parsed.names, *(rule.name for rule in parsed.rules if rule.name)}
    for name in names | {name for rule in parsed.rules for name in rule.denyallow}:
        assert len(name) <= 255
        assert name == name.lower()
        assert from_text(to_text(name)) == name
        assert all(0 < len(label) < 64 for label in labels_of(name))
    for rule in parsed.rules:
        assert bool(rule.name) != bool(rule.pattern)
    for issue in parsed.issues:
        assert issue.text.isprintable()
        assert len(issue.text) <= 120
        assert issue.reason


@pytest.mark.parametrize("rights", [{}, {"own": True}, {"trust": "rewrite"}], ids=["listed", "own", "rewrite"])
@pytest.mark.parametrize("format_", FORMATS)
def test_dirty_lines_never_raise_and_always_say_the_same(format_: str, rights: dict[str, Any]):
    data = b"site.test\n" * 200 + b"\n".join(dirty_lines(seed=1, count=2_000))
    parsed = parse(data, format_, **rights)
    assert_sound(parsed)
    assert parsed == parse(data, format_, **rights)
    assert parsed.refused is None


def test_twenty_thousand_dirty_lines_line_by_line():
    lines = list(dirty_lines(seed=2, count=20_000))
    parsed = parse(b"site.test\n" * 200 + b"\n".join(lines))
    assert_sound(parsed)
    assert parsed.issue_count
    assert parsed.not_applicable
    assert parsed.comments


@pytest.mark.soak
@pytest.mark.parametrize("format_", ["auto", "adblock", "rpz", "unbound"])
def test_a_million_dirty_lines(format_: str):
    for seed in range(10):
        assert_sound(parse(b"site.test\n" * 200 + b"\n".join(dirty_lines(seed, 100_000)), format_))


@given(data=st.binary(max_size=400), format_=st.sampled_from(FORMATS), own=st.booleans())
def test_any_octets_give_a_result(data: bytes, format_: str, own: bool):
    parsed = parse(data, format_, own=own)
    assert_sound(parsed)
    if parsed.refused:
        assert parsed.entries == 0


@given(lines=st.lists(st.sampled_from(_LINES), max_size=6), text=st.text(max_size=30), format_=st.sampled_from(FORMATS))
def test_any_text_in_any_syntax_gives_a_result(lines: list[bytes], text: str, format_: str):
    data = b"\n".join(line.replace(b"%", text.encode("utf-8", "surrogatepass")) for line in lines)
    assert_sound(parse(data, format_))
