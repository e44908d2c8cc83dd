"""Reads one top-level list of an AdGuardHome.yaml: the small part of YAML that this program writes. Pure.

Items are texts or flat maps of texts. Refuses what it does not know (anchors, block texts, nested lists) with its
line, rather than guess. Called by `importing`.
"""

import json
import re
from collections.abc import Iterator

Item = str | dict[str, str]
_KEY = re.compile(r"([A-Za-z_][\w-]*):(?:\s+(.*))?$")


class YamlError(ValueError):
    """A part that is not understood; the message begins with its line number."""


def section(text: str, key: str) -> list[Item]:
    """The items of the list under the top-level `key`; none where the key is missing, null or `[]`.

    Raises:
        YamlError: it is no list, or holds what AdGuard Home never writes.
    """
    lines = list(enumerate(text.splitlines(), 1))
    start = next((at for at, (_, line) in enumerate(lines) if re.match(rf"{key}:(\s|$)", line)), None)
    if start is None:
        return []
    rest = _bare(lines[start][1].partition(":")[2])
    if rest in ("[]", "null", "~"):
        return []
    if rest:
        raise YamlError(f"{lines[start][0]}: {key} is no list of lines; write each on its own line after a -")
    return _items(list(_body(lines[start + 1 :])))


def _body(lines: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The lines that belong to the list: up to the next key at the margin."""
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line.startswith((" ", "-")):
            return
        yield number, line


def _items(lines: list[tuple[int, str]]) -> list[Item]:
    found: list[Item] = []
    margin = -1
    for number, line in lines:
        indent = len(line) - len(line.lstrip(" "))
        body = line.strip()
        if body == "-" or body.startswith("- "):
            margin = indent if margin < 0 else margin
            if indent != margin:
                raise YamlError(f"{number}: a list in a list, which is not known here")
            found.append(_first(number, body[1:].strip()))
        elif found and isinstance(found[-1], dict) and indent > margin:
            found[-1].update([_pair(number, body)])
        else:
            raise YamlError(f"{number}: {body[:40]!r} is no item of the list")
    return found


def _first(number: int, body: str) -> Item:
    """What stands behind the dash: a text, or the first key of a map."""
    if not body.startswith(("'", '"')) and _KEY.match(body):
        return dict([_pair(number, body)])
    return _scalar(number, body)


def _pair(number: int, body: str) -> tuple[str, str]:
    found = _KEY.match(body)
    if not found:
        raise YamlError(f"{number}: {body[:40]!r} is no key with a value")
    return found[1], _scalar(number, found[2] or "")


def _scalar(number: int, body: str) -> str:
    """A text as YAML writes it on one line (YAML 1.2.2 sections 7.3.1 to 7.3.3)."""
    if body.startswith("'"):
        quoted = re.match(r"'((?:[^']|'')*)'\s*(?:#.*)?$", body)
        if quoted:
            return quoted[1].replace("''", "'")
    elif body.startswith('"'):
        quoted = re.match(r'("(?:[^"\\]|\\.)*")\s*(?:#.*)?$', body)
        try:
            if quoted:
                return str(json.loads(re.sub(r"\\x([0-9A-Fa-f]{2})", r"\\u00\1", quoted[1])))
        except ValueError:
            pass
    elif not body.startswith(("|", ">", "&", "*", "!", "{", "[", "%", "@", "`")) or _plain_rule(body):
        return _bare(body)
    raise YamlError(f"{number}: {body[:40]!r} is written in a way that is not known here")


def _plain_rule(body: str) -> bool:
    """`||x^` and `@@||x^` without quotes are not YAML, yet people write them by hand."""
    return body.startswith(("||", "@@"))


def _bare(body: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", body).strip()
