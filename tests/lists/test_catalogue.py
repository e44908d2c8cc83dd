"""The catalogue as shipped, entries that do not fit, and the hosts that the program lives on."""

from pathlib import Path

import pytest

from blockerd.lists.catalogue import CatalogueError, Rank, load
from blockerd.lists.fetch.hosts import host_of, lifelines, mirrors_of
from blockerd.model import CATEGORIES
from blockerd.policy.name import from_text
from blockerd.settings import Settings
from blockerd.settings import load as load_settings

ENTRY = {
    "id": '"one"', "title": '"One"', "categories": '["adult"]', "url": '"https://lists.test/one"',
    "mirrors": '["https://mirror.test/one"]', "format": '"domains"', "licence": '"MIT"', "entries": "3",
    "as_of": "2026-01-01", "cadence": '"daily"', "level": '"default"', "homepage": '"https://lists.test"',
}  # fmt: skip


def _file(folder: Path, *entries: dict[str, str]) -> Path:
    text = "\n".join("[[source]]\n" + "\n".join(f"{k} = {v}" for k, v in entry.items()) for entry in entries)
    (folder / "catalogue.toml").write_text(text)
    return folder / "catalogue.toml"


def test_the_shipped_catalogue_loads_with_known_categories_and_enough_lists():
    entries = load()
    assert len(entries) >= 25
    assert {category for entry in entries for category in entry.categories} <= set(CATEGORIES)
    assert any(entry.level is Rank.DEFAULT and "adult" in entry.categories for entry in entries)


def test_each_shipped_address_stands_once():
    urls = [url for entry in load() for url in (entry.url, *entry.mirrors)]
    assert [url for url in urls if urls.count(url) > 1] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"categories": '["adlt"]'}, "no category"),
        ({"categories": "[]"}, "no category"),
        ({"format": '"hots"'}, "no format"),
        ({"level": '"best"'}, "best"),
        ({"url": '"http://lists.test/one"'}, "https"),
        ({"mirrors": '["file:///etc/shadow"]'}, "https"),
        ({"colour": '"red"'}, "colour"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_entry_that_does_not_fit_is_named_in_one_line(tmp_path: Path, change: dict[str, str], said: str):
    with pytest.raises(CatalogueError) as raised:
        load(_file(tmp_path, {**ENTRY, **change}))
    message = str(raised.value)
    assert "source one" in message
    assert said in message
    assert "\n" not in message


def test_a_missing_key_a_double_id_and_a_missing_file_are_named(tmp_path: Path):
    short = {key: value for key, value in ENTRY.items() if key != "licence"}
    with pytest.raises(CatalogueError, match="licence is missing"):
        load(_file(tmp_path, short))
    with pytest.raises(CatalogueError, match="stands there twice"):
        load(_file(tmp_path, ENTRY, ENTRY))
    with pytest.raises(CatalogueError, match="No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("[[source]\n")
    with pytest.raises(CatalogueError, match=r"broken\.toml"):
        load(tmp_path / "broken.toml")


def test_the_mirrors_of_a_list_are_its_other_addresses(tmp_path: Path):
    catalogue = load(_file(tmp_path, ENTRY))
    assert mirrors_of("https://lists.test/one", catalogue) == ("https://mirror.test/one",)
    assert mirrors_of("https://mirror.test/one", catalogue) == ("https://lists.test/one",)
    assert mirrors_of("https://lists.test/two", catalogue) == ()


def _settings(folder: Path, text: str) -> Settings:
    (folder / "blockerd.toml").write_text(text)
    return load_settings(folder / "blockerd.toml", {}, folder)


def test_the_programs_own_hosts_are_lifelines_and_addresses_are_not(tmp_path: Path):
    own = _settings(
        tmp_path,
        '[dns]\nupstreams = ["9.9.9.9", "tls://9.9.9.9#dot.upstream.test", "https://doh.upstream.test/dns-query"]\n'
        'local_domains = {"lan" = "tls://10.0.0.1#router.test"}\n'
        '[[lists.source]]\nid = "a"\ncategory = "adult"\nurl = "https://Lists.test:8443/a?b"\n'
        '[[lists.source]]\nid = "b"\ncategory = "adult"\nurl = "https://[2a00::1]/b"\n'
        '[report.smtp]\nhost = "mail.test"\n',
    )
    expected = ("dot.upstream.test", "doh.upstream.test", "router.test", "lists.test", "mail.test")
    assert lifelines(own) == frozenset(map(from_text, expected))


def test_mirrors_from_the_shipped_catalogue_are_lifelines_too(tmp_path: Path):
    entry = next(entry for entry in load() if entry.mirrors)
    own = _settings(tmp_path, f'[[lists.source]]\nid = "a"\ncategory = "adult"\nurl = "{entry.url}"\n')
    assert {from_text(host_of(url)) for url in entry.mirrors} <= lifelines(own)
