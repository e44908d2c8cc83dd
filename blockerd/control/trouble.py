"""An error as one line for people, so that what goes wrong with one reader or one day is told and stops nothing else.

Called by `control.reports` and `control.post` where the work of one must not end that of the others.
"""

from pathlib import Path

from blockerd.journal.checkpoint import CheckpointError
from blockerd.journal.schema import JournalError
from blockerd.report.deliver import NotDelivered
from blockerd.report.encrypt import AgeKeyError
from blockerd.report.mime import HeaderError

_TOLD = (NotDelivered, JournalError, CheckpointError, HeaderError, AgeKeyError, OSError)
"""Errors whose message is a line for people already."""


def line_of(error: Exception) -> str:
    """What happened. Of an error that nobody foresaw only its kind and place: its text may hold anything."""
    if isinstance(error, _TOLD):
        return str(error)
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return f"internal error ({type(error).__name__}{place}); it is tried again, please report it"
