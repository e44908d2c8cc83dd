"""Patterns of lists on a linear engine (google-re2): one pass over a name answers for all of them.

Python's `re` is never used for them: a pattern from a list must not be able to hang the resolver (FEATURES B2).
Loaded only where a list really has patterns.
"""

from collections.abc import Sequence
from typing import Any

from blockerd.policy.match import Combo
from blockerd.policy.rule import Rule

MAX_PATTERNS = 1000
_UNRELATED = ("a.example", "www.q7-zx.test", "mail.k0.invalid")
"""A pattern that fits all of these fits everything; a slip in it would take the whole net away."""

_MEMORY = 8 * 1024 * 1024


class PatternError(ValueError):
    """A pattern that the engine refuses; the message says why."""


class PatternSet:
    """Compiled patterns; `rules` keeps their order.

    Raises:
        PatternError: the engine is not installed, or the patterns together need more memory than it may take.
    """

    def __init__(self, rules: Sequence[tuple[Rule, Combo]]) -> None:
        self.rules = rules
        self._set = _set([rule.pattern for rule, _ in rules])

    def matching(self, text: str) -> Sequence[int]:
        """Indexes of the patterns that match the text name, in order."""
        return sorted(self._set.Match(text) or ())


def _engine() -> Any:  # noqa: ANN401 - the package has no types
    try:
        import re2
    except ImportError:
        raise PatternError("patterns need the package google-re2 (pip install 'blockerd[patterns]')") from None
    return re2


def _options() -> "object":
    options = _engine().Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    options.never_capture = True
    return options


def _set(patterns: Sequence[str]) -> Any:  # noqa: ANN401 - the package has no types
    re2 = _engine()
    made = re2.Set.SearchSet(_options())
    try:
        for pattern in patterns:
            made.Add(pattern)
        made.Compile()
    except re2.error:
        raise PatternError(f"{len(patterns)} patterns are too much together") from None
    return made


def check(pattern: str) -> None:
    """Refuses what the engine cannot run in linear time.

    Raises:
        PatternError: with the engine's reason; also where the engine is not installed.
    """
    re2 = _engine()
    try:
        hits = re2.compile(pattern, _options())
    except re2.error as error:
        reason = error.args[0]
        raise PatternError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None
    if all(hits.search(name) for name in _UNRELATED):
        raise PatternError("it fits every name")


def fit(patterns: Sequence[str]) -> bool:
    """True if those `patterns` that would be in force work as one set: each may be small, and all of them too much."""
    try:
        _set(patterns[:MAX_PATTERNS])
    except PatternError:
        return False
    return True


def compile_patterns(rules: Sequence[tuple[Rule, Combo]]) -> PatternSet:
    """The set of `rules`, at most MAX_PATTERNS of them checked before by `check` and together by `fit`.

    Raises:
        PatternError: as `PatternSet`.
    """
    return PatternSet(rules)
