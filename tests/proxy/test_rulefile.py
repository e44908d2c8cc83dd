"""Rules as people write them: what a line means, and what is refused with which reason."""

import pytest

from blockerd.policy.name import from_text
from blockerd.proxy import never as never_module
from blockerd.proxy.rulefile import read_adblock, read_toml
from blockerd.proxy.url import read
from blockerd.proxy.urlrule import Does
from blockerd.proxy.words import Terms

NEVER = never_module.parse("bank.test\nlabel:mail\n")


def _covers(line: str, url: str) -> bool:
    found = read_adblock(line, NEVER)
    assert not found.refused, found.refused
    return found.rules[0].covers(read(url))


@pytest.mark.parametrize(
    ("line", "url", "covered"),
    [
        ("||site.test/board^", "https://site.test/board", True),
        ("||site.test/board^", "https://www.site.test/board/7?x=1", True),
        ("||site.test/board^", "https://site.test/boards", False),
        ("||site.test/board^", "https://site.test/board.json", False),
        ("||site.test/board", "https://site.test/boards", True),
        ("||site.test/Board^", "https://site.test/BOARD/", True),
        ("||site.test/u/*/pics^", "https://site.test/u/x/pics", True),
        ("||site.test/u/*/pics^", "https://site.test/u/x/picsart", False),
        ("||site.test/page|", "https://site.test/page", True),
        ("||site.test/page|", "https://site.test/page/2", False),
        ("||site.test/a*z|", "https://site.test/a/zz", True),
        ("||site.test/a*z|", "https://site.test/a/zy", False),
        ("||site.test^nsfw^", "https://site.test/nsfw/1", True),
        ("||site.test^nsfw^", "https://site.test/x/nsfw", False),
        ("||site.test^rooms", "https://site.test/Rooms", True),
        ("||site.test^rooms", "https://site.test/help/bathrooms-info", False),
        ("||site.test^*rooms", "https://site.test/help/bathrooms-info", True),
        ("||site.test^?nsfw=1", "https://site.test/?nsfw=1", True),
        ("||site.test?nsfw=1", "https://site.test/?nsfw=1&p=2", True),
        ("||site.test?nsfw=1", "https://site.test/?nsfw=0", False),
        ("||site.test?nsfw=1", "https://site.test/", False),
        ("||site.test*nsfw", "https://site.test/x/y/nsfw-z", True),
        ("||site.test/search?q=x", "https://site.test/search?q=x&p=2", True),
        ("||site.test/search?*tbm=isch", "https://site.test/search?q=1&tbm=isch", True),
        ("||site.test/search?*tbm=isch", "https://site.test/search?q=1", False),
        ("https://site.test/board^", "https://site.test/board", True),
        ("https://site.test/board^", "https://www.site.test/board", False),
    ],
)
def test_a_line_covers_these_pages(line: str, url: str, covered: bool):
    rule_host = from_text("site.test")
    assert read_adblock(line, NEVER).rules[0].host == rule_host
    exact = line.startswith("https")
    inside = read(url).name == rule_host or not exact
    assert (_covers(line, url) and inside) is covered


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("||site.test^", "list of names"),
        ("||site.test", "list of names"),
        ("||co.uk/page", "public suffix"),
        ("||www.bank.test/board", "never decrypted"),
        ("||mail.site.test/board", "never decrypted"),
        ("/board^", "begins with"),
        ("||site.test/x$third-party", "third-party"),
        ("||site.test/x$domain=a.test", "domain"),
        ("||site.test/x$category=nothing", "no category"),
        ("||site.test:8080/x", "port"),
        ("||-*-/x", "name"),
    ],
)
def test_a_line_that_cannot_be_applied_is_refused_with_its_reason(line: str, reason: str):
    found = read_adblock(line, NEVER)
    assert found.rules == []
    assert [one.line for one in found.refused] == [1]
    assert reason in found.refused[0].reason or reason == "name"


def test_comments_exceptions_categories_and_importance():
    found = read_adblock("! head\n# head\n@@||site.test/ok^\n||site.test/x$category=cam,important,all\n", NEVER)
    assert [(rule.does, rule.category, rule.important, rule.line) for rule in found.rules] == [
        (Does.ALLOW, "mixed", False, 3),
        (Does.BLOCK, "cam", True, 4),
    ]


def _no_terms(name: str) -> Terms:
    raise ValueError(f"no terms called {name}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('category = "adult"\nhosts = ["site.test"]', "list of names"),
        ('category = "none"\nhosts = ["site.test"]\npaths = ["/x"]', "no category"),
        ('category = "adult"\nhosts = ["bank.test"]\npaths = ["/x"]', "never decrypted"),
        ('category = "adult"\nhosts = ["site.test"]\npath = ["/x"]', "no key path"),
        ('category = "adult"\nhosts = ["site.test"]\nterms = "x"', "no terms"),
    ],
)
def test_a_shipped_rule_that_cannot_be_applied_is_refused(text: str, reason: str):
    found = read_toml(f'title = "t"\n[[rule]]\n{text}\n', "pages-t", NEVER, _no_terms)
    assert [reason in one.reason for one in found.refused] == [True]
    assert found.refused[0].line == 2


def test_a_pattern_of_many_stars_is_answered_at_once():
    line = "||site.test/" + "a*" * 60 + "b"
    assert not _covers(line, "https://site.test/" + "a" * 8000)


def test_a_file_of_noise_never_raises():
    noise = bytes(range(256)) * 40
    read_adblock(noise.decode("latin-1"), NEVER)
