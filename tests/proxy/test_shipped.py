"""The shipped rules load, stay within their bounds, and know the sites that they say they know."""

from pathlib import Path

import pytest

from blockerd.lists.guard import protected
from blockerd.model import CATEGORIES
from blockerd.policy.name import from_text, suffixes, to_text
from blockerd.proxy.decide_url import decide_url
from blockerd.proxy.shipped import OWN_FILE, load, never_decrypt
from blockerd.proxy.url import read
from tests.fakes.policies import policy


def test_every_shipped_rule_loads(tmp_path: Path):
    rules = load(tmp_path, safe_search=True).pages.rules
    assert rules.count > 200
    assert len(rules.hosts) < 100, "a short list: what has rules is decrypted"


def test_no_ruled_host_is_protected_or_never_decrypted(tmp_path: Path):
    guard = protected()
    for host in load(tmp_path, safe_search=True).pages.rules.by_host:
        assert not guard.covers(host), to_text(host)
        assert host not in guard.above or to_text(host), "a rule may not reach down to a protected name"
        assert not never_decrypt().covers(host), to_text(host)


def test_rules_have_known_categories_or_stand_for_the_safe_mode(tmp_path: Path):
    for held in load(tmp_path, safe_search=True).pages.rules.by_host.values():
        assert {rule.category for rule in held} <= {*CATEGORIES, ""}


@pytest.mark.parametrize(
    "host",
    [
        *("www.paypal.com", "onlinebanking.site.test", "mail.google.com", "accounts.google.com", "www.nhs.uk"),
        *(
            "vault.bitwarden.com",
            "www.bund.de",
            "irs.gov",
            "patient.clinic.test",
            "webmail.site.test",
            "web.whatsapp.com",
        ),
        *("updates.apple.com", "sparkasse.de", "doctolib.fr", "1password.com"),
    ],
)
def test_money_health_government_mail_and_passwords_are_never_decrypted(host: str):
    assert never_decrypt().covers(from_text(host))


@pytest.mark.parametrize("host", ["site.test", "bankside.test", "mailbox.site.test", "governor.test"])
def test_a_label_counts_only_whole(host: str):
    assert not never_decrypt().covers(from_text(host))


def test_large_engines_are_opened_only_with_the_category_for_it(tmp_path: Path):
    pages = load(tmp_path, safe_search=True).pages
    url = read("https://www.google.com/search?q=x&udm=2")
    assert decide_url(policy(), pages, url, 0).blocked
    assert not decide_url(policy(categories=["adult", "cam", "chat"]), pages, url, 0).blocked


def test_the_own_file_adds_rules_and_tells_what_it_cannot_take(tmp_path: Path):
    (tmp_path / OWN_FILE).write_text("||site.test/x^\n||paypal.com/x^\nnonsense\n")
    loaded = load(tmp_path, safe_search=True)
    assert from_text("site.test") in loaded.pages.rules.by_host
    assert [one.line for one in loaded.refused] == [2, 3]


def test_no_rule_stands_for_a_whole_top_level(tmp_path: Path):
    for host in load(tmp_path, safe_search=True).pages.rules.by_host:
        assert len(suffixes(host)) > 1
