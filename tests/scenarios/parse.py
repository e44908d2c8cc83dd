"""Reads scenario files: indented lines to `script.Scenario`. README.md in this folder shows the language.

Refuses whatever it does not know, with the file's name and the line. Called by `runner` and, for its own rules, by
`test_scenarios`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.scenarios.script import (
    Advance,
    Answered,
    Ask,
    Attempted,
    Attempts,
    Config,
    Group,
    Listed,
    Matcher,
    Packet,
    Packets,
    Record,
    Rule,
    Scenario,
    Send,
    Server,
    Silent,
    Step,
    Takes,
)  # fmt: skip
from tests.scenarios.tree import (
    Bad,
    Line,
    ScenarioError,
    about_of,
    number_at,
    options_of,
    repeated,
    tree_of,
    word_at,
)  # fmt: skip


def parse(path: Path, text: str) -> Scenario:
    """The scenario that `text` describes.

    Raises:
        ScenarioError: a line that is not understood.
    """
    about = about_of(path, text)
    try:
        return _scenario(path, about, tree_of(path, text))
    except Bad as bad:
        raise ScenarioError(path, bad.line.number, str(bad)) from None


def _scenario(path: Path, about: str, lines: tuple[Line, ...]) -> Scenario:
    config, servers, steps = Config(), [], list[Step]()
    for line in lines:
        try:
            if line.words[0] == "config" and not steps:
                config = _config(line, config)
            elif line.words[0] == "upstream":
                servers.append(_server(line))
            else:
                _step(line, steps)
        except ValueError as error:  # a word that should be a number
            raise Bad(line, str(error)) from None
    return Scenario(path, about, config, tuple(servers), tuple(steps))


def _step(line: Line, steps: list[Step]) -> None:
    """Adds what `line` says to `steps`; queries that stand together are one group."""
    word = line.words[0]
    if word == "ask":
        last = steps.pop() if steps and isinstance(steps[-1], Group) else Group(line.number, ())
        assert isinstance(last, Group)
        steps.append(replace(last, asks=(*last.asks, *_asks(line))))
    elif word == "expect":
        steps.append(_expect(line))
    elif word == "advance":
        steps.append(Advance(line.number, number_at(line, 1)))
    elif word == "policy":
        steps.append(_config(line, Config()))
    else:
        raise Bad(line, f'"{word}" is none of: config, upstream, ask, expect, advance, policy')


_SETTINGS = {
    *("block_answer", "safe_search", "youtube", "private_relay", "cache_entries", "block_ttl", "categories", "listen"),
    "hide_ech",  # what the running proxy asks of the resolver; no key of the settings
}


def _config(line: Line, config: Config) -> Config:
    config = replace(config, line=line.number)
    for below in line.below:
        word, rest = below.words[0], below.words[1:]
        if word == "list":
            config = replace(config, lists=(*config.lists, _list(below)))
        elif word in ("allow", "block", "protected"):
            config = replace(config, names={**config.names, word: (*config.names.get(word, ()), " ".join(rest))})
        elif word == "local_domain":
            config = replace(config, local_domains=(*config.local_domains, (word_at(below, 1), word_at(below, 2))))
        elif word == "client":
            if rest[1:] not in (("enrolled",), ("not-enrolled",)):
                raise Bad(below, 'write "client NETWORK enrolled" or "client NETWORK not-enrolled"')
            config = replace(config, clients=(*config.clients, (rest[0], rest[1] == "enrolled")))
        elif word in _SETTINGS:
            config = replace(config, settings={**config.settings, word: " ".join(rest)})
        else:
            raise Bad(below, f'"{word}" is no setting that a scenario can make')
    return config


def _list(line: Line) -> Listed:
    rewrite = line.words[2:][-1:] == ("rewrite",)
    form = line.words[2 : len(line.words) - rewrite]
    if len(form) > 1:
        raise Bad(line, 'write "list CATEGORY", perhaps a format, perhaps "rewrite"')
    rows = tuple(" ".join(row.words) for row in line.below)
    return Listed(word_at(line, 1), form[0] if form else "auto", rewrite, rows)


def _server(line: Line) -> Server:
    rules = []
    for below in line.below:
        if below.words[0] != "to":
            raise Bad(below, 'an upstream has rules: "to NAME TYPE …" and below it what it sends')
        rules.append(Rule(_matcher(below), tuple(_send(row) for row in below.below)))
        if not below.below:
            raise Bad(below, 'says nothing of what it sends; write "silence" if that is meant')
    return Server(word_at(line, 1), tuple(rules), line.number)


def _matcher(line: Line) -> Matcher:
    found = Matcher(word_at(line, 1), word_at(line, 2).upper())
    words = iter(line.words[3:])
    for word in words:
        if word in ("udp", "tcp"):
            found = replace(found, stream=word == "tcp")
        elif word in ("edns", "no-edns"):
            found = replace(found, edns=word == "edns")
        elif word in ("try", "from-try"):
            found = replace(found, number=int(next(words, "")), later=word == "from-try")
        else:
            raise Bad(line, f'"{word}" is none of: udp, tcp, edns, no-edns, try N, from-try N')
    return found


_SEND_FLAGS = {"wrong-id", "wrong-case", "lower-case", "query", "no-question", "no-edns", "aa", "ad", "tc", "cd", "-ra"}


def _send(line: Line) -> Send:
    kind = line.words[0]
    if kind in ("silence", "unreachable"):
        return Send(line.number, kind, options=options_of(line, {"after"}))
    if kind == "packet":
        return Send(line.number, kind, packet=" ".join(line.words[1:]))
    if kind != "send":
        raise Bad(line, f'"{kind}" is none of: send, packet, silence, unreachable')
    keys = {"after", "times", "opcode", "cut", "ede", "counts", "question", "append"}
    options = options_of(line, keys, _SEND_FLAGS, skip=2)
    records = tuple(_records(line.below, octets=True))
    flags = frozenset(word for word in line.words[2:] if word in _SEND_FLAGS)
    return Send(line.number, kind, word_at(line, 1), flags, options, records)


_ASK_FLAGS = {"tcp", "edns", "+do", "+ad", "+cd", "-rd", "+tc", "+qr", "+aa", "+z", "two-opts"}
_ASK_KEYS = {
    "size",
    "version",
    "option",
    "cookie",
    "ecs",
    "from",
    "class",
    "opcode",
    "id",
    "times",
    "trailing",
    "eflags",
}


def _asks(line: Line) -> Iterator[Ask]:
    for words in repeated(line, line.words[1:]):
        if words[0] == "packet":
            yield Ask(line.number, packet=" ".join(words[1:]))
            continue
        if len(words) < 2:
            raise Bad(line, 'write "ask NAME TYPE"')
        part = Line(line.number, ("ask", *words), ())
        pairs = tuple((key, value) for key, equals, value in (word.partition("=") for word in words[2:]) if equals)
        options = options_of(part, _ASK_KEYS, _ASK_FLAGS, skip=3)
        flags = frozenset(word for word in words[2:] if word in _ASK_FLAGS)
        yield Ask(line.number, words[0], words[1].upper(), flags, options, pairs)


_SECTIONS = ("answer", "authority", "additional")


def _records(lines: tuple[Line, ...], *, octets: bool = False) -> Iterator[Record]:
    for line in lines:
        for words in repeated(line, line.words):
            section = words[0] if words[0] in _SECTIONS else "answer"
            rest = words[1:] if words[0] in _SECTIONS else words
            if rest[:1] == ("octets",) and octets:
                yield Record(line.number, section, data=" ".join(rest[1:]))
            elif rest == ("nothing",) and not octets:
                yield Record(line.number, section)
            elif len(rest) < 4 or not (rest[1].isdecimal() or rest[1] == "*"):
                raise Bad(line, f'"{" ".join(words)}" is no record; write "NAME TTL TYPE DATA"')
            else:
                yield Record(line.number, section, rest[0], rest[1], rest[2].upper(), " ".join(rest[3:]))


_FLAGS = {"aa", "tc", "rd", "ra", "ad", "cd"}
_EXPECT_FLAGS = {
    *_FLAGS,
    *(f"-{flag}" for flag in _FLAGS),
    "do",
    "-do",
    "edns",
    "-edns",
    "any-answer",
    "no-question",
    "unreadable",
}
_EXPECT_KEYS = {"ede", "size", "took", "answers", "option"}


def _expect(line: Line) -> Step:
    word = word_at(line, 1)
    if word == "silence":
        return Silent(line.number)
    if word == "upstream":
        return Packets(line.number, _count(line), tuple(_packet(below) for below in line.below))
    if word == "attempts":
        return Attempts(line.number, _count(line), tuple(_attempt(below) for below in line.below))
    if word == "took":
        return Takes(line.number, float(word_at(line, 2)), float(word_at(line, 3)))
    options = options_of(line, _EXPECT_KEYS, _EXPECT_FLAGS, skip=2)
    flags = frozenset(word for word in line.words[2:] if word in _EXPECT_FLAGS)
    records = tuple(_records(line.below))
    return Answered(line.number, tuple(word.split("|")), flags, options, records)


def _count(line: Line) -> tuple[int, int]:
    """How few and how many are expected: by number, "nothing", "most 3", or one line each below."""
    words = line.words[2:]
    if words == ("nothing",):
        return 0, 0
    if words[:1] == ("most",):
        return 0, number_at(line, 3)
    if words:
        return number_at(line, 2), number_at(line, 2)
    if not line.below:
        raise Bad(line, 'write a number, "nothing", "most" and a number, or one line each below')
    return len(line.below), len(line.below)


_SEEN = {
    "tcp",
    "udp",
    "+cd",
    "-cd",
    "+ad",
    "-ad",
    "+do",
    "-do",
    "edns",
    "-edns",
    "-options",
    "+rd",
    "mixed-case",
    "own-id",
}


def _packet(line: Line) -> Packet:
    options_of(line, set(), _SEEN, skip=3)
    return Packet(line.number, line.words[0], word_at(line, 1), word_at(line, 2).upper(), frozenset(line.words[3:]))


def _attempt(line: Line) -> Attempted:
    options = options_of(line, {"client", "type"}, skip=3)
    return Attempted(line.number, line.words[0], word_at(line, 1), word_at(line, 2), options)
