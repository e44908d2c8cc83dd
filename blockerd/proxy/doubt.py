"""Which clients seem not to take our certificate without saying so. Pure.

Some say it (a TLS alert), others just hang up. Browsers hang up too, when a page is left in the middle or a connection
was opened in advance, so one time tells nothing. What counts: several in a row, each at once, and nobody asks for
anything there meanwhile. Called by the gate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

IN_A_ROW = 4
"""So many give up one after the other, and the host passes from then on."""
AT_ONCE, WITHIN = 2.0, 600.0
"""Seconds that a client who gives up takes at most, and after which an earlier one counts no more."""
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Doubts:
    """By host, in seconds of a clock that only goes forward: when clients gave up, and when one last asked."""

    gone: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    last: Mapping[str, float] = field(default_factory=dict)

    def gave_up(self, host: str, began: float, now: float) -> "Doubts":
        """The same after a connection to `host` that began at `began` has ended with nothing asked."""
        if now - began > AT_ONCE or self.last.get(host, began - 1) >= began:
            return self
        recent = tuple(at for at in self.gone.get(host, ()) if now - at <= WITHIN)
        others = self.gone if len(self.gone) < _MOST else {}
        return replace(self, gone={**others, host: (*recent, now)})

    def asked(self, host: str, now: float) -> "Doubts":
        """The same after a client of `host` has asked for a page: it takes our certificate."""
        others = self.last if len(self.last) < _MOST else {}
        return Doubts({one: at for one, at in self.gone.items() if one != host}, {**others, host: now})

    def enough(self, host: str) -> bool:
        """True if it is taken as a refusal."""
        return len(self.gone.get(host, ())) >= IN_A_ROW
