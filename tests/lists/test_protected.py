"""The protected names shipped in the package: their form, their number, and the digest that guards them.

Refuses an entry that would open more than it names (a public suffix, a giant platform). Called by pytest.
"""

import hashlib
import re
from collections import Counter
from importlib import resources

import pytest
from publicsuffixlist import PublicSuffixList

NAME = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))+")
HEADING = re.compile(r"# \[([a-z-]+)\] (int|[a-z]{2}) (\S.*)")
GROUPS = ("crisis", "emergency", "recovery", "sexual-health", "lgbt-support", "medical", "abuse-help", "lifeline")
# A protected name opens everything below it, so none of these may be one; single hosts of theirs may.
TOO_WIDE = {
    *("google.com", "googleapis.com", "gstatic.com", "apple.com", "icloud.com", "microsoft.com", "mozilla.org"),
    *("firefox.com", "android.com", "amazonaws.com", "cloudflare.com", "ubuntu.com", "debian.org", "facebook.com"),
    *("youtube.com", "reddit.com", "x.com", "twitter.com", "wikipedia.org", "github.com", "brave.com"),
}


def content() -> bytes:
    return resources.files("blockerd.data").joinpath("protected.txt").read_bytes()


def sections() -> list[tuple[str, str, list[str]]]:
    """(group, country, names) for each heading, in the order of the file."""
    found: list[tuple[str, str, list[str]]] = []
    for line in content().decode("ascii").splitlines():
        if heading := HEADING.fullmatch(line):
            found.append((heading[1], heading[2], []))
        elif line and not line.startswith("#"):
            found[-1][2].append(line)
    return found


def names() -> list[str]:
    return [name for _, _, part in sections() for name in part]


def parents(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[at:]) for at in range(1, len(labels))]


def test_digest_is_that_of_the_file():
    recorded = resources.files("blockerd.data").joinpath("PROTECTED.sha256").read_text("ascii")
    assert recorded == hashlib.sha256(content()).hexdigest() + "\n"


def test_at_least_300_names_and_the_head_counts_them():
    assert len(names()) >= 300
    assert f"# Entries: {len(names())}" in content().decode("ascii").splitlines()


def test_every_line_is_a_comment_or_a_plain_name():
    lines = [line for line in content().decode("ascii").splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not NAME.fullmatch(line)] == []
    assert lines == names(), "a name stands above the first heading"


def test_headings_use_the_known_groups_and_each_group_has_names():
    count = Counter(group for group, _, part in sections() for _ in part)
    assert set(count) == set(GROUPS)
    assert {group for group, _, _ in sections()} == set(GROUPS)


def test_every_section_is_filled_and_sorted():
    assert [(group, country) for group, country, part in sections() if not part or part != sorted(part)] == []


def test_no_name_is_there_twice_or_under_another():
    everything = names()
    once = set(everything)
    assert len(everything) == len(once)
    assert [name for name in once if once.intersection(parents(name))] == []


def test_crisis_lines_reach_30_countries():
    assert len({country for group, country, _ in sections() if group == "crisis"} - {"int"}) >= 30


def test_no_public_suffix_and_no_giant_platform_is_opened():
    suffixes = PublicSuffixList(accept_unknown=False)
    assert [name for name in names() if suffixes.is_public(name) or suffixes.privatesuffix(name) is None] == []
    assert set(names()) & TOO_WIDE == set()


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("crisis", "988lifeline.org"),
        ("crisis", "samaritans.org"),
        ("crisis", "telefonseelsorge.de"),
        ("recovery", "saa-recovery.org"),
        ("recovery", "sa.org"),
        ("recovery", "slaafws.org"),
        ("recovery", "recovering-couples.org"),
        ("sexual-health", "plannedparenthood.org"),
        ("lgbt-support", "thetrevorproject.org"),
        ("medical", "medlineplus.gov"),
        ("medical", "www.nhs.uk"),  # nhs.uk itself is a public suffix
        ("abuse-help", "rainn.org"),
        ("abuse-help", "revengepornhelpline.org.uk"),
        ("lifeline", "pool.ntp.org"),
        ("lifeline", "security.debian.org"),
        ("lifeline", "captive.apple.com"),
        ("lifeline", "msftconnecttest.com"),
    ],
)
def test_names_that_people_must_always_reach_are_there(group: str, name: str):
    assert name in {entry for at, _, part in sections() if at == group for entry in part}
