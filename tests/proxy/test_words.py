"""Search terms: whole words, with context; words about identity and health can never be rules, shipped or own."""

import tomllib
from importlib import resources

import pytest

from blockerd.proxy import shipped
from blockerd.proxy.words import make_terms, read_words, words_of

NEVER = shipped.never_words()


def test_no_shipped_term_holds_a_word_about_identity_or_health():
    for first in shipped.terms("adult").by_first.values():
        for term in first:
            assert not NEVER & set(term.words)
            assert not NEVER & term.near


@pytest.mark.parametrize(
    "word", ["gay", "lesbian", "trans", "bisexual", "queer", "hiv", "breast", "pregnancy", "contraception", "penis"]
)
def test_words_about_identity_and_health_can_never_be_terms(word: str):
    for line in ((word, ()), (f"{word} video", ()), (f"{word}s", ()), ("harmless", (word,))):
        with pytest.raises(ValueError, match="never"):
            make_terms([line], frozenset(), NEVER)


def test_two_words_side_by_side_can_be_forbidden():
    with pytest.raises(ValueError, match="sex education"):
        make_terms([("sex education film", ())], frozenset(), NEVER)


def test_every_forbidden_word_is_refused_when_it_stands_alone():
    for word in NEVER:
        with pytest.raises(ValueError, match="never"):
            make_terms([(word, ())], frozenset(), NEVER)


def test_no_shipped_rule_file_asks_for_such_a_word_in_a_query_or_path():
    for name in shipped._FILES:
        tree = tomllib.loads(resources.files("blockerd.proxy").joinpath("rules", f"{name}.toml").read_text("utf-8"))
        for rule in tree["rule"]:
            values = [value for one in rule.get("query", {}).values() for value in one]
            for text in (*rule.get("paths", ()), *values):
                assert not NEVER & set(words_of(text)), (name, text)


@pytest.mark.parametrize("text", ["free porn", "PORN!", "watch+porn?", "nudes leaked", "cam  girls"])
def test_a_term_stands_as_a_whole_word(text: str):
    assert shipped.terms("adult").found(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "pornic france hotel",
            "popcorn",
            "naked mole rat",
            "nudes in art",
            "xxx olympics",
            "webcam driver",
            "essex chat",
        ),
        *("gay", "breast cancer", "transgender rights", "lesbian poetry", "sussex video", "xxxl shirts"),
    ],
)
def test_other_searches_pass(text: str):
    assert not shipped.terms("adult").found(text)


@pytest.mark.parametrize(
    "text", ["porn addiction help", "how to stop watching porn", "porn law", "pornosucht porno hilfe"]
)
def test_who_looks_for_help_is_spared(text: str):
    assert not shipped.terms("adult").found(text)


def test_a_word_file_has_comments_and_pairs():
    assert read_words("# head\nself harm # both\nGAY\n\n") == {"self harm", "gay"}
