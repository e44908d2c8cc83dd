"""Lists as a whole: what is refused, how `auto` decides, line ends, limits, and the sink for long lists."""

import gzip

import pytest

from blockerd.lists.formats import FORMATS, parse
from blockerd.lists.formats.base import MAX_ISSUES, MAX_LINE, Issue
from blockerd.policy.name import from_text, to_text


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b" \r\n\n\t", "empty"),
        (b"<!DOCTYPE html><title>Not found</title>", "HTML"),
        (b"\xef\xbb\xbf\n  <HTML>\nsite.test\n", "HTML"),
        (b"Error <html> page", "HTML"),
        (b'{"message": "Not found"}', "JSON"),
        (b'[\n  {"domain": "site.test"}]', "JSON"),
        (gzip.compress(b"site.test\n"), "binary"),
        (b"\x7fELF" + bytes(100), "binary"),
        (bytes(range(256)) * 4, "binary"),
        ("site.test\n".encode("utf-16-le"), "binary"),
    ],
)
@pytest.mark.parametrize("format_", FORMATS)
def test_what_is_no_list_is_refused_whole(data: bytes, why: str, format_: str):
    parsed = parse(data, format_)
    assert parsed.refused is not None
    assert parsed.refused.startswith(why)
    assert (parsed.names, parsed.rules, parsed.entries) == ([], [], 0)


def test_an_empty_own_file_is_a_list_that_blocks_nothing():
    parsed = parse(b"", own=True)
    assert (parsed.refused, parsed.entries, parsed.format) == (None, 0, "domains")


def test_one_nul_octet_costs_one_line_and_not_the_list():
    parsed = parse(b"one.test\nt\x00wo.test\nthree.test\nfour.test\n")
    assert [to_text(name) for name in parsed.names] == ["one.test", "three.test", "four.test"]
    assert parsed.issues == [Issue(2, "t\\x00wo.test", "character that no name has")]


@pytest.mark.parametrize(
    "data",
    [
        b"one.test\ntwo.test\nthree.test\n",
        b"one.test\ntwo.test\nthree.test",
        b"one.test\r\ntwo.test\r\nthree.test\r\n",
        b"one.test\rtwo.test\rthree.test",
        b"\xef\xbb\xbfone.test\ntwo.test\nthree.test\n",
        "\ufeffone.test\ntwo.test\nthree.test\n".encode("utf-16-le"),
        "\ufeffone.test\r\ntwo.test\r\nthree.test".encode("utf-16-be"),
        b"ONE.test\nTwo.Test.\n three.test \n",
    ],
)
def test_line_ends_marks_and_case_make_no_difference(data: bytes):
    parsed = parse(data)
    assert [to_text(name) for name in parsed.names] == ["one.test", "two.test", "three.test"]
    assert list(parsed.lines) == [1, 2, 3]
    assert not parsed.issue_count


@pytest.mark.parametrize(
    ("data", "format_"),
    [
        (b"0.0.0.0 one.test\n127.0.0.1 two.test\n", "hosts"),
        (b"one.test\ntwo.test\n", "domains"),
        (b"*.one.test\n*.two.test\n", "wildcard"),
        (b"||one.test^\n||two.test^\n", "adblock"),
        (b"||one.test^\ntwo.test\n/^three[0-9]\\.test$/\n", "adblock"),
        (b"/^one[0-9]\\.test$/\n/(^|\\.)two\\.test$/\n", "regex"),
        (b"0.0.0.0 one.test\n*.two.test\n", "mixed"),
        (b"local=/one.test/\naddress=/two.test/#\n", "dnsmasq"),
        (b'# note\nserver:\n  local-zone: "one.test" static\n', "unbound"),
        (b"; note\n$TTL 60\none.test CNAME .\n", "rpz"),
        (b"@ IN SOA a. b. 1 2 3 4 5\none.test CNAME .\n", "rpz"),
        (b"one.test CNAME .\n*.one.test 60 IN CNAME *.\n", "rpz"),
        (b"# only a comment\n", "domains"),
    ],
)
def test_auto_names_what_it_read(data: bytes, format_: str):
    assert parse(data).format == format_


