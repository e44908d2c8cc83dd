"""Devices of the home: who is answered, how much, and who is recorded."""

import ipaddress
from pathlib import Path

from blockerd.dns.clients import BURST, RATE, Clients, clients_of, packed
from blockerd.settings import load


def _at(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def test_only_addresses_of_the_home_and_named_ones_are_answered():
    clients = Clients([(("2001:db8:7::/64",), False)])
    assert clients.may_ask(_at("192.168.1.5"), 0.0)
    assert clients.may_ask(_at("2001:db8:7::5"), 0.0), "named"
    assert not clients.may_ask(_at("2001:db8:8::5"), 0.0)
    assert not clients.may_ask(_at("192.0.2.5"), 0.0)


def test_a_device_is_recorded_only_where_it_is_enrolled_and_this_machine_always():
    clients = Clients([(("192.168.1.0/24",), True), (("192.168.1.30/32",), False)])
    assert clients.enrolled(_at("192.168.1.5"))
    assert not clients.enrolled(_at("192.168.1.30")), "the longest network says it"
    assert not clients.enrolled(_at("192.168.2.5"))
    assert clients.enrolled(_at("127.0.0.1"))
    assert clients.enrolled(_at("::1"))
    mine = Clients(here=("192.168.1.10", "fe80::1%eth0"))
    assert [mine.enrolled(_at(one)) for one in ("192.168.1.10", "fe80::1", "192.168.1.11")] == [True, True, False]


def test_the_settings_name_devices_and_this_machine_itself(tmp_path: Path):
    (tmp_path / "b.toml").write_text(
        '[dns]\nlisten = ["127.0.0.1:53", "192.168.1.10:53", "[fd00:1::10]:53"]\n'
        '[proxy]\nlisten = "192.168.2.10:8054"\n'
        '[[client]]\nname = "desk"\naddresses = ["192.168.1.20/32"]\nenrolled = true\n'
    )
    clients = clients_of(load(tmp_path / "b.toml", {}, tmp_path))
    asking = ("192.168.1.10", "fd00:1::10", "192.168.2.10", "192.168.1.20", "192.168.1.11")
    assert [clients.enrolled(_at(one)) for one in asking] == [True, True, True, True, False]
    granted = [sum(clients.may_ask(_at(one), 0.0) for _ in range(2000)) for one in asking]
    assert granted == [2000, 2000, 2000, BURST, BURST], "this machine has no limit"


def test_a_device_that_asks_without_end_gets_so_much_a_second_and_costs_nobody_else():
    clients = Clients()
    noisy, other = _at("10.0.0.9"), _at("10.0.0.10")
    granted = sum(clients.may_ask(noisy, 100.0) for _ in range(10_000))
    assert granted == BURST
    assert sum(clients.may_ask(noisy, 101.0) for _ in range(10_000)) == RATE
    assert clients.may_ask(other, 101.0)
    assert all(clients.may_ask(_at("127.0.0.1"), 100.0) for _ in range(10_000)), "this machine has no limit"


def test_a_clock_that_is_set_back_grants_nothing_and_takes_nothing():
    clients = Clients()
    address = _at("10.0.0.9")
    assert clients.may_ask(address, 1000.0)
    assert clients.may_ask(address, 10.0)


def test_a_flood_of_forged_senders_keeps_the_memory_bounded():
    clients = Clients()
    for number in range(20_000):
        clients.may_ask((0x0A000000 + number).to_bytes(4, "big"), 0.0)
    assert len(clients._known) <= 4096


def test_a_link_local_address_is_read_without_its_scope():
    assert packed("fe80::1%2") == _at("fe80::1")
