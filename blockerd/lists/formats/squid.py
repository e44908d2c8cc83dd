"""squidGuard and UT1 lines: `domains` files as names with all below, `urls` and `expressions` counted. Pure.

A URL line that is only a host counts as a name; a path or an expression is for a proxy, which sees URLs. Called by
`formats`; `formats_files` joins the files of a folder.
"""

from blockerd.lists.formats.base import Taker, list_name
from blockerd.lists.formats.lines import LOCAL_NAMES, host_of
from blockerd.policy.name import BadName

_EXPRESSION = frozenset("()[]{}|\\^$*+ ")


def take_squid(taker: Taker, line: int, text: str) -> None:
    """Reads one line that is no comment and not empty."""
    taker.saw("squidguard")
    host, has_path = host_of(text)
    if has_path or not _EXPRESSION.isdisjoint(text):
        taker.out.not_applicable += 1
        return
    if host.lower() in LOCAL_NAMES:
        return
    try:
        taker.plain(list_name(host.removeprefix(".")), line, text)
    except BadName as error:
        taker.issue(line, text, str(error))
