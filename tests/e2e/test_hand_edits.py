"""Files edited by hand while the daemon runs: live within two seconds, recorded with their direction."""

from collections.abc import Iterator

import apsw
import pytest

from tests.e2e.install import NOERROR, NXDOMAIN, Install, wait_until
from tests.e2e.stub import Stub

LIVE = 2.0
"""Seconds within which a hand edit has to be live."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    with Stub() as stub:
        made = Install(tmp_path_factory.mktemp("hand"), stub.port)
        made.configure(made.add_list("mine", "listed.test\n"))
        made.run()
        wait_until((made.var / "own" / ".recorded").is_dir, 10, made.said)  # from here on edits are told apart
        try:
            yield made
        finally:
            made.end()


def test_a_name_written_into_the_own_block_list_is_closed_in_two_seconds(running: Install):
    assert running.rcode("hand.test") == NOERROR
    own = running.var / "own"
    own.mkdir(exist_ok=True)
    (own / "block.txt").write_text("hand.test\n")
    wait_until(lambda: running.rcode("hand.test") == NXDOMAIN, LIVE, running.said)
    wait_until(lambda: ("stronger", "user") in _directions(running), 3, running.said)


def test_a_name_added_to_a_list_file_is_closed_in_two_seconds(running: Install):
    assert running.rcode("later.test") == NOERROR
    (running.folder / "mine.txt").write_text("listed.test\nlater.test\n")
    wait_until(lambda: running.rcode("later.test") == NXDOMAIN, LIVE + 2, running.said)
    assert running.rcode("listed.test") == NXDOMAIN


def test_a_list_that_becomes_unreadable_keeps_its_last_good_copy(running: Install):
    (running.folder / "mine.txt").write_text("<html><body>moved</body></html>\n" * 20)
    wait_until(lambda: "HTML" in running.call("lists", "ls").stdout, 5, running.said)
    assert running.rcode("listed.test") == NXDOMAIN


def test_an_edited_configuration_is_taken_up_and_a_slip_in_it_changes_nothing(running: Install):
    good = running.file.read_text()
    running.file.write_text(good.replace("[lists]", '[lists]\ncategories = ["cam"]'))
    wait_until(lambda: running.rcode("listed.test") == NOERROR, LIVE + 2, running.said)
    running.file.write_text(good.replace("[lists]", "[lists]\ncategoris = []"))
    wait_until(lambda: "categoris" in running.said(), 5, running.said)
    assert running.rcode("listed.test") == NOERROR
    running.file.write_text(good)
    wait_until(lambda: running.rcode("listed.test") == NXDOMAIN, LIVE + 2, running.said)
    assert {"weaker", "stronger"} <= {direction for direction, _ in _directions(running)}


def _directions(install: Install) -> set[tuple[str, str]]:
    db = apsw.Connection(str(install.var / "journal.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        query = "SELECT payload ->> 'direction', payload ->> 'by' FROM events WHERE kind = 'change'"
        return {(str(direction), str(by)) for direction, by in db.execute(query)}
    finally:
        db.close()
