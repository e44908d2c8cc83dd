"""Screen time as the record holds it, for whoever shows or exports it. Called by `cli.time` and `cli.data`."""

import os
import platform
import pwd
from typing import Any

from blockerd.cli.output import Stop
from blockerd.journal.read import View
from blockerd.model import Channel, Kind
from blockerd.screentime import store
from blockerd.screentime.export import export
from blockerd.screentime.facts import Request
from blockerd.screentime.usage import Known

EVERYBODY = "all"


def records_of(record: View, start: int, end: int, user: str | None) -> list[Known]:
    """The records that touch [start, end) of one user, of EVERYBODY, or (None) of whoever asks where they have any.

    Raises:
        JournalError: the journal became unreadable.
        Stop: no such user.
    """
    found = list(store.records(record.query, start, end))
    owners = {agent: uid for agent, (uid, _) in store.agents(record.query).items()}
    wanted = os.getuid() if user is None else _uid(user)
    if user == EVERYBODY or (user is None and wanted not in owners.values()):
        return found
    return [known for known in found if owners[known.agent] == wanted]


def requests_in(record: View, start: int, end: int) -> list[Request]:
    """Requests for listed sites that began in [start, end); raises JournalError."""
    return [
        Request(one.time, one.last, one.category, one.channel == Channel.PROXY)
        for one in record.attempts(start, end)
        if one.kind == Kind.ATTEMPT and one.category
    ]


def activitywatch(record: View, start: int, end: int, user: str | None = EVERYBODY) -> dict[str, Any]:
    """The records that touch [start, end) in the form that ActivityWatch imports; raises as `records_of`."""
    users = {agent: name_of(uid) for agent, (uid, _) in store.agents(record.query).items()}
    return export(records_of(record, start, end, user), platform.node(), users)


def name_of(uid: int) -> str:
    """The login name of a user, the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _uid(user: str) -> int:
    if user == EVERYBODY:
        return -1
    try:
        return int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid
    except KeyError:
        raise Stop(f"--user {user}: no such user on this machine") from None
