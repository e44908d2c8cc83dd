"""One question on its way, without sockets: whom it goes to, what is believed, when it ends."""

import random
from collections.abc import Callable

import pytest

from blockerd.dns import exchange
from blockerd.dns.exchange import Exchange, Server, Step, Try
from blockerd.settings import Scheme, Upstream
from tests.fakes.packets import a, opt, query, response

ASKED = query("Site.test", qid=0, edns=opt())
ME = b"\xc0\x0c"


def _server(port: int = 53, scheme: Scheme = Scheme.UDP) -> Server:
    return Server(Upstream(scheme, "192.0.2.1", port))


def _begun(*servers: Server, now: float = 0.0) -> Exchange:
    return Exchange(ASKED, servers, now, random.Random(7).randbytes)


def _next(one: Exchange, now: float = 0.0) -> Try:
    attempt = one.next(now)
    assert attempt is not None
    return attempt


def _failed(one: Exchange, now: float = 0.0) -> int:
    """Lets every try fail at its end; how many there were."""
    count = 0
    while attempt := one.next(now):
        now = attempt.until
        one.failed(attempt, now)
        count += 1
    assert now <= exchange.IN_ALL
    return count


@pytest.mark.parametrize(("servers", "tries"), [(1, 3), (2, 6), (3, 6)])
def test_three_tries_a_server_and_six_in_all_end_within_five_seconds(servers: int, tries: int):
    assert _failed(_begun(*(_server(port) for port in range(servers)))) == tries


def test_a_server_is_down_after_a_while_of_silence_and_not_for_a_lost_packet_or_two():
    server = _server()
    for at in (0.0, 0.1, 0.2, 0.3, 0.4):
        server.bad(at)
    assert not server.down(0.5), "five in a burst are one moment"
    server.bad(2.1)
    assert server.down(2.2)
    assert not server.down(4.2)
    assert _failed(_begun(server, now=2.2), 2.2) == 2, "less is spent on a server that is down"
    server.good(0.01)
    assert (server.failures, server.backoff) == (0, 0.0)


def test_a_down_server_is_asked_last_and_less_and_less_often():
    ill, well = _server(1), _server(2)
    for at in (0.0, 1.0, 2.0, 3.0):
        ill.bad(at)
    well.latency = 0.3
    assert [one.address.port for one in exchange.order([ill, well], 3.1, random.Random(1).randbytes)] == [2, 1]
    before = ill.retry_at - 3.0
    ill.bad(10.0)
    assert ill.retry_at - 10.0 == 2 * before
    for at in (100.0, 200.0, 300.0, 400.0, 500.0):
        ill.bad(at)
        ill.bad(at)
    assert ill.retry_at - 500.0 == 60.0


def test_the_quickest_is_asked_first_and_now_and_then_another():
    slow, quick = _server(1), _server(2)
    slow.good(0.2)
    quick.good(0.02)
    chance = random.Random(3)
    firsts = [exchange.order([slow, quick], 0.0, chance.randbytes)[0] for _ in range(2400)]
    assert 40 < firsts.count(slow) < 180, "about one in 24"


def test_nobody_is_asked_out_of_turn_while_the_first_was_never_measured():
    first, second = _server(1), _server(2)
    chance = random.Random(3)
    for latency in (0.0, 0.02):
        second.latency = latency
        assert {exchange.order([first, second], 0.0, chance.randbytes)[0] for _ in range(500)} == {first}


def test_each_try_has_another_id_and_another_mixture_of_cases():
    tries = [_next(_begun(_server())) for _ in range(1)] + [_next(Exchange(ASKED, [_server()], 0.0, random.randbytes))]
    first, second = (attempt.packet for attempt in tries)
    assert first[2:].lower() == second[2:].lower() == ASKED[2:].lower()
    assert first[:2] != second[:2]
    assert first[12:23] != second[12:23] or first[12:23] != ASKED[12:23]
    assert first[12] == 4, "lengths are left alone"


def test_the_true_answer_ends_it():
    one = _begun(_server())
    attempt = _next(one)
    packet = response(attempt.packet, [a(ME)])
    assert one.arrived(attempt, packet, 0.1) is Step.ANSWER
    assert one.reply == packet
    assert attempt.server.latency == pytest.approx(0.1)


def test_an_answer_in_another_case_is_not_believed_but_asked_for_over_tcp():
    one = _begun(_server())
    attempt = _next(one)
    lowered = attempt.packet[:12] + attempt.packet[12:].lower()
    assert one.arrived(attempt, response(lowered, [a(ME, "203.0.113.6")]), 0.1) is Step.AGAIN
    again = _next(one)
    assert again.stream
    assert again.server is attempt.server
    assert one.arrived(again, response(again.packet, [a(ME)]), 0.2) is Step.ANSWER


