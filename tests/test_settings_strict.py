"""What a bad configuration gets: all problems at once, each with file, line, key and what to do; never a traceback."""

import random
from pathlib import Path

import pytest

from blockerd.cli.config import example_text
from blockerd.settings import ConfigError, load

SOURCE = '[[lists.source]]\nid = "a"\ncategory = "cam"\npath = "x"\n'
WINDOW = '[[schedule]]\ncategory = "cam"\nwindows = '


def _problems(folder: Path, text: str | bytes) -> list[str]:
    file = folder / "b.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(file, {}, folder)
    assert all(problem.startswith(str(file)) and "\n" not in problem for problem in caught.value.problems)
    return [problem.removeprefix(str(file)) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("[dns]\nblock_tll = 3", 2, "dns.block_tll", "did you mean dns.block_ttl?"),
        ("\nretention_days = 3", 2, "retention_days", "did you mean privacy.retention_days?"),
        ("[dsn]", 1, "dsn", "did you mean dns?"),
        ("[dns]\nqqqqqq = 3", 2, "dns.qqqqqq", "`blockerd config example` shows all keys"),
        ("dns = 3", 1, "dns", "write [dns]"),
        ("[dns]\nblock_ttl = true", 2, "dns.block_ttl", "true is not a whole number"),
        ("[dns]\nblock_ttl = 60.0", 2, "dns.block_ttl", "60.0 is not a whole number"),
        ("[dns]\nblock_ttl = -1", 2, "dns.block_ttl", "out of range; write 0 to 86400"),
        ("[dns]\nsafe_search = 1", 2, "dns.safe_search", "1 is not true or false"),
        ('[dns]\nblock_answer = "nodat"', 2, "dns.block_answer", 'did you mean "nodata"?'),
        ("[dns]\nlisten = []", 2, "dns.listen", "name at least 1"),
        ('[dns]\nlisten = "127.0.0.1:53"', 2, "dns.listen", "is not a list"),
        ('[dns]\nlisten = ["0.0.0.0:53"]', 2, "dns.listen", "name each address"),
        ('[dns]\nlisten = ["[::]:53"]', 2, "dns.listen", "name each address"),
        ('[dns]\nlisten = ["[::ffff:0.0.0.0]:53"]', 2, "dns.listen", "name each address"),
        ('[dns]\nlisten = ["224.0.0.1:53"]', 2, "dns.listen", "group address"),
        ('[dns]\nlisten = ["localhost:53"]', 2, "dns.listen", "no numeric address"),
        ('[dns]\nlisten = ["[127.0.0.1]:53"]', 2, "dns.listen", "brackets are for IPv6"),
        ('[dns]\nlisten = ["127.0.0.1:65536"]', 2, "dns.listen", "no port"),
        ('[dns]\nlisten = ["127.0.0.1:٥٣"]', 2, "dns.listen", "no port"),
        ('[dns]\nlisten = ["127.0.0.1:53", "127.0.0.1"]', 2, "dns.listen", "stands there twice"),
        ('[dns]\nupstreams = ["9.9.9.9:0"]', 2, "dns.upstreams", "write IP[:port]"),
        ('[dns]\nupstreams = ["udp://9.9.9.9"]', 2, "dns.upstreams", "udp:// is unknown"),
        ('[dns]\nupstreams = ["tls://9.9.9.9"]', 2, "dns.upstreams", "add the name that its certificate says"),
        ('[dns]\nupstreams = ["https://u:p@dns.example/q"]', 2, "dns.upstreams", "no DoH address"),
        ('[dns]\nupstreams = ["127.0.0.1:5335"]', 2, "dns.upstreams", "blockerd itself"),
        ('[dns]\nlocal_domains = { "la n" = "9.9.9.9" }', 2, "dns.local_domains", "no domain name"),
        ('[dns]\nlocal_domains = { "lan" = "router" }', 2, "dns.local_domains", "lan: "),
        ('[lists]\ncategories = ["adlt"]', 2, "lists.categories", 'did you mean "adult"?'),
        ('[lists]\ncategories = "adult"', 2, "lists.categories", "is not a list"),
        ('[lists.source]\nid = "a"', 1, "lists.source", "write [[lists.source]]"),
        (SOURCE + SOURCE, 6, "lists.source[a].id", "used twice"),
        (SOURCE + 'url = "https://lists.example/a"', 1, "lists.source[a]", "both path and url"),
        ('[[lists.source]]\nid = "a"\ncategory = "cam"', 1, "lists.source[a]", "neither path nor url"),
        (SOURCE.replace("path", "url"), 4, "lists.source[a].url", "write https://host/path"),
        (SOURCE.replace('path = "x"', 'url = "http://lists.example/"'), 4, "lists.source[a].url", "no https address"),
        (SOURCE.replace('"x"', '"~/x"'), 4, "lists.source[a].path", "write the whole path"),
        (SOURCE.replace('"a"', '"starter-adult"'), 2, "lists.source[starter-adult].id", "are taken"),
        (SOURCE.replace('category = "cam"\n', ""), 1, "lists.source[a].category", 'add e.g. category = "adult"'),
        (SOURCE + "scope = 1", 5, "lists.source[a].scope", "write one of: exact, subtree"),
        (SOURCE + 'titel = "x"', 5, "lists.source[a].titel", "unknown key"),
        (WINDOW.replace("cam", "cams") + '["1:00-2:00"]', 2, "schedule[cams].category", 'did you mean "cam"?'),
        (WINDOW + "[]", 3, "schedule[cam].windows", "name at least 1"),
        (WINDOW + '["21-7"]', 3, "schedule[cam].windows", 'write e.g. "21:00-07:00"'),
        (WINDOW + '["24:00-07:00"]', 3, "schedule[cam].windows", "begins at 00:00 to 23:59"),
        (WINDOW + '["07:00-07:00"]', 3, "schedule[cam].windows", 'write "00:00-24:00"'),
        (WINDOW + '["1:00-2:00"]\ndays = ["monday"]', 4, "schedule[cam].days", 'did you mean "mon"?'),
        ('[[client]]\nname = "tv"\naddresses = ["10.0.0.1/8"]', 3, "client[tv].addresses", "no address or network"),
        ('[time]\nzone = "Europe/Berln"', 2, "time.zone", "no time zone known here"),
        ('[time]\nzone = "../../etc/passwd"', 2, "time.zone", "is no time zone"),
        ('[web]\nlisten = "0.0.0.0:80"', 2, "web.listen", "name each address"),
        ('[report]\nsend_at = "sun 24:00"', 2, "report.send_at", 'write e.g. "sun 18:00"'),
        ('[report]\nsend_at = "18:00"', 2, "report.send_at", "a week needs its day"),
        (
            '[report.smtp]\nhost = "mx.example"\nsecurity = "none"',
            3,
            "report.smtp.security",
            "in the open to mx.example",
        ),
        ('[report.smtp]\nfrom = "a\\nBcc: b@c.example"', 2, "report.smtp.from", "control characters"),
        (
            '[[report.partner]]\nname = "R"\naddress = "r"\nrole = "self"',
            3,
            "report.partner[R].address",
            "write name@host",
        ),
        (
            '[[report.partner]]\nname = "R"\naddress = "röbin@mail.example"\nrole = "self"',
            3,
            "report.partner[R].address",
            "before the @ must be ASCII",
        ),
        ("[privacy]\nretention_days = 13", 2, "privacy.retention_days", "write 14 to 3650"),
        ('[report.smtp]\nfrom = "me@bü..example"', 2, "report.smtp.from", "its host is no name (empty label)"),
    ],
)
def test_a_mistake_is_named_with_line_key_and_remedy(tmp_path: Path, text: str, line: int, key: str, words: str):
    problems = _problems(tmp_path, text)
    assert len(problems) == 1, problems
    assert problems[0].startswith(f":{line}: {key}: ")
    assert words in problems[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[dns\n", "line 1"),
        ('[dns]\nx = "', "end of document"),
        ("[dns]\nx = y", "line 2"),
        ("a = " + "[" * 20000, "not TOML"),
        ("a = " + "9" * 5000, "not TOML"),
        (b"a = '\xff'", "not UTF-8 at byte 5"),
        (b"\x00", "not TOML"),
    ],
)
def test_what_is_no_toml_is_one_line_with_its_place(tmp_path: Path, text: str | bytes, words: str):
    (problem,) = _problems(tmp_path, text)
    assert words in problem


