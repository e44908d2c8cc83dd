"""After an install the state belongs to the service, and a person has sudo: what commands of root's leave is read, live
and on record, and nothing in the state becomes root's."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from blockerd.report import consent
from tests.e2e.install import NXDOMAIN, wait_until
from tests.e2e.second_user import OTHER, STRANGER, Served, can_be_two

pytestmark = pytest.mark.needs_kernel("a second user: root", can_be_two())

READER = """
[report.smtp]
from = "me@mail.example"
[[report.partner]]
name = "Robin"
address = "r@mail.example"
role = "spouse"
"""


@pytest.fixture
def served() -> Iterator[Served]:
    with TemporaryDirectory(prefix="blockerd-test-") as name:
        Path(name).chmod(0o755)
        install = Served(Path(name), 9, READER)
        yield install
        install.end()
        assert "Traceback" not in install.said(), install.said()


def test_a_change_of_roots_is_live_on_record_and_there_after_a_restart(served: Served):
    assert served.call_as(OTHER, "lists", "build").returncode == 0
    dns = served.serve("service", "dns")
    served.serve("service", "control")
    served.wait_answering()
    done = served.call("block", "site.test")
    assert done.returncode == 0, done.stderr
    assert served.foreign() == []
    wait_until(lambda: served.rcode("site.test") == NXDOMAIN, said=served.said)
    for words in (("lists", "build", "--force"), ("allow", "open.test"), ("lists", "undo"), ("backup",)):
        done = served.call(*words)
        assert done.returncode == 0, (words, done.stderr)
    assert served.foreign() == []
    dns.terminate()
    dns.wait(10)
    served.serve("service", "dns")
    wait_until(lambda: served.rcode("site.test") == NXDOMAIN, said=served.said)
    segments = set((served.var / "spool").glob("cli-*.seg"))
    wait_until(lambda: len(segments & set((served.var / "spool").glob("cli-*.seg"))) <= 1, 30, served.said)
    changes = [json.loads(line) for line in served.call("export").stdout.splitlines() if "own lists: site.test" in line]
    assert len(changes) == 1
    status = json.loads(served.call("status", "--json").stdout)
    assert (status["protecting"], status["journal"]) == (True, "")
    assert served.foreign() == []


def test_consent_and_an_end_of_sharing_that_root_typed_reach_control(served: Served):
    served.serve("service", "control")
    wait_until(lambda: "pid" in served.call("portal", "status", "--json").stdout or served.pid("control"), 20)
    assert served.call("consent", stdin=f"{consent.WORDS}\n").returncode == 0
    assert json.loads(served.call_as(OTHER, "consent", "show", "--json").stdout)["consent"] is True
    wait_until(lambda: served.call("partner", "invite", "Robin").returncode == 0, 20, served.said)
    assert served.call("partner", "remove", "Robin").returncode == 0
    assert served.foreign() == []
    assert list((served.var / "leaving").iterdir())
    served.call("report", "send")
    assert not list((served.var / "leaving").iterdir())
    (partner,) = json.loads(served.call("partner", "ls", "--json").stdout)["partners"]
    assert partner["state"] == "left"
    assert served.call("consent", "withdraw").returncode == 0
    assert not (served.var / "consent.json").exists()


def test_a_daemon_that_root_starts_binds_as_root_and_runs_as_the_owner(served: Served):
    served.listen_on(_low_port())
    process = served.run()
    for what in ("dns", "control"):
        status = Path(f"/proc/{served.pid(what)}/status").read_text()
        ids = dict(line.split(":\t") for line in status.splitlines() if line.startswith(("Uid", "Gid")))
        assert {*ids["Uid"].split(), *ids["Gid"].split()} == {str(OTHER)}, what
    assert served.call("block", "site.test").returncode == 0
    wait_until(lambda: served.rcode("site.test") == NXDOMAIN, said=served.said)
    assert served.foreign() == []
    process.terminate()
    process.wait(10)
    assert served.foreign() == []


def _low_port() -> int:
    """A free port that only root may bind."""
    for port in range(700, 1000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp, suppress(OSError):
            udp.bind(("127.0.0.1", port))
            tcp.bind(("127.0.0.1", port))
            return port
    pytest.fail("no low port is free")


def test_files_that_the_person_named_are_opened_as_root(served: Served):
    with TemporaryDirectory() as name:  # 0700, root's
        own = Path(name)
        (own / "list.txt").write_text("one.test\n")
        assert served.call_as(OTHER, "lists", "build").returncode == 0
        for words in (("export", "--out", f"{own}/out.jsonl"), ("report", "preview", "--html", f"{own}/page.html")):
            done = served.call(*words)
            assert done.returncode == 0, (words, done.stderr)
        refused = served.call("lists", "add", f"{own}/list.txt", "--category", "adult")
        assert (refused.returncode, "may not read it" in refused.stderr) == (1, True)
        assert served.call("block", "site.test").returncode == 0
        served.serve("control")
        wait_until(lambda: served.call("backup", f"{own}/copy.sqlite").returncode == 0, 30, served.said)
        served.end()
        done = served.call("import", f"{own}/copy.sqlite")
        assert done.returncode == 0, done.stderr
        assert served.foreign() == []
        assert {path.stat().st_uid for path in own.iterdir()} == {0}


def test_an_editor_works_as_root_on_a_file_that_only_the_service_reads(served: Served, monkeypatch: pytest.MonkeyPatch):
    assert served.call_as(OTHER, "lists", "build").returncode == 0
    monkeypatch.setenv("EDITOR", "sh -c 'id -u >>seen.txt; echo named.test >>$0'")
    done = served.call("edit", "block")
    assert done.returncode == 0, done.stderr
    assert (served.folder / "seen.txt").read_text() == "0\n"
    assert "named.test" in (served.var / "own" / "block.txt").read_text()
    assert served.foreign() == []


def test_a_segment_that_the_service_may_not_read_is_told_and_stops_nothing(served: Served):
    assert served.call_as(OTHER, "lists", "build").returncode == 0
    assert served.call("block", "site.test").returncode == 0
    (segment,) = (served.var / "spool").glob("cli-*.seg")
    os.chown(segment, 0, 0)
    served.serve("control")

    def trouble() -> str:
        return str(json.loads(served.call("status", "--json").stdout)["journal"])

    wait_until(lambda: f"{segment}: cannot be read" in trouble(), 20, served.said)
    done = served.call("report", "preview")
    assert (done.returncode, "cannot be read" in done.stderr) == (0, True)
    os.chown(segment, OTHER, OTHER)
    wait_until(lambda: not trouble(), 20, served.said)
    assert "own lists: site.test" in served.call("export").stdout


def test_names_of_readers_that_cannot_be_read_stop_all_mail(served: Served):
    consent.leave(served.var, "Robin")
    assert consent.leaving(served.var) == {"Robin"}
    child = os.fork()
    if not child:
        os.seteuid(OTHER)
        try:
            consent.leaving(served.var)
        except PermissionError:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("readable", [False, True])
def test_whoever_is_neither_root_nor_the_service_is_told_what_can_be_told(served: Served, readable: bool):
    if readable:
        served.file.chmod(0o644)
    served.call_as(OTHER, "lists", "build")
    served.serve("dns")
    served.wait_answering()
    status = served.call_as(STRANGER, "status")
    assert "sudo blockerd status" in status.stdout
    assert (status.returncode, status.stderr) == (0 if readable else 1, "")
    doctor = served.call_as(STRANGER, "doctor")
    assert doctor.stderr == ""
    assert "sudo blockerd doctor" in doctor.stdout
    assert "did not come to its end" not in doctor.stdout
    for words in (("log",), ("block", "site.test"), ("partner", "ls"), ("consent", "show"), ("lists", "ls")):
        done = served.call_as(STRANGER, *words)
        assert "Traceback" not in done.stderr, words
        assert len(done.stderr.splitlines()) <= 1, words


def test_the_record_of_a_rescue_is_the_services_and_root_stays_root(served: Served):
    begin = (
        "from pathlib import Path; from blockerd.cli import install, owner; from blockerd.settings import load\n"
        f"settings = load(Path({str(served.file)!r}), {{}}, Path('/'))\n"
    )
    done = served.python(f"{begin}install._note_rescue(settings)\nimport os; assert os.geteuid() == 0")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((served.var / "spool").glob("cli-*.seg"))) == 1
    assert served.foreign() == []
