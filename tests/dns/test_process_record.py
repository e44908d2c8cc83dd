"""What the resolver process leaves on the disk of an attempt, by privacy level."""

from array import array
from pathlib import Path

import pytest

from blockerd.dns.process import DnsProcess
from blockerd.journal.append import Journal
from blockerd.journal.read import View
from blockerd.journal.spool import Level, RecordKind, read, segments
from blockerd.settings import load
from tests.fakes.packets import query
from tests.fakes.policies import Listing, guard_of, policy
from tests.fakes.resolvers import run_hot

LISTED, OWN = "very-secret-name.test", "quite-private.test"


def slots(path: Path) -> list[int]:
    """Slots of the table in the records of a segment."""
    found = [one for one in read(path) if one.kind is RecordKind.ATTEMPTS]
    return [slot for one in found for slot in array("Q", one.payload[: 16 * one.count])[::2]]


@pytest.mark.parametrize("level", ["name", "site", "category", "counts"])
def test_no_level_leaves_more_on_the_disk_than_it_says(level: str, tmp_path: Path):
    (tmp_path / "blockerd.toml").write_text("")
    settings = load(tmp_path / "blockerd.toml", {}, tmp_path)
    spool_, journal = settings.state.dir / "spool", settings.state.dir / "journal.sqlite"
    process = DnsProcess(settings, lambda: settings)
    process._following.guard = guard_of(())  # as the policy has it
    lists = Listing(f"{LISTED}\n", "cam", "one-list"), Listing("other.test\n", "adult", "another-list")
    process._adopt(policy(*lists, block=[f"{OWN} chat"], level=level), 0.0)
    engine = process._engine
    assert engine is not None
    hot = run_hot(engine, query(f"www.{LISTED}"), 0.0)
    slot, entry = hot.pairs
    process._writer.attempts(hot.pairs, hot.names)
    engine.handle(query(f"www.{OWN}"), "127.0.0.1", 0.0)
    process._writer.close()
    written = b"".join(path.read_bytes() for path in spool_.iterdir())
    kept = level in ("name", "site")
    assert {at for path in segments(spool_) for at in slots(path)} == {slot if kept else 0}
    store = Journal(journal, lambda: 0)
    assert store.drain(spool_, level=Level(level)).questions == 2
    written += b"".join(path.read_bytes() for path in tmp_path.rglob("journal.sqlite*"))
    store.close()
    assert [name.partition(".")[0].encode() in written for name in (LISTED, OWN)] == [kept, kept]
    assert (entry.to_bytes(8, "little")[3:] in written) is kept, "40 bits of the hash of the listed name"
    assert [text in written for text in (b"one-list", b"cam", b"chat")] == [level != "counts"] * 3
    with View(journal, spool_, Level(level)) as view:
        assert sum(one.count for one in view.attempts()) == 2