def test_all_mistakes_come_at_once_in_the_order_of_the_file(tmp_path: Path):
    text = (
        '[dns]\nblock_ttl = true\nlisten = ["x", "0.0.0.0:1"]\n[lists]\ncategories = ["x"]\n[tme]\n' + SOURCE + SOURCE
    )
    problems = _problems(tmp_path, text)
    assert [int(problem.split(":")[1]) for problem in problems] == [2, 3, 3, 5, 6, 12]


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path):
    file = tmp_path / "b.toml"
    file.write_bytes(b"\xef\xbb\xbf[dns]\r\nblock_ttl = 7\r\n")
    assert load(file, {}, tmp_path).dns.block_ttl == 7


def test_mail_without_encryption_is_accepted_on_loopback_only(tmp_path: Path):
    file = tmp_path / "b.toml"
    for host in ("127.0.0.1", "::1", "localhost"):
        file.write_text(f'[report.smtp]\nhost = "{host}"\nsecurity = "none"\n')
        assert load(file, {}, tmp_path).report.smtp.host == host


def test_a_folder_in_place_of_the_file_is_one_line(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {}, tmp_path)
    assert len(caught.value.problems) == 1


def test_hundreds_of_mutated_configurations_load_or_are_refused_in_lines(tmp_path: Path):
    """RELIABILITY T101: any change of a good file is refused with its reasons or gives settings, and nothing else."""
    chance = random.Random(101)
    base = "\n".join(
        line[1:] if line.startswith("#") and line[1:2] != " " else line for line in example_text().splitlines()
    )
    file = tmp_path / "b.toml"
    refused = []
    for _ in range(400):
        file.write_text(_mutated(base, chance), encoding="utf-8")
        refused.append(_refusals(file))
    assert 10 < sum(map(bool, refused)) < 390
    assert all(line.startswith(str(file)) and "\n" not in line for lines in refused for line in lines)


def _refusals(file: Path) -> list[str]:
    """Why the file is refused; nothing if it gives settings."""
    try:
        load(file, {}, file.parent)
    except ConfigError as error:
        return error.problems or [""]
    return []


def _mutated(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text))
        piece = chance.choice(["", "x", '"', "[", "]", "=", "\n", "0", "-", ".", "#", "true", "é", "{}", "\t", "''"])
        text = text[:at] + piece + text[at + chance.randint(0, 4) :]
    return text
