"""Every format on one file with every kind of line it has: what becomes a name, a rule, an issue, or nothing.

The files in `golden/` are written by hand; a changed result is read line by line before it is committed. `write()`
makes them anew: `python -c "from tests.lists.test_formats_golden import write; write()"`.
"""

from pathlib import Path

import pytest

from blockerd.lists.formats import Parsed, parse
from blockerd.model import Action
from blockerd.policy.name import to_text
from blockerd.policy.rule import Rule

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.stem for path in GOLDEN.glob("*.list"))
TRUST = {"listed": {}, "own": {"own": True}}


def shown(parsed: Parsed) -> str:
    """A result as text, ordered by line."""
    exact = set(parsed.exact)
    rows = [
        (line, f"name {to_text(wire)}{' exact' if index in exact else ''}")
        for index, (wire, line) in enumerate(zip(parsed.names, parsed.lines, strict=True))
    ]
    rows += [(rule.line, _rule(rule)) for rule in parsed.rules]
    rows += [(issue.line, f"issue {issue.reason} | {issue.text}") for issue in parsed.issues]
    head = (
        f"format={parsed.format} entries={parsed.entries} folded={parsed.folded} issues={parsed.issue_count}"
        f" not_applicable={parsed.not_applicable} comments={parsed.comments} declared={parsed.declared}"
        f" title={parsed.title!r} refused={parsed.refused}"
    )
    return "\n".join([head, *(f"{line:3d} {text}" for line, text in sorted(rows)), ""])


def _rule(rule: Rule) -> str:
    words = ["rule", "allow" if rule.allow else "block", f"/{rule.pattern}/" if rule.pattern else to_text(rule.name)]
    words += [] if rule.pattern else [rule.scope.name.lower()]
    words += ["important"] * rule.important
    words += [f"types={'not ' * rule.types_except}{sorted(rule.types)}"] if rule.types else []
    words += [f"but={[to_text(name) for name in rule.denyallow]}"] if rule.denyallow else []
    words += [rule.action.value] if rule.action is not Action.NXDOMAIN else []
    words += [f"{rrtype}={value}" for rrtype, value in rule.data]
    return " ".join(words)


def result(case: str, trust: str) -> str:
    data = (GOLDEN / f"{case}.list").read_bytes()
    return shown(parse(data, case.partition("-")[0], own=trust == "own"))


def write() -> None:
    for case in CASES:
        for trust in TRUST:
            (GOLDEN / f"{case}.{trust}").write_text(result(case, trust), encoding="utf-8")


@pytest.mark.parametrize("trust", TRUST)
@pytest.mark.parametrize("case", CASES)
def test_each_line_means_what_the_golden_file_says(case: str, trust: str):
    assert result(case, trust) == (GOLDEN / f"{case}.{trust}").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("squidguard",)])
def test_auto_reads_a_list_as_its_own_format_would(case: str):
    """But for what only a named format reads: expressions without slashes, and names in a list of anything."""
    data = (GOLDEN / f"{case}.list").read_bytes()
    named, auto = parse(data, case.partition("-")[0]), parse(data)
    assert set(named.names) <= set(auto.names)
    assert {rule.name for rule in named.rules if rule.name} <= {rule.name for rule in auto.rules} | set(auto.names)
