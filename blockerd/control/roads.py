"""The roads that the settings name, and no other: what each connects to stands in `hosts`.

Libraries are loaded where such a road is there. Called by `control.reports` each time that something is to be sent.
"""

from contextlib import suppress
from functools import partial

from blockerd.journal.forget import COPIES
from blockerd.report.deliver import Road, secret
from blockerd.report.partner import OWN
from blockerd.report.roads.file import FileRoad
from blockerd.settings import NoteAddress, RoadName, Settings


def roads_of(settings: Settings) -> dict[str, Road]:
    """The roads by name; one that has no end in the settings, or none that is an address, is missing."""
    report = settings.report
    found: dict[str, Road] = {
        OWN: FileRoad(settings.state.dir / COPIES, OWN),
        RoadName.FILE: FileRoad(report.file.folder),
    }
    if report.smtp.from_:
        from blockerd.report.roads.smtp import SmtpRoad

        found[RoadName.SMTP] = SmtpRoad(report.smtp)
    used = {one.road for one in report.partner}
    if used & {RoadName.WEBHOOK, RoadName.NTFY}:
        from blockerd.report.roads.http import NtfyRoad, WebhookRoad

        for name, address, kind in (
            (RoadName.WEBHOOK, report.webhook, WebhookRoad),
            (RoadName.NTFY, report.ntfy, NtfyRoad),
        ):
            if address.url and name in used:
                with suppress(ValueError):  # no address: said as if there were none
                    found[name] = kind(address.url, partial(_token, address))
    return found


def _token(address: NoteAddress) -> str:
    """The bearer token, "" where there is no such file.

    Raises:
        NotDelivered: it cannot be read, or others can read it.
    """
    return secret(address.token_file) if address.token_file.exists() else ""
