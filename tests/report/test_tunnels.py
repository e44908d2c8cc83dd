"""Hours on a VPN, from what the record says of its coming and going."""

from blockerd.journal.entry import Beat, ResolverPath, Start, Stop, Unclean
from blockerd.report.tunnels import time_up

HOUR = 3600_000_000


def at(hour: float, old: str, new: str) -> ResolverPath:
    return ResolverPath(int(hour * HOUR), "vpn", old, new)


def test_the_hours_are_those_between_its_coming_and_going():
    assert time_up([at(1, "", "wg0"), at(4, "wg0", "")], 0, 9 * HOUR) == 3 * HOUR
    assert time_up([at(1, "", "wg0"), at(2, "wg0", "tun0, wg0"), at(4, "tun0, wg0", "")], 0, 9 * HOUR) == 3 * HOUR
    assert time_up([at(1, "", "wg0"), at(4, "wg0", "")], 2 * HOUR, 3 * HOUR) == HOUR, "the part in the period"
    assert time_up([at(1, "", "wg0"), Stop(2 * HOUR, "control"), Start(5 * HOUR, "control")], 0, 9 * HOUR) == HOUR
    assert time_up([at(1, "", "wg0"), Stop(2 * HOUR, "dns")], 0, 3 * HOUR) == 2 * HOUR, "another process's stop"
    gone = Unclean(6 * HOUR, "control", 3 * HOUR)
    assert time_up([at(1, "", "wg0"), gone, Start(6 * HOUR, "control"), at(7, "", "wg0")], 0, 8 * HOUR) == 3 * HOUR
    assert time_up([at(1, "", "wg0"), Beat(int(1.5 * HOUR), "b", 1, 0, 0)], 0, 9 * HOUR, now=2 * HOUR) == HOUR, (
        "it is still up"
    )
    assert time_up([], 0, HOUR) == 0
