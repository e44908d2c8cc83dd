"""One decision for pages: the precedence at the top of `decide_url`, step by step."""

import timeit

import pytest

from blockerd.model import Action
from blockerd.policy.decide import Policy
from blockerd.policy.name import from_text
from blockerd.proxy import never as never_module
from blockerd.proxy.decide_url import Pages, Verdict, decide_url, opens
from blockerd.proxy.rulefile import read_adblock, read_toml
from blockerd.proxy.url import read
from blockerd.proxy.urlrule import make
from blockerd.proxy.words import make_terms
from tests.fakes.policies import Listing, policy

NEVER = never_module.parse("bank.test\nlabel:mail\n")
SHIPPED = """
title = "test pages"
[[rule]]
category = "adult"
hosts = ["mixed.test"]
paths = ["/r/board"]
[[rule]]
category = "chat"
hosts = ["mixed.test"]
paths = ["/chat"]
[[rule]]
category = "adult"
hosts = ["search.test"]
terms = "t"
keys = ["q"]
[[rule]]
hosts = ["search.test"]
set = { safe = "active" }
paths = ["/search"]
[[rule]]
hosts = ["news.test"]
target = ["url"]
[[rule]]
category = "phone-sex"
tel = ["+41906"]
[[rule]]
category = "adult"
hosts = ["mixed.test"]
paths = ["/r/board/rules"]
allow = true
"""
LISTS = (Listing("listed.test\n", "adult"),)


def _pages(own: str = "", *, safe: bool = True) -> Pages:
    terms = make_terms([("word", ())], frozenset(("help",)), frozenset())
    shipped = read_toml(SHIPPED, "pages-test", NEVER, lambda _: terms)
    assert not shipped.refused
    rules = read_adblock(own, NEVER)
    assert not rules.refused
    return Pages(make([*rules.rules, *shipped.rules], shipped.tel), NEVER, safe)


def _at(url: str, pages: Pages | None = None, one: Policy | None = None, at: float = 0) -> Verdict:
    return decide_url(one or policy(*LISTS), pages or _pages(), read(url), at)


def test_a_listed_host_is_blocked_on_every_page_as_by_name():
    found = _at("https://www.listed.test/any")
    assert (found.decision.action, found.decision.category) == (Action.NXDOMAIN, "adult")


def test_a_page_rule_blocks_its_page_and_no_other():
    assert _at("https://www.mixed.test/r/board/7").decision.action is Action.NODATA
    assert not _at("https://mixed.test/r/other").blocked
    assert not _at("https://mixed.test/").blocked


def test_a_blocked_page_says_rule_source_category_and_site():
    decision = _at("https://www.mixed.test/r/board").decision
    assert decision.rule is not None
    assert (decision.rule.source, decision.rule.line, decision.rule.text) == ("pages-test", 3, "mixed.test/r/board")
    assert (decision.category, decision.site) == ("adult", from_text("mixed.test"))


def test_a_rule_of_a_category_that_is_off_does_not_speak():
    assert _at("https://mixed.test/chat").blocked
    assert not _at("https://mixed.test/chat", one=policy(*LISTS, categories=["adult"])).blocked


def test_a_rule_keeps_the_schedule_of_its_category():
    one = policy(*LISTS, schedules=[("chat", ("thu",), ("10:00-11:00",))])
    assert _at("https://mixed.test/chat", one=one, at=10.5 * 3600).blocked
    assert _at("https://mixed.test/chat", one=one, at=10.5 * 3600).decision.until == 11 * 3600
    assert not _at("https://mixed.test/chat", one=one, at=12 * 3600).blocked


def test_an_exception_cancels_rules_of_its_own_source_only():
    assert not _at("https://mixed.test/r/board/rules").blocked
    assert _at("https://mixed.test/r/board/rules", _pages("||mixed.test/r/board^")).blocked


def test_an_important_rule_beats_the_exception():
    pages = _pages()
    important = read_adblock("||mixed.test/r^$important,category=adult", NEVER, source="other").rules
    rules = make([*(rule for held in pages.rules.by_host.values() for rule in held), *important])
    assert _at("https://mixed.test/r/board/rules", Pages(rules, NEVER)).blocked


def test_protected_hosts_are_open_whatever_rules_say():
    one = policy(*LISTS, protected=["mixed.test"])
    assert not _at("https://mixed.test/r/board", one=one).blocked


