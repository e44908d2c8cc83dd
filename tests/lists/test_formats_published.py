"""The real published lists: counts as committed, the counts publishers declare, one set of names in every format."""

import gzip

import pytest

from blockerd.lists.formats import Parsed, parse
from tests.lists.shared import shared_data
from tests.lists.test_formats_golden import GOLDEN

TABLE = [
    line.split("\t")
    for line in (GOLDEN / "published_counts.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
# Counts that a publisher declares and that differ from the lines of the file, which somebody counted.
MISCOUNTED = {
    "hagezi-doh-compressed.hosts.txt.gz": "counts lines, of nine names each",
    "pornhosts-0.hosts.txt.gz": "says one more than it has",
    "pornhosts-mobile.hosts.txt.gz": "says one more than it has",
    "oisd-nsfw-small.domains.txt.gz": "has four single labels, which a plain list may not close",
    "shadowwhisperer-adult.domains.txt.gz": "has five public suffixes",
}


def published(name: str) -> Parsed:
    return parse(gzip.decompress((shared_data() / "lists" / name).read_bytes()))


@pytest.mark.parametrize(("file", "format_", "entries", "issues", "note"), TABLE, ids=[row[0] for row in TABLE])
def test_a_published_list_has_the_committed_counts(file: str, format_: str, entries: str, issues: str, note: str):
    parsed = published(file)
    assert (parsed.format, parsed.entries, parsed.issue_count) == (format_, int(entries), int(issues)), note
    assert parsed.refused is None
    assert parsed.declared in (None, parsed.entries) or file in MISCOUNTED


def test_the_table_names_every_published_list():
    assert sorted(path.name for path in (shared_data() / "lists").glob("*.gz")) == sorted(row[0] for row in TABLE)


@pytest.mark.parametrize(
    ("stem", "formats"),
    [
        ("hagezi-nsfw", "adblock dnsmasq domains rpz wildcard"),
        ("hagezi-doh-vpn-proxy-bypass", "adblock dnsmasq domains rpz wildcard"),
        ("hagezi-doh", "adblock dnsmasq domains rpz wildcard"),
        ("hagezi-social", "adblock dnsmasq domains rpz wildcard"),
        ("hagezi-nosafesearch", "adblock dnsmasq rpz wildcard"),
        ("oisd-nsfw-small", "adblock dnsmasq-local dnsmasq-server domains regex rpz unbound wildcard"),
        ("blocklistproject-tiktok", "adblock dnsmasq domains hosts"),
    ],
)
def test_one_list_gives_the_same_names_in_every_format(stem: str, formats: str):
    """A plain list may not close a top-level domain, so oisd's four are missing there and nowhere else."""
    read = {format_: published(f"{stem}.{format_}.txt.gz") for format_ in formats.split()}
    whole = set(read["adblock"].names)
    exact = {read["adblock"].names[at] for at in read["adblock"].exact}
    for format_, parsed in read.items():
        names = set(parsed.names)
        tops = {name for name in whole if name[name[0] + 1 :] == b"\x00"} if format_ == "domains" else set()
        assert names == whole - tops, format_
        assert {parsed.names[at] for at in parsed.exact} == exact, format_
        assert not [rule for rule in parsed.rules if rule.name], format_
