"""`report list`, `export`, `verify`, `test`: the mails that wait and that went, as files, checked; one to try the way.

Reads the journal; `test` alone opens a connection, to the mail server of the settings, and sends to the sender's own
address. Shows every recipient.
"""

import argparse
import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import blockerd.journal.outbox as mailbox
from blockerd import clock
from blockerd.cli.output import Stop, columns, dump, say, settings_of
from blockerd.cli.owner import as_oneself
from blockerd.cli.service import ask_control
from blockerd.journal.log import open_log
from blockerd.journal.outbox import Row, Stand
from blockerd.journal.schema import JournalError
from blockerd.report import mime, service, verify
from blockerd.report.deliver import NotDelivered
from blockerd.report.texts import help_by_country, load
from blockerd.settings import Settings

_STATES = {"queued": "waits", "sealed": "on its way", "sent": "sent", "refused": "not taken", "dropped": "not sent"}


def register(words: "argparse._SubParsersAction[Any]") -> None:
    """Adds the words of this file to `report`."""
    shown = words.add_parser("list", help="what was sent, what waits, and to whom", allow_abbrev=False)
    shown.add_argument("--limit", type=int, default=30, metavar="N", help="the newest N (default 30)")
    shown.set_defaults(run=run_list)
    export = words.add_parser("export", help="the sent mails as files in a folder", allow_abbrev=False)
    export.add_argument("folder")
    export.set_defaults(run=run_export)
    check = words.add_parser("verify", help="do kept mails continue each other", allow_abbrev=False)
    check.add_argument("names", nargs="+", metavar="MAIL_OR_FOLDER")
    check.add_argument("--key", action="append", default=[], help="key of the pairing mail, or the digits read aloud")
    check.add_argument("--today", metavar="YYYY-MM-DD", help="the day for which the next mail is asked; else today")
    check.set_defaults(run=run_verify)
    test = words.add_parser("test", help="one mail to yourself, to try the way", allow_abbrev=False)
    test.set_defaults(run=run_test)


def run_list(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the journal cannot be read, 2 no such limit."""
    settings = settings_of(args)
    if args.limit < 0:
        raise Stop(f"--limit {args.limit}: give 0 or more")
    rows = _rows(settings)
    rows = rows[max(0, len(rows) - args.limit) :]
    zone = ZoneInfo(settings.time.zone)
    if args.json:
        dump([_as_dict(row, zone) for row in rows])
        return 0
    if not rows:
        say("No mail was sent, and none waits.")
        return 0
    table = [("When", "To", "What", "State", "")]
    for row in rows:
        one = _as_dict(row, zone)
        table.append((one["at"][:16].replace("T", " "), row.address, one["what"], one["state"], row.trouble))
    for line in columns(table):
        say(line)
    if told := ask_control(settings).get("notes"):
        say(f"Note: {told}")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the journal cannot be read, 2 the folder cannot be made or holds such files already."""
    settings, folder = settings_of(args), Path(args.folder)
    rows = [row for row in _rows(settings) if row.state == Stand.SENT and row.body and row.copy_of is None]
    try:
        with as_oneself():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for row in rows:
                with (folder / f"note-{row.id:05}.eml").open("xb") as file:
                    file.write(row.body or b"")
    except FileExistsError as error:
        raise Stop(f"{error.filename}: is there already; name a new folder") from None
    except OSError as error:
        raise Stop(f"{folder}: {error.strerror}; name a place that you may write to") from None
    if args.json:
        dump({"folder": str(folder), "mails": len(rows)})
    else:
        say(f"{len(rows)} mails written to {folder}. The check needs those of a mailbox: these never travelled.")
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Exit codes of the check: 0 continues, 1 does not continue, 2 usage, 3 cannot tell."""
    words = [*args.names, *(word for key in args.key for word in ("--key", key))]
    words += ["--today", args.today] if args.today else []
    try:
        return verify.main(words)
    except SystemExit as end:
        return int(end.code or 0)


def run_test(args: argparse.Namespace) -> int:
    """Exit 0 it was taken, 1 it was not (the line says why), 2 no sender is set."""
    settings = settings_of(args)
    smtp = settings.report.smtp
    if not smtp.from_:
        raise Stop("report.smtp.from is not set; write the sender's address there")
    note = service.test(help_by_country().of(settings.report.country, settings.time.zone), load())
    envelope = mime.Envelope(smtp.from_, smtp.from_, clock.now_us())
    message = mime.message(note.subject, note.language, mime.parts_of(note), envelope)
    try:
        asyncio.run(_hand_over(settings, smtp.from_, message))
    except NotDelivered as error:
        raise Stop(str(error), 1) from None
    if args.json:
        dump({"sent": True, "to": smtp.from_})
    else:
        say(f"Taken by {smtp.host}:{smtp.port}; look into the mailbox of {smtp.from_}.")
    return 0


async def _hand_over(settings: Settings, recipient: str, message: bytes) -> None:
    from blockerd.report.roads.smtp import SmtpRoad  # loaded where mail is to be sent

    session = await SmtpRoad(settings.report.smtp).open()
    try:
        await session.send(recipient, message)
    finally:
        await session.close()


def _rows(settings: Settings) -> list[Row]:
    try:
        with open_log(settings.state.dir / "journal.sqlite") as log:
            return mailbox.rows(log.db) if log else []
    except JournalError as error:
        raise Stop(str(error), 1) from None


def _as_dict(row: Row, zone: ZoneInfo) -> dict[str, Any]:
    at = row.done or row.made or row.queued
    what = f"copy: {row.what}" if row.copy_of else str(row.what)
    return {
        "id": row.id, "at": datetime.fromtimestamp(at // 1_000_000, zone).isoformat(), "to": row.address,
        "reader": row.lane, "what": what, "role": str(row.role), "state": _STATES[row.state], "number": row.number,
        "message_id": mime.message_id(row.body) if row.body else "", "tries": row.tries, "trouble": row.trouble,
    }  # fmt: skip
