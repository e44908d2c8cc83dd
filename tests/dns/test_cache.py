"""The cache: bounds, order of leaving, expiry, and TTLs that count down without going below zero."""

from hypothesis import given
from hypothesis import strategies as st

from blockerd.dns.cache import MAX_ANSWER, STALE_FOR, Cache, Entry, Template, key_of, template
from tests.fakes.packets import AD, CD, RD, opt, query, ttls
from tests.fakes.resolvers import read_question

BODY = b"\xc0\x0c\x00\x01\x00\x01" + (100).to_bytes(4, "big") + b"\x00\x04\xc0\x00\x02\x01"
ENTRY = Entry(b"\x80\xa0", b"\x00\x01\x00\x01\x00\x00\x00\x00", BODY, ((6, 100),), 1000.0, 1100.0)


def _key(number: int) -> tuple[bytes, int, bool, bool]:
    return key_of(read_question(query(f"n{number}.test")))


def test_an_entry_is_good_until_the_moment_it_expires():
    cache = Cache(10)
    cache.put(_key(1), ENTRY)
    assert cache.get(_key(1), 1099.999) is ENTRY
    assert cache.get(_key(1), 1100.0) is None


def test_an_entry_is_kept_a_day_longer_for_the_case_that_no_upstream_answers():
    cache = Cache(10)
    cache.put(_key(1), ENTRY)
    assert cache.stale(_key(1), 1100.0) is ENTRY
    assert cache.stale(_key(1), 1099.0 + STALE_FOR) is ENTRY
    assert cache.stale(_key(1), 1100.0 + STALE_FOR) is None
    assert (len(cache), cache.octets) == (0, 0)


def test_the_oldest_makes_room_and_nothing_else():
    cache = Cache(3)
    for number in range(5):
        cache.put(_key(number), ENTRY)
    assert [cache.get(_key(number), 1000.0) is not None for number in range(5)] == [False, False, True, True, True]


def test_a_fresh_answer_replaces_the_one_before_and_counts_as_new():
    cache = Cache(2)
    for number in (1, 2, 1, 3):
        cache.put(_key(number), ENTRY)
    assert [cache.get(_key(number), 1000.0) is not None for number in (1, 2, 3)] == [True, False, True]


def test_a_cache_of_none_keeps_nothing():
    cache = Cache(0)
    cache.put(_key(1), ENTRY)
    assert len(cache) == 0


def test_too_large_an_answer_is_not_kept_and_pushes_out_the_stale_one():
    cache = Cache(10)
    cache.put(_key(1), ENTRY)
    cache.put(_key(1), ENTRY._replace(body=bytes(MAX_ANSWER + 1)))
    assert (cache.get(_key(1), 1000.0), cache.octets) == (None, 0)


@given(puts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5000)), max_size=60))
def test_entries_and_octets_never_pass_their_bounds(puts: list[tuple[int, int]]):
    cache, held = Cache(4, 9000), dict[int, int]()
    for number, size in puts:
        cache.put(_key(number), ENTRY._replace(body=bytes(size)))
        held[number] = size
        assert len(cache) <= 4
        assert cache.octets <= 9000
        found = [n for n in range(10) if cache.get(_key(n), 1000.0)]
        assert cache.octets == sum(held[n] for n in found)
    cache.clear()
    assert (len(cache), cache.octets) == (0, 0)


def test_name_type_do_and_cd_tell_answers_apart_and_case_and_ad_do_not():
    same = [query("site.test"), query("SITE.test"), query("site.test", flags=RD | AD), query("site.test", edns=opt())]
    other = [query("site.test", 28), query("site.test", edns=opt(do=True)), query("site.test", flags=RD | CD)]
    assert len({key_of(read_question(packet)) for packet in same}) == 1
    assert len({key_of(read_question(packet)) for packet in [same[0], *other]}) == 4


@given(now=st.floats(990, 1200, allow_nan=False))
def test_ttls_count_down_by_whole_seconds_and_stop_at_zero(now: float):
    question = read_question(query("site.test"))
    shown = ttls(b"\x00\x00" + template(ENTRY, question, b"").render(now))
    assert shown == [min(100, max(0, 100 - int(now - 1000.0)))]


def test_rendering_leaves_the_kept_octets_alone():
    made = Template(b"abcdefgh", ((2, 50),), 0.0, 50.0)
    assert made.render(10.0) == b"ab\x00\x00\x00\x28gh"
    assert made.render(0.0) == b"abcdefgh"


def test_an_answer_is_dressed_for_each_way_to_ask():
    """RD and CD as asked, AD for who asks for it (RFC 6840 section 5.8), the question's case, OPT only for EDNS."""
    for flags, edns, second in ((RD, b"", 0x80), (RD | AD, b"", 0xA0), (CD, b"", 0x90), (RD, opt(do=True), 0xA0)):
        question = read_question(query("SiTe.test", flags=flags, edns=edns))
        data = template(ENTRY, question, edns).data
        assert data[:2] == bytes((0x80 | flags >> 8, second))
        assert data[10 : 10 + len(question.raw)] == question.raw
        assert data[8:10] == (b"\x00\x01" if edns else b"\x00\x00")
        assert data.endswith(edns)
