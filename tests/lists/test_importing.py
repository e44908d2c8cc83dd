"""Pi-hole and AdGuard Home settings: what is taken over, and what is told as left."""

import gzip
import io
import json
import sqlite3
import tarfile
import zipfile
from datetime import date
from pathlib import Path

import pytest

from blockerd.lists.catalogue import Entry, Rank
from blockerd.lists.importing import ForeignError, Taken, new_id, read
from blockerd.lists.importing_yaml import YamlError, section
from blockerd.settings import Source

KNOWN = Entry("nice", "Nice list", ("cam",), "https://lists.test/nice.txt", ("https://mirror.test/nice.txt",), "hosts",
              "MIT", 10, date(2026, 1, 1), "daily", Rank.DEFAULT, "https://lists.test/")  # fmt: skip

AGH = """\
http:
  address: 0.0.0.0:80
filters:
  - enabled: true
    url: https://lists.test/nice.txt
    name: Nice
    id: 1
  - enabled: false
    url: https://lists.test/porn-hosts.txt
    name: 'It''s a list: of some'
    id: 2
  - enabled: true
    url: https://lists.test/ads.txt
    name: ads
    id: 3
  - enabled: true
    url: http://plain.test/nsfw.txt
    name: old
    id: 4
whitelist_filters:
- enabled: true
  url: https://lists.test/open.txt
  name: open
  id: 5
user_rules:
- '||x.test^'
- "@@||bank.test^$important"
- '||y.test^$important'
- '! a comment'
- ""
- /cam[0-9]+/
- '||safe.test^$dnsrewrite=1.2.3.4'
- example.test##.banner
- plain.test
dhcp:
  enabled: false
"""


def _taken(path: Path, *known: Source, category: str = "") -> Taken:
    return read(path, known, (KNOWN,), category)


def _left(taken: Taken) -> dict[str, str]:
    return {one.what: one.reason for one in taken.left}


@pytest.fixture
def agh(tmp_path: Path) -> Path:
    path = tmp_path / "AdGuardHome.yaml"
    path.write_text(AGH)
    return path


def test_adguard_lists_get_their_category_from_the_catalogue_or_their_name(agh: Path):
    taken = _taken(agh)
    assert taken.program == "AdGuard Home"
    assert [(s.id, s.category, s.format, s.enabled) for s in taken.sources] == [
        ("nice", "cam", "hosts", True),
        ("it-s-a-list-of-some", "adult", "auto", False),
    ]
    left = _left(taken)
    assert "--category" in left["https://lists.test/ads.txt"]
    assert "https only" in left["http://plain.test/nsfw.txt"]
    assert "blockerd allow" in left["https://lists.test/open.txt"]


def test_a_category_given_takes_the_lists_nobody_knows(agh: Path):
    assert [(s.id, s.category) for s in _taken(agh, category="mixed").sources][-1] == ("ads", "mixed")


def test_a_list_that_is_here_is_not_taken_twice(agh: Path):
    here = Source(id="nice", category="cam", url="https://lists.test/nice.txt")
    taken = _taken(agh, here)
    assert [s.id for s in taken.sources] == ["it-s-a-list-of-some"]
    assert _left(taken)["https://lists.test/nice.txt"] == "is here already"


def test_adguard_rules_go_where_they_mean_the_same(agh: Path):
    taken = _taken(agh)
    assert taken.block == ["x.test", "y.test", "plain.test"]
    assert taken.allow == ["bank.test"]
    assert taken.rules == ["/cam[0-9]+/", "||safe.test^$dnsrewrite=1.2.3.4"]
    assert "example.test##.banner" in _left(taken)


TABLES = {
    "adlist.json": [
        {"id": 1, "address": "https://lists.test/nice.txt", "enabled": 1, "comment": "Nice"},
        {"id": 2, "address": "https://lists.test/nsfw", "enabled": 0, "comment": None},
    ],
    "whitelist.exact.json": [{"domain": "Bank.test", "enabled": 1}, {"domain": "off.test", "enabled": 0}],
    "blacklist.exact.json": [{"domain": "x.test", "enabled": 1}, {"domain": "no name", "enabled": 1}],
    "blacklist.regex.json": [
        {"domain": r"(\.|^)name\.test$", "enabled": 1},
        {"domain": "^cam[0-9]+", "enabled": 1},
        {"domain": "(?=x)y", "enabled": 1},
    ],
    "whitelist.regex.json": [{"domain": "^safe[0-9]", "enabled": 1}],
}


def _check_pihole(taken: Taken) -> None:
    assert taken.program == "Pi-hole"
    assert [(s.id, s.category, s.enabled) for s in taken.sources] == [
        ("nice", "cam", True),
        ("lists-test-nsfw", "adult", False),
    ]
    assert taken.allow == ["bank.test"]
    assert taken.block == ["x.test", "name.test"]
    assert "/^cam[0-9]+/" in taken.rules
    assert {"no name", "/^safe[0-9]/"} <= set(_left(taken))


