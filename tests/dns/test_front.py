"""What this machine asks while another account is in front: the file that says so, and who is recorded then."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.dns.clients import Clients, packed
from blockerd.dns.front import FILE, Front, read, to_bytes


def test_another_account_is_in_front_until_its_time_is_over_or_the_file_says_otherwise(tmp_path: Path):
    front = Front(tmp_path / FILE, lambda: "b")
    assert not front.another(100)
    (tmp_path / FILE).write_bytes(to_bytes("b", 200))
    assert [front.another(now) for now in (100, 199, 200, 100)] == [True, True, False, True]
    (tmp_path / "new").write_bytes(to_bytes("b", 0))
    (tmp_path / "new").replace(tmp_path / FILE)
    assert not front.another(100)
    (tmp_path / "new").write_bytes(to_bytes("another boot", 200))
    (tmp_path / "new").replace(tmp_path / FILE)
    assert not front.another(100)
    (tmp_path / FILE).unlink()
    assert not front.another(100)


@given(st.binary() | st.text().map(str.encode) | st.just(b'{"boot": "b", "another_until": 1e999}'))
def test_no_file_is_too_broken_to_be_read(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.getbasetemp() / FILE
    path.write_bytes(content)
    assert read(path, "b") == 0


def test_only_what_this_machine_asks_is_not_recorded_then():
    clients = Clients([(("192.168.1.20/32",), True)], here=("192.168.1.10",))
    asking = [packed(one) for one in ("127.0.0.1", "::1", "192.168.1.10", "192.168.1.20", "192.168.1.30")]
    assert [clients.enrolled(one) for one in asking] == [True, True, True, True, False]
    clients.another = True
    assert [clients.enrolled(one) for one in asking] == [False, False, False, True, False]
    assert all(clients.may_ask(one, 0.0) for one in asking), "answered and filtered as ever"
    clients.another = False
    assert clients.enrolled(asking[0])
