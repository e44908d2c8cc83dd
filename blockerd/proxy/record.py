"""What the proxy tells the record: attempts cut to the privacy level, refusals of its own, signs of life. No path of a
page and no query ever comes here. Called by the gate.
"""

from blockerd import clock
from blockerd.dns import front
from blockerd.dns.clients import clients_of, packed
from blockerd.journal import spool
from blockerd.model import Decision, kind_of
from blockerd.policy.decide import Policy
from blockerd.policy.name import site_of, to_text
from blockerd.process import boot_id, spool_folder
from blockerd.settings import Settings

_QUIET = 60.0
"""Seconds in which the same refusal is recorded once: a page may try a thousand times."""
_MOST = 1000


class Recorder:
    """The spool of this process."""

    def __init__(self, settings: Settings) -> None:
        self._writer = spool.Writer(
            spool_folder(settings), "proxy", clock.now_us, clock.monotonic, cap_bytes=settings.dns.spool_mb << 20
        )
        self._clients = clients_of(settings)
        self._front = front.Front(settings.state.dir / "run" / front.FILE, boot_id)
        self._told: dict[str, float] = {}
        self.level = str(settings.privacy.level)

    def attempt(self, policy: Policy, decision: Decision, name: bytes, title: str, client: str) -> None:
        """An attempt at the host `name`; `title` is that of the rule where no list has one."""
        if client and not self._enrolled(client):
            return
        source = decision.rule.source if decision.rule else ""
        titles = {entry.id: entry.title for entry in policy.table.sources}
        bare = self.level == spool.Level.COUNTS
        shown, of = self._cut(to_text(name) if name else "", to_text(decision.site or site_of(name)) if name else "")
        self._writer.event({
            "kind": "attempt", "time": clock.now_us(), "name": shown, "site": of, "qtype": 0,
            "category": "" if bare else decision.category, "source": "" if bare else source,
            "list": "" if bare else titles.get(source, title or "own block list"),
            "action": decision.action, "channel": "proxy", "client": client.partition("%")[0], "user": "",
            "attempt": kind_of(decision.category),
        })  # fmt: skip

    def notice(self, what: str, **more: str) -> None:
        """Something the record should hold, at most once a minute: `what` is a short fixed text.

        A host that another account asked for is not named, as it is not in attempts.
        """
        if "host" in more and self._another():
            return
        key, now = what + repr(sorted(more.items())), clock.monotonic()
        if now - self._told.get(key, -_QUIET) < _QUIET:
            return
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[key] = now
        self._writer.event({"kind": "proxy", "process": "proxy", "what": what, **more})

    def host(self, name: str, site: str) -> str:
        """A host as a notice may name it at this privacy level."""
        shown, of = self._cut(name, site)
        return shown or of

    def sign(self, state: str) -> None:
        """A sign of life: start, alive or stop."""
        times = {"run": 0, "boottime": clock.boottime_us(), "monotonic": clock.monotonic_us()}
        self._writer.event({"kind": "coverage", "process": "proxy", "state": state, "boot": boot_id(), **times})

    def flush(self) -> None:
        """Writes what waits and tells what was lost."""
        self._writer.flush()
        self._writer.tell_lost()

    def close(self) -> None:
        """Ends the segment."""
        self._writer.close()

    def _enrolled(self, client: str) -> bool:
        self._clients.another = self._another()
        try:
            return self._clients.enrolled(packed(client))
        except ValueError:
            return False

    def _another(self) -> bool:
        return self._front.another(clock.boottime_us())

    def _cut(self, name: str, site: str) -> tuple[str, str]:
        if self.level == spool.Level.NAME:
            return name, site
        return ("", site) if self.level == spool.Level.SITE else ("", "")