def test_a_teleporter_archive_of_version_5(tmp_path: Path):
    path = tmp_path / "pi-hole-teleporter.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, rows in TABLES.items():
            data = json.dumps(rows).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    _check_pihole(_taken(path))


def _gravity(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE adlist (id INTEGER, address TEXT, enabled BOOLEAN, comment TEXT, type INTEGER)")
    db.execute("CREATE TABLE domainlist (id INTEGER, type INTEGER, domain TEXT, enabled BOOLEAN)")
    for row in TABLES["adlist.json"]:
        db.execute("INSERT INTO adlist VALUES (?,?,?,?,0)", (row["id"], row["address"], row["enabled"], row["comment"]))
    db.execute("INSERT INTO adlist VALUES (9, 'https://lists.test/allow', 1, '', 1)")
    kinds = ("whitelist.exact.json", "blacklist.exact.json", "whitelist.regex.json", "blacklist.regex.json")
    for kind, name in enumerate(kinds):
        for row in TABLES[name]:
            db.execute("INSERT INTO domainlist VALUES (1,?,?,?)", (kind, row["domain"], row["enabled"]))
    db.commit()
    db.close()


def test_gravity_db_is_read_and_not_changed(tmp_path: Path):
    path = tmp_path / "gravity.db"
    _gravity(path)
    before = path.read_bytes()
    taken = _taken(path)
    _check_pihole(taken)
    assert "blockerd allow" in _left(taken)["https://lists.test/allow"]
    assert path.read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["gravity.db"]


def test_a_teleporter_archive_of_version_6(tmp_path: Path):
    _gravity(tmp_path / "gravity.db")
    path = tmp_path / "teleporter.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("etc/pihole/pihole.toml", "[dns]\n")
        archive.write(tmp_path / "gravity.db", "etc/pihole/gravity.db")
    _check_pihole(_taken(path))


def test_adlists_list_of_old_versions(tmp_path: Path):
    path = tmp_path / "adlists.list"
    path.write_text("# lists\nhttps://mirror.test/nice.txt\n\n")
    assert [(s.id, s.url) for s in _taken(path).sources] == [("nice", "https://mirror.test/nice.txt")]


@pytest.mark.parametrize(
    "data",
    [
        b"hello\n",
        b"",
        b"SQLite format 3\0" + b"x" * 200,
        b"PK\x03\x04 broken",
        b"\x1f\x8b broken",
        gzip.compress(b"not a tar"),
        b"filters:\n  - &a {url: x}\n",
        b"filters: yes\n",
        b"user_rules:\n  - |-\n    ||x^\n",
        b"user_rules:\n  - - a\n    - b\n      - c\n",
    ],
)
def test_what_is_no_such_file_is_refused_in_one_line(tmp_path: Path, data: bytes):
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(ForeignError) as error:
        _taken(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_an_archive_without_lists_says_what_to_export(tmp_path: Path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ForeignError, match="Teleporter"):
        _taken(path)


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(ForeignError, match="No such file"):
        _taken(tmp_path / "nothing")


def test_ids_are_made_of_names_and_are_never_taken():
    assert new_id("Some List!", ()) == "some-list"
    assert new_id("https://www.lists.test/a/b.txt", ()) == "lists-test-a-b-txt"
    assert new_id("x", ("x", "x-2")) == "x-3"
    assert new_id("own-things", ()) == "list-own-things"
    assert new_id("???", ()) == "list"


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a: 1\n", []),
        ("k: []\n", []),
        ("k: null\n", []),
        ("k:\n- x\n- 'it''s'\n- \"q\\\"\\u00e9\\x41\"\nz: 1\n", ["x", "it's", 'q"éA']),
        ("k:\n  - a: 1 # c\n    b: 'x: y'\n  # note\n  - a: 2\n", [{"a": "1", "b": "x: y"}, {"a": "2"}]),
        ("k:\n  - ||x.test^\n  - '# hash'\n", ["||x.test^", "# hash"]),
        ("k:\n-\n", [""]),
        ("k:\n", []),
    ],
)
def test_the_part_of_yaml_that_adguard_home_writes(text: str, items: list[object]):
    assert section(text, "k") == items


@pytest.mark.parametrize("text", ["k: x\n", "k:\n  x: 1\n", "k:\n- 'open\n", "k:\n- a: 1\n  nokey\n", "k:\n- !!x y\n"])
def test_yaml_that_is_not_known_is_refused_with_its_line(text: str):
    with pytest.raises(YamlError, match=r"^\d+: "):
        section(text, "k")