def test_never_decrypted_hosts_are_open_to_every_page():
    own = read_adblock("||site.test/x^", never_module.parse("")).rules
    pages = Pages(make(own), never_module.parse("site.test"))
    assert not decide_url(policy(), pages, read("https://site.test/x"), 0).blocked
    assert not opens(policy(), pages, from_text("site.test"), 0)


def test_a_host_on_the_own_allow_list_is_open_but_for_own_page_rules():
    one = policy(*LISTS, allow=["mixed.test"])
    assert not _at("https://mixed.test/r/board", one=one).blocked
    assert _at("https://mixed.test/r/board", _pages("||mixed.test/r/board^"), one).blocked


def test_among_own_rules_the_most_specific_wins_and_a_tie_goes_to_allow():
    own = "||mixed.test/a^\n@@||mixed.test/a/b^\n||mixed.test/a/b/c^\n||mixed.test/t^\n@@||mixed.test/t^\n"
    got = [_at(f"https://mixed.test/{path}", _pages(own)).blocked for path in ("a", "a/b", "a/b/c", "t")]
    assert got == [True, False, True, False]


def test_own_exceptions_open_shipped_pages():
    assert not _at("https://mixed.test/r/board", _pages("@@||mixed.test/r/board^")).blocked


def test_a_search_term_blocks_and_help_spares():
    assert _at("https://search.test/find?q=a+Word").decision.reason == "search term"
    assert not _at("https://search.test/find?q=wording").blocked
    assert not _at("https://search.test/find?q=word+help").blocked


def test_the_safe_mode_is_set_where_it_is_missing():
    found = _at("https://search.test/search?q=x&safe=off")
    assert (found.decision.action, found.sets, found.blocked) == (Action.LOCAL_DATA, (("safe", "active"),), False)
    assert _at("https://search.test/search?q=x&safe=active").decision.action is Action.PASSTHRU


def test_without_safe_search_nothing_is_set():
    assert _at("https://search.test/search?q=x", _pages(safe=False)).sets == ()


@pytest.mark.parametrize(
    ("target", "blocked"),
    [
        ("https%3A%2F%2Flisted.test%2F", True),
        ("listed.test", True),
        ("https%3A%2F%2Fmixed.test%2Fr%2Fboard", True),
        ("https%3A%2F%2Fnews.test%2F%3Furl%3Dlisted.test", True),
        ("tel%3A%2B41906123", True),
        ("https%3A%2F%2Fopen.test", False),
        ("nothing", False),
    ],
)
def test_a_link_inside_a_link_is_decided_in_its_place(target: str, blocked: bool):
    assert _at(f"https://news.test/click?url={target}").blocked is blocked


def test_links_inside_links_end():
    url = "https://news.test/?url=" + "news.test%2F%3Furl%3D" * 50 + "listed.test"
    assert not _at(url).blocked


def test_a_premium_number_is_blocked_and_another_is_not():
    assert _at("tel:+41 906 12 34 56").decision.category == "phone-sex"
    assert not _at("tel:+41443456789").blocked
    assert not _at("tel:+41906123456", one=policy(categories=["adult"])).blocked


def test_an_address_is_left_to_the_gate():
    assert not _at("https://192.0.2.1/r/board").blocked


@pytest.mark.parametrize(
    ("host", "opened"),
    [
        *(("mixed.test", True), ("www.mixed.test", True), ("search.test", True), ("news.test", False)),
        *(("open.test", False), ("listed.test", False), ("test", False)),
    ],
)
def test_connections_are_opened_only_where_a_rule_may_speak(host: str, opened: bool):
    assert opens(policy(*LISTS), _pages(), from_text(host), 0) is opened


def test_rules_of_categories_that_are_off_open_nothing():
    one = policy(*LISTS, categories=["cam"])
    assert not opens(one, _pages(safe=False), from_text("mixed.test"), 0)
    assert not opens(one, _pages(safe=False), from_text("search.test"), 0)
    assert opens(one, _pages("||mixed.test/x^", safe=False), from_text("mixed.test"), 0)


def test_a_decision_takes_far_less_than_fifty_microseconds():
    one, pages = policy(*LISTS), _pages()
    url = read("https://www.mixed.test/r/other?x=1")
    best = min(timeit.repeat(lambda: decide_url(one, pages, url, 0), number=200, repeat=5)) / 200
    assert best < 50e-6