def test_auto_takes_each_line_for_what_it_is():
    data = (
        b"0.0.0.0 a.test b.test\nc.test\n*.d.test\n||e.test^\n/^(.*\\.)?f\\.test$/\nlocal=/g.test/\n"
        b"@@||h.test^\n(^|\\.)i\\.test$\n"
    )
    parsed = parse(data)
    assert [to_text(name) for name in parsed.names] == [f"{c}.test" for c in "abcdefgi"]
    assert [(to_text(rule.name), rule.allow, rule.line) for rule in parsed.rules] == [("h.test", True, 7)]
    assert parsed.issue_count == 0


@pytest.mark.parametrize("format_", FORMATS)
def test_a_line_of_a_megabyte_costs_that_line(format_: str):
    parsed = parse(b"# first\n" + b"x" * 1_000_000 + b"\n# last\n", format_)
    assert parsed.entries == 0
    assert [(issue.line, issue.reason) for issue in parsed.issues] == [(2, "a line over 64 KiB")]
    assert len(parsed.issues[0].text) == 120
    assert parsed.comments == 2


@pytest.mark.parametrize("format_", ["adblock", "domains", "regex", "rpz", "unbound", "dnsmasq"])
@pytest.mark.parametrize(
    "unit", [b"1", b"a ", b"a.", b'"', b"(", b"-", b"*a", b"\\", b"1w", b"$,", b"||", b"local-zone: a", b"#"]
)
def test_the_longest_line_of_anything_takes_no_time_to_speak_of(format_: str, unit: bytes):
    """The parsers' own expressions have no pair of parts that could share one text in many ways."""
    for end in (b"", b"!\\", b"^", b"/"):
        line = (unit * MAX_LINE)[: MAX_LINE - 8] + end
        parse(b"\n".join([line, b"/" + line[:-8] + b"/", b"||" + line[:-8], b"local-zone: " + line[:-80]]), format_)


def test_issues_are_counted_all_and_kept_up_to_a_limit():
    parsed = parse(b"192.0.2.1\n" * (MAX_ISSUES + 500), "domains")
    assert parsed.issue_count == MAX_ISSUES + 500
    assert len(parsed.issues) == MAX_ISSUES


def test_issue_texts_obey_nobody():
    parsed = parse("one.test\n\x1b[2Jred\u202e.test\n".encode() + b"x" * 300 + b" y\n", "domains")
    assert [issue.text for issue in parsed.issues] == ["\\x1b[2Jred\\u202e.test", "x" * 120]


def test_a_sink_gets_the_same_names_in_batches_and_nothing_is_kept():
    data = b"".join(b"site%d.test\n" % n for n in range(60_000)) + b"blogspot.com\nco.uk\n"
    whole, batches = parse(data), []
    streamed = parse(data, sink=lambda *batch: batches.append(batch))
    assert len(batches) > 1
    assert [name for batch in batches for name in batch[0]] == whole.names
    assert [line for batch in batches for line in batch[1]] == list(whole.lines)
    assert [batch[0][at] for batch in batches for at in batch[2]] == [whole.names[at] for at in whole.exact]
    assert (streamed.names, streamed.entries, streamed.issues) == ([], whole.entries, whole.issues)


@pytest.mark.parametrize(
    "wrap",
    [
        b"%s",
        b"0.0.0.0 %s",
        b"127.0.0.1\t%s",
        b"||%s^",
        b"*.%s",
        b"local=/%s/",
        b'local-zone: "%s" static',
        b"/^(.*\\.)?%s$/",
    ],
)
def test_a_line_among_others_means_what_it_means_alone(wrap: bytes):
    """Whole blocks take another way than single lines; both must say the same."""
    odd = [b"one.test", b"x", b"co.uk", b"blogspot.com", b"a.kawasaki.jp", b"192.0.2.1", b"UP.test", b"a..b",
           b".x.test", b"x.test.", b"b\xc3\xbccher.test", b"localhost.localdomain", b"_x.test", b"a b.test",
           b"x" * 64 + b".test",
           b".".join([b"y" * 60] * 5), b"", b"#", b"a-.test", b"x.1", b"xxx"]  # fmt: skip
    lines = [wrap % name.replace(b".", b"\\.") if b"\\" in wrap else wrap % name for name in odd]
    block = [wrap.replace(b"%s", b"filler%d\\.test" % n if b"\\" in wrap else b"filler%d.test" % n) for n in range(100)]
    format_ = parse(b"\n".join(block)).format
    together = parse(b"\n".join([*block, *lines, *block]), format_)
    alone = [name for line in lines for name in parse(line + b"\n# one line\n", format_).names]
    assert [name for name in together.names if not to_text(name).startswith("filler")] == alone
    assert together.issue_count == sum(parse(line + b"\n", format_).issue_count for line in lines if line)


