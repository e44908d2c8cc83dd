"""The precedence table of `decide`, row by row and tie by tie, on real small policies."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.model import Action, Decision, Query
from blockerd.policy.decide import Policy, decide
from blockerd.policy.name import from_text
from tests.fakes.packets import wire
from tests.fakes.policies import Listing, policy

THURSDAY_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()


def _ask(policy_: Policy, name: str | list[bytes], qtype: int = 1, at: float = THURSDAY_NOON) -> Decision:
    return decide(policy_, Query(from_text(name) if isinstance(name, str) else wire(name), qtype), at)


def _source(policy_: Policy, name: str, qtype: int = 1) -> str:
    """Which source decided: its id, or "" for an unlisted name; `-` before it where the name stays open."""
    got = _ask(policy_, name, qtype)
    source = got.rule.source if got.rule else ""
    return source if got.blocked else "-" + source if source else ""


LIST = Listing("site.test", id="plain")
LOUD = Listing("||site.test^$important", id="loud")
SHY = Listing("||site.test^\n@@||site.test^", id="shy")


@pytest.mark.parametrize(
    ("lists", "rest", "expected"),
    [
        ([LIST], {}, "plain"),
        ([], {}, ""),
        # 1 before everything
        ([LIST, LOUD], {"protected": ["site.test"]}, "-protected"),
        ([LIST], {"protected": ["site.test"], "block": ["site.test"]}, "-protected"),
        ([LOUD], {"protected": ["site.test"], "block": ["www.site.test"], "allow": []}, "-protected"),
        # 3 own rules before lists
        ([LOUD], {"allow": ["site.test"]}, "-own-allow"),
        ([SHY], {"block": ["site.test"]}, "own-block"),
        ([LIST], {"block": ["site.test"]}, "own-block"),
        ([], {"block": ["site.test"], "categories": ()}, "own-block"),
        # 3 most specific wins, a tie goes to allow
        ([], {"allow": ["site.test"], "block": ["www.site.test"]}, "own-block"),
        ([], {"allow": ["www.site.test"], "block": ["site.test"]}, "-own-allow"),
        ([], {"allow": ["www.site.test"], "block": ["www.site.test"]}, "-own-allow"),
        ([LIST], {"allow": ["test"]}, "-own-allow"),
        # 4 $important before exceptions and before lists that come first
        ([SHY, LOUD], {}, "loud"),
        ([LIST, LOUD], {}, "loud"),
        ([Listing("||site.test^$important\n@@||site.test^", id="both")], {}, "both"),
        ([Listing(LOUD.text, "cam", "loud"), LIST], {"categories": ["adult"]}, "plain"),
        # 5 an exception cancels its own source only
        ([SHY], {}, "-shy"),
        ([SHY, LIST], {}, "plain"),
        ([LIST, SHY], {}, "plain"),
        ([Listing("||site.test^\n@@||www.site.test^", id="shy")], {}, "-shy"),
        ([Listing("||www.site.test^\n@@||site.test^", id="shy")], {}, "-shy"),
        ([Listing("@@||site.test^\n||other.test^", id="shy"), LIST], {}, "plain"),
        # 6 active categories only
        ([LIST], {"categories": ["cam"]}, ""),
        ([Listing("www.site.test", "cam", "first"), LIST], {"categories": ["adult"]}, "plain"),
        ([Listing("site.test", "cam", "above"), Listing("www.site.test", "adult", "deep")], {}, "deep"),
    ],
)
def test_the_precedence_table(lists: list[Listing], rest: dict[str, list[str]], expected: str):
    assert _source(policy(*lists, **rest), "www.site.test") == expected  # type: ignore[arg-type]


def test_the_test_name_is_blocked_whatever_categories_are_on():
    got = _ask(policy(categories=()), "www.blocked.example")
    assert (got.action, got.category) == (Action.NXDOMAIN, "demo")


@pytest.mark.parametrize("name", ["notsite.test", "site.test.example", "asite.test", "site-test", "test", "ite.test"])
def test_a_name_that_only_looks_alike_is_not_covered(name: str):
    made = policy(LIST, Listing("||site.test^", id="ad"), block=["site.test"], protected=["site.test"])
    assert _ask(made, name).rule is None


@pytest.mark.parametrize(
    "labels",
    [
        [b"www.site", b"test"],
        [b"www", b"site.test"],
        [b"site.test"],
        [b"x", b"site\x04test"],
        [b"\x04site\x04test"],
        [b"a" * 5 + b"\x04site\x04test", b"example"],
    ],
)
def test_labels_are_never_read_as_text(labels: list[bytes]):
    """One label `www.site` is not two; bytes that look like lengths inside a label are no boundary."""
    made = policy(LIST, block=["site.test"], protected=["www.site.test"])
    assert _ask(made, labels).rule is None


@pytest.mark.parametrize(
    ("text", "format_", "scope", "covered"),
    [
        ("site.test", "domains", "subtree", "at below deep"),
        ("0.0.0.0 site.test", "hosts", "subtree", "at below deep"),
        ("site.test", "domains", "exact", "at"),
        ("*.site.test", "wildcard", "subtree", "at below deep"),
        ("||site.test^", "adblock", "subtree", "at below deep"),
        ("local=/site.test/", "dnsmasq", "subtree", "at below deep"),
        ("local=/*.site.test/", "dnsmasq", "subtree", "below deep"),
        ("$TTL 60\nsite.test CNAME .", "rpz", "subtree", "at"),
        ("$TTL 60\n*.site.test CNAME .", "rpz", "subtree", "below deep"),
    ],
)
def test_what_a_line_covers(text: str, format_: str, scope: str, covered: str):
    made = policy(Listing(text, format=format_, scope=scope))
    names = {"at": "site.test", "below": "www.site.test", "deep": "a.b.site.test", "beside": "other.test"}
    assert [where for where, name in names.items() if _ask(made, name).blocked] == covered.split()


def test_own_rules_below_only_spare_the_name_itself():
    assert _source(policy(LIST, allow=["*.site.test"]), "site.test") == "plain"
    assert _source(policy(LIST, allow=["*.site.test"]), "www.site.test") == "-own-allow"


def test_what_is_below_a_protected_name_is_open_and_what_is_above_is_not():
    made = policy(LIST, protected=["help.site.test"])
    assert _source(made, "a.help.site.test") == "-protected"
    assert _source(made, "site.test") == _source(made, "helps.site.test") == "plain"


@pytest.mark.parametrize(("qtype", "blocked"), [(1, False), (28, True), (65, False)])
def test_a_rule_for_one_type_leaves_the_others(qtype: int, blocked: bool):
    assert _ask(policy(Listing("||site.test^$dnstype=AAAA")), "site.test", qtype).blocked is blocked


def test_an_exception_for_one_type_spares_that_type_only():
    made = policy(Listing("||site.test^\n@@||site.test^$dnstype=AAAA"))
    assert [_ask(made, "site.test", qtype).blocked for qtype in (1, 28)] == [True, False]


def test_denyallow_spares_the_named_ones_and_all_below():
    made = policy(Listing("||sex^$denyallow=ok.sex"))
    assert [_ask(made, name).blocked for name in ("a.sex", "ok.sex", "www.ok.sex", "notok.sex")] == [1, 0, 0, 1]


def test_a_pattern_speaks_after_the_names_and_for_nobody_else():
    made = policy(Listing("/^ad[0-9]+[.]/", "cam", "pattern"), Listing("ad7.test", "adult", "name"))
    assert [_source(made, name) for name in ("ad1.test", "ad7.test", "bad1.test", "plain.test")] == [
        "pattern", "name", "", ""
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "action"), [("nxdomain", Action.NXDOMAIN), ("nodata", Action.NODATA), ("zero", Action.NODATA)]
)
def test_the_setting_says_how_an_answer_is_withheld(setting: str, action: Action):
    made = policy(LIST, block=["own.test"], block_answer=setting)
    assert _ask(made, "site.test").action is _ask(made, "own.test").action is action


def test_a_decision_names_line_category_site_and_rule():
    made = policy(Listing("# head\nx.test\ndeep.www.site.test", "cam", "mine"))
    got = _ask(made, "a.deep.www.site.test")
    assert got.rule is not None
    assert (got.rule.source, got.rule.line, got.rule.text, got.rule.category) == (
        "mine",
        3,
        "deep.www.site.test",
        "cam",
    )
    assert (got.category, got.site, got.until) == ("cam", from_text("site.test"), None)


@pytest.mark.parametrize(
    ("rule", "name", "site"),
    [
        ("site.test", "a.b.site.test", "site.test"),
        ("a.b.site.test", "x.a.b.site.test", "site.test"),
        ("shop.co.uk", "www.shop.co.uk", "shop.co.uk"),
        ("one.github.io", "www.one.github.io", "one.github.io"),
    ],
)
def test_the_site_is_the_registrable_domain(rule: str, name: str, site: str):
    assert _ask(policy(Listing(rule)), name).site == from_text(site)


def test_a_schedule_blocks_from_its_first_second_to_before_its_last():
    made = policy(Listing("site.test", "chat"), schedules=[("chat", ("thu",), ("21:00-22:00",))])
    begin, end = THURSDAY_NOON + 9 * 3600, THURSDAY_NOON + 10 * 3600
    moments = [begin - 1, begin - 0.001, begin, end - 0.001, end]
    assert [_ask(made, "site.test", at=at).blocked for at in moments] == [False, False, True, True, False]
    assert _ask(made, "site.test", at=begin - 5).until == begin
    assert _ask(made, "site.test", at=begin + 5).until == end


def test_a_category_without_schedule_and_own_rules_know_no_hours():
    made = policy(LIST, block=["own.test chat"], schedules=[("chat", ("mon",), ("00:00-01:00",))])
    assert _source(made, "site.test") == "plain"
    assert _source(made, "own.test") == "own-block"


_labels = st.lists(st.binary(min_size=1, max_size=63), max_size=4)


@given(labels=_labels, qtype=st.integers(0, 65535), at=st.floats(-1e12, 1e12))
def test_it_answers_for_every_canonical_name_type_and_time(labels: list[bytes], qtype: int, at: float):
    name = b"".join(bytes((len(label),)) + label.lower() for label in labels) + b"\x00"
    made = _everything()
    got = decide(made, Query(name, qtype), at)
    assert got == decide(made, Query(name, qtype), at)
    assert got.reason


def _everything(cache: list[Policy] = []) -> Policy:  # noqa: B006 - made once for all examples
    if not cache:
        cache.append(policy(
            LIST, LOUD, SHY, Listing("/a.*b/"), block=["own.test"], allow=["*.own.test"], protected=["safe.test"],
            schedules=[("adult", ("mon",), ("10:00-11:00",))],
        ))  # fmt: skip
    return cache[0]