def test_a_server_that_always_changes_cases_is_asked_in_the_clients_own():
    server = _server()
    for _ in range(exchange.MISCASED):
        one = _begun(server)
        attempt = _next(one)
        one.arrived(attempt, response(attempt.packet[:12] + attempt.packet[12:].swapcase(), [a(ME)]), 0.1)
    attempt = _next(_begun(server))
    assert attempt.packet[2:] == ASKED[2:]


def test_a_server_without_edns_is_asked_once_more_and_remembered():
    """RFC 6891 section 7; T23."""
    server = _server()
    one = _begun(server)
    first = _next(one)
    formerr = response(first.packet, rcode=1)
    assert one.arrived(first, formerr[:10] + b"\x00\x00" + formerr[12:], 0.1) is Step.AGAIN
    bare = _next(one)
    assert (bare.edns, bare.packet[11], len(bare.packet)) == (False, 0, len(ASKED) - 11)
    assert one.arrived(bare, response(bare.packet, [a(ME)]), 0.2) is Step.ANSWER
    assert not _next(_begun(server, now=1.0), 1.0).edns
    later = exchange.NO_EDNS_FOR + 1
    assert _next(_begun(server, now=later), later).edns


def test_a_formerr_without_a_question_is_taken_for_a_server_without_edns():
    one = _begun(_server())
    first = _next(one)
    bare = first.packet[:2] + b"\x81\x81" + bytes(8)
    assert one.arrived(first, bare, 0.1) is Step.AGAIN
    again = _next(one)
    assert not again.edns
    assert one.arrived(again, again.packet[:2] + b"\x81\x81" + bytes(8), 0.2) is Step.WAIT, "once"


def test_servfail_is_the_answer_only_when_nobody_has_a_better_one():
    first, second = _server(1), _server(2)
    one = _begun(first, second)
    attempt = _next(one)
    assert one.arrived(attempt, response(attempt.packet, rcode=2), 0.1) is Step.AGAIN
    while (attempt := _next(one)).server is not second:
        pass
    one.failed(attempt, 0.7)
    others = []
    now = 0.7
    while later := one.next(now):
        others.append(later.server)
        now = later.until
    assert set(others) == {second}, "who said no is not asked again"
    assert one.reply is not None
    assert one.reply[3] & 15 == 2


def _formerr(asked: bytes) -> bytes:
    """A FORMERR that repeats the question and has no OPT record."""
    packet = response(asked, rcode=1)
    return packet[:10] + b"\x00\x00" + packet[12:]


@pytest.mark.parametrize(
    "reply",
    [
        lambda asked: response(asked, flags=0x8380),
        lambda asked: response(asked, rcode=2),
        _formerr,
        lambda asked: asked[:2] + b"\x81\x81" + bytes(8),
        lambda asked: asked[:2] + response(asked[:12] + asked[12:].swapcase())[2:],
    ],
    ids=["truncated", "servfail", "formerr", "formerr without question", "other case"],
)
def test_duplicates_of_a_reply_bring_one_question_more(reply: Callable[[bytes], bytes]):
    """D3 of the threat model: a server that says it fifty times must not have us open fifty connections."""
    one = _begun(_server(1), _server(2))
    attempt = _next(one)
    steps = []
    for _ in range(50):
        steps.append(one.arrived(attempt, reply(attempt.packet), 0.1))
        if steps[-1] is Step.AGAIN:
            _next(one, 0.1)
    assert steps == [Step.AGAIN] + 49 * [Step.WAIT]


def test_the_true_answer_behind_a_forged_formerr_is_still_the_answer():
    one = _begun(_server())
    first = _next(one)
    one.arrived(first, first.packet[:2] + b"\x81\x81" + bytes(8), 0.1)
    _next(one, 0.1)
    assert one.arrived(first, response(first.packet, [a(ME)]), 0.2) is Step.ANSWER


def test_a_late_servfail_waits_for_the_server_that_is_asked_meanwhile():
    first, second = _server(1), _server(2)
    one = _begun(first, second)
    tries = [_next(one, 0.0), _next(one, 0.6)]
    assert [attempt.server for attempt in tries] == [first, second]
    assert one.arrived(tries[0], response(tries[0].packet, rcode=2), 0.7) is Step.WAIT
    assert one.arrived(tries[1], response(tries[1].packet, [a(ME)]), 0.8) is Step.ANSWER


def test_a_late_reply_to_an_earlier_try_is_the_answer_too():
    one = _begun(_server())
    first = _next(one)
    one.failed(first, first.until)
    _next(one, first.until)
    assert one.arrived(first, response(first.packet, [a(ME)]), first.until + 0.1) is Step.ANSWER


@pytest.mark.parametrize("scheme", [Scheme.TCP, Scheme.TLS, Scheme.HTTPS])
def test_a_connection_is_asked_in_the_clients_case_and_given_time_to_be_made(scheme: Scheme):
    attempt = _next(_begun(_server(scheme=scheme)))
    assert attempt.stream
    assert attempt.packet[2:] == ASKED[2:]
    assert attempt.until >= exchange.STREAM_WAIT