@pytest.mark.parametrize("trust", ["block", "rewrite"])
@pytest.mark.parametrize(
    ("format_", "wrap"),
    [
        ("dnsmasq", b"server=/%s/#"),
        ("dnsmasq", b"local=/%s/#"),
        ("dnsmasq", b"server=/%s/0.0.0.0"),
        ("dnsmasq", b"local=/%s/::"),
        ("dnsmasq", b"server=/%s/192.0.2.1"),
        ("dnsmasq", b"address=/%s/192.0.2.1"),
        ("dnsmasq", b"address=/%s/127.0.0.1"),
        ("dnsmasq", b"address=/%s/#"),
        ("dnsmasq", b"address=/%s/::"),
        ("dnsmasq", b"address=/%s/"),
        ("unbound", b'local-zone: "%s" redirect'),
        ("unbound", b'local-zone: "%s" transparent'),
        ("unbound", b'local-zone: "%s" deny'),
        ("unbound", b'local-zone: "%s" always_nodata'),
        ("unbound", b'local-zone: "%s." refuse'),
        ("hosts", b"192.0.2.9 %s"),
        ("auto", b"server=/%s/#"),
        ("auto", b"@@||%s^"),
    ],
)
def test_a_block_of_one_kind_means_what_its_lines_mean(format_: str, wrap: bytes, trust: str):
    lines = [wrap % b"n%d.test" % n for n in range(9)]
    together = parse(b"\n".join(lines), format_, trust=trust)
    alone = [parse(line + b"\n# one line\n", format_, trust=trust) for line in lines]
    assert together.names == [name for one in alone for name in one.names]
    assert [(rule.name, rule.allow, rule.action, rule.data) for rule in together.rules] == [
        (rule.name, rule.allow, rule.action, rule.data) for one in alone for rule in one.rules
    ]
    assert together.not_applicable == sum(one.not_applicable for one in alone)
    assert together.issue_count == sum(one.issue_count for one in alone)


def test_private_suffixes_are_exact_and_what_is_below_them_is_not():
    parsed = parse(b"||blogspot.com^\n||diary.blogspot.com^\n")
    assert [to_text(parsed.names[at]) for at in parsed.exact] == ["blogspot.com"]
    assert parsed.names[1] == from_text("diary.blogspot.com")


def test_unknown_words_are_the_callers_mistake():
    for format_, scope, trust in (("nosuch", "exact", "block"), ("auto", "wide", "block"), ("auto", "exact", "all")):
        with pytest.raises(ValueError, match="no format"):
            parse(b"site.test", format_, scope=scope, trust=trust)


def test_a_rewrite_needs_trust():
    data = b"192.0.2.7 site.test\n"
    assert parse(data, "hosts").issue_count == 1
    assert parse(data, "hosts", trust="rewrite").rules[0].data == (("A", "192.0.2.7"),)
    assert parse(data, "hosts", own=True).rules[0].data == (("A", "192.0.2.7"),)


def test_badfilter_cancels_the_identical_rule_wherever_it_stands():
    data = (
        b"||a.test^\n||b.test^$important,dnstype=A\n||a.test^$badfilter\n"
        b"||b.test^$dnstype=A,badfilter,important\n||c.test^\n"
    )
    parsed = parse(data)
    assert [to_text(name) for name in parsed.names] == ["c.test"]
    assert parsed.rules == []
