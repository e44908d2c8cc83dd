"""One download against a publisher that misbehaves in every way: what is refused, and that it stops in time."""

import asyncio
import gzip
import io
import threading
from collections.abc import Iterator, Mapping

import pytest

from blockerd.lists.fetch.http import FetchError, Got, Net, get
from tests.fakes import listserver
from tests.fakes.listserver import HOST, MIRROR, ListServer, Play, list_server

URL = f"https://{HOST}/list"
LIST = listserver.names(2000)
CAP = 1 << 20


@pytest.fixture(scope="module")
def shared() -> Iterator[ListServer]:
    with list_server() as server:
        yield server


@pytest.fixture
def publisher(shared: ListServer) -> ListServer:
    shared.plays.clear()
    shared.seen.clear()
    shared.dialled.clear()
    return shared


def _get(net: Net, url: str = URL, validators: Mapping[str, str] | None = None, cap: int = CAP) -> tuple[Got, bytes]:
    out = io.BytesIO()
    got = asyncio.run(get(net, url, out, cap, validators=validators or {}, on_bytes=lambda _count: None))
    return got, out.getvalue()


def test_a_list_arrives_whole_with_its_validators(publisher: ListServer):
    publisher.publish("/list", LIST, {"ETag": '"v1"', "Last-Modified": "Sat, 21 Nov 2026 00:00:00 GMT"})
    got, data = _get(publisher.net())
    assert data == LIST
    assert got == Got(False, len(LIST), '"v1"', "Sat, 21 Nov 2026 00:00:00 GMT")


def test_the_checked_address_is_dialled_and_the_name_is_what_the_server_hears(publisher: ListServer):
    publisher.publish("/list?a=1", LIST)
    _get(publisher.net(), URL + "?a=1")
    assert publisher.dialled == [(listserver.ADDRESS, 443)]
    ((host, path, headers),) = publisher.seen
    assert (host, path) == (HOST, "/list?a=1")
    assert headers["Accept-Encoding"] == "gzip"
    assert "Cookie" not in headers


def test_a_port_in_the_address_reaches_dial_and_host(publisher: ListServer):
    publisher.publish("/list", LIST)
    _get(publisher.net(), f"https://{HOST}:8443/list")
    assert publisher.dialled == [(listserver.ADDRESS, 8443)]
    assert publisher.seen[0][0] == f"{HOST}:8443"


@pytest.mark.parametrize("header", [("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since")])
def test_a_list_that_has_not_changed_is_not_sent_again(publisher: ListServer, header: tuple[str, str]):
    publisher.publish("/list", LIST, {header[0]: "known"})
    got, data = _get(publisher.net(), validators={header[1]: "known"})
    assert got.unchanged
    assert data == b""


def test_a_304_that_nobody_asked_for_is_no_answer(publisher: ListServer):
    publisher.plays["/list"] = listserver.status(304, b"")
    with pytest.raises(FetchError, match="304"):
        _get(publisher.net())


def test_a_coded_body_and_a_packed_file_arrive_plain(publisher: ListServer):
    publisher.publish("/coded", gzip.compress(LIST), {"Content-Encoding": "gzip"})
    publisher.publish("/list.gz", gzip.compress(LIST))
    assert _get(publisher.net(), f"https://{HOST}/coded")[1] == LIST
    assert _get(publisher.net(), f"https://{HOST}/list.gz")[1] == LIST


def test_redirects_are_followed_with_each_host_checked(publisher: ListServer):
    publisher.plays["/list"] = listserver.redirect(f"https://{MIRROR}/there")
    publisher.plays["/there"] = listserver.redirect("here")
    publisher.publish("/here", LIST)
    assert _get(publisher.net({MIRROR: ["9.1.1.2"]}))[1] == LIST
    assert [address for address, _ in publisher.dialled] == [listserver.ADDRESS, "9.1.1.2", "9.1.1.2"]
    assert [host for host, _, _ in publisher.seen] == [HOST, MIRROR, MIRROR]


@pytest.mark.parametrize("coding", ["utf-8", "latin-1"])
def test_a_redirect_to_an_international_name_is_followed_by_its_a_labels(coding: str):
    """Some servers write the name as it is (RFC 9110 section 10.2.2 wants a URI, which has A-labels)."""
    with list_server((HOST, "xn--bcher-kva.test")) as server:
        raw = "https://b\u00fccher.test/there".encode(coding).decode("latin-1")
        server.plays["/list"] = listserver.redirect(raw)
        server.publish("/there", LIST)
        assert _get(server.net())[1] == LIST
        assert [host for host, _, _ in server.seen] == [HOST, "xn--bcher-kva.test"]


def test_a_redirect_to_an_international_name_that_is_none_is_told_in_one_line(publisher: ListServer):
    publisher.plays["/list"] = listserver.redirect("https://\u00fc..test/there")
    with pytest.raises(FetchError, match="no address"):
        _get(publisher.net())


def test_the_sixth_redirect_is_one_too_many(publisher: ListServer):
    for number in range(7):
        publisher.plays[f"/{number}"] = listserver.redirect(f"/{number + 1}")
    publisher.publish("/6", LIST)
    assert _get(publisher.net(), f"https://{HOST}/1")[1] == LIST
    with pytest.raises(FetchError, match="over 5 redirects"):
        _get(publisher.net(), f"https://{HOST}/0")


@pytest.mark.parametrize(
    "location",
    [f"http://{HOST}/list", "file:///etc/shadow", f"ftp://{HOST}/list", "data:text/plain,a.test", "", "https://[x/"],
)
def test_only_https_is_followed(publisher: ListServer, location: str):
    publisher.plays["/list"] = listserver.redirect(location)
    with pytest.raises(FetchError, match="redirects to"):
        _get(publisher.net())
    assert len(publisher.seen) == 1


@pytest.mark.parametrize("url", [f"http://{HOST}/list", "file:///etc/shadow", "ftp://a.test/", f"https://u:p@{HOST}/"])
def test_only_https_is_fetched(publisher: ListServer, url: str):
    with pytest.raises(FetchError):
        _get(publisher.net(), url)
    assert publisher.dialled == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"])
def test_no_connection_to_an_address_that_is_not_public(publisher: ListServer, address: str):
    publisher.publish("/list", LIST)
    with pytest.raises(FetchError, match="no public address"):
        _get(publisher.net({HOST: ["9.1.1.1", address]}))
    assert publisher.dialled == []


def test_no_redirect_to_an_address_that_is_not_public(publisher: ListServer):
    publisher.plays["/list"] = listserver.redirect(f"https://{MIRROR}/admin")
    publisher.publish("/admin", LIST)
    with pytest.raises(FetchError, match="no public address"):
        _get(publisher.net({MIRROR: ["192.168.1.1"]}))
    assert [path for _, path, _ in publisher.seen] == ["/list"]


def test_a_name_that_means_another_machine_a_moment_later_gains_nothing(publisher: ListServer):
    answers = [["9.1.1.1"], ["127.0.0.1"]]

    async def rebinding(_host: str) -> list[str]:
        return answers.pop(0)

    publisher.publish("/list", LIST)
    net = publisher.net()
    _get(Net(rebinding, net.dial, net.context))
    assert publisher.dialled == [("9.1.1.1", 443)]
    assert len(answers) == 1, "one lookup, and what it said is what was dialled"


def test_the_certificate_must_be_of_the_name_and_of_a_known_authority(publisher: ListServer):
    publisher.publish("/list", LIST)
    with pytest.raises(FetchError, match="certificate"):
        _get(publisher.net(), "https://other.test/list")
    with pytest.raises(FetchError, match="certificate"):
        _get(publisher.net(trusted=False))
    assert publisher.seen == []


@pytest.mark.parametrize(
    ("play", "said"),
    [
        (listserver.status(404), "answered 404"),
        (listserver.status(503), "answered 503"),
        (listserver.status(206, LIST), "answered 206"),
        (listserver.cut(LIST, len(LIST) + 1), "connection broke"),
        (listserver.cut(LIST, 10_000_000_000), "connection broke"),
        (listserver.chunks_cut(LIST), "connection broke"),
        (listserver.hang_up, "connection broke"),
        (listserver.serving(gzip.compress(LIST)[:-3], {"Content-Encoding": "gzip"}), "cut short"),
        (listserver.serving(LIST, {"Content-Encoding": "gzip"}), "damaged"),
        (listserver.serving(b"\x1b" * 100, {"Content-Encoding": "br"}), "not asked for"),
        (listserver.serving(b"\x1b" * 100, {"Content-Encoding": "gzip, zstd"}), "not asked for"),
        (listserver.serving(b"\x1b" * 100, {"Content-Encoding": "deflate"}), "not asked for"),
        (listserver.endless(b"a.test\n" * 1000), "max_bytes"),
        (listserver.serving(listserver.zeros_gz(16), {"Content-Encoding": "gzip"}), "max_bytes"),
        (listserver.serving(listserver.zeros_gz(16)), "max_bytes"),
        (listserver.redirect("/list"), "over 5 redirects"),
        (listserver.noise(b"SSH-2.0-thing\r\n"), "connection broke"),
        (lambda to: to.raw_head(200, {f"X-{n}": "y" * 2000 for n in range(200)}), "connection broke"),
    ],
    ids=[
        "404", "503", "206", "one-octet-short", "far-too-short", "chunks-cut", "hang-up", "gzip-cut", "no-gzip", "br",
        "gzip-zstd", "deflate", "endless", "bomb-coded", "bomb-file", "redirect-loop", "no-http", "huge-head",
    ],
)  # fmt: skip
def test_what_is_no_whole_list_is_refused_in_one_line(publisher: ListServer, play: Play, said: str):
    publisher.plays["/list"] = play
    with pytest.raises(FetchError, match=said) as raised:
        _get(publisher.net())
    assert "\n" not in str(raised.value)


def test_no_more_than_the_cap_is_written(publisher: ListServer):
    publisher.publish("/list", listserver.zeros_gz(16), {"Content-Encoding": "gzip"})
    out = io.BytesIO()
    with pytest.raises(FetchError):
        asyncio.run(get(publisher.net(), URL, out, CAP, validators={}, on_bytes=lambda _count: None))
    assert len(out.getvalue()) <= CAP


def test_the_body_of_a_redirect_is_not_read(publisher: ListServer):
    bomb = {"Content-Encoding": "gzip", "Location": "/there"}

    def play(to: listserver.Connection) -> None:
        to.raw_head(302, bomb)
        block = listserver.zeros_gz(16)
        while True:
            to.wfile.write(block)

    publisher.plays["/list"] = play
    publisher.publish("/there", LIST)
    counted = list[int]()
    out = io.BytesIO()
    asyncio.run(get(publisher.net(), URL, out, CAP, validators={}, on_bytes=counted.append))
    assert out.getvalue() == LIST
    assert sum(counted) == len(LIST)


@pytest.mark.parametrize("head", [True, False], ids=["head", "body"])
def test_an_octet_now_and_then_is_stopped_by_the_whole_time(publisher: ListServer, head: bool):
    over = threading.Event()
    publisher.plays["/list"] = listserver.drip(LIST, over, head=head)
    try:
        with pytest.raises(FetchError, match=r"took over 0\.4 seconds"):
            _get(publisher.net(seconds=0.4))
    finally:
        over.set()


def test_the_next_address_is_tried_where_one_takes_no_connection(publisher: ListServer, free_port: int):
    publisher.publish("/list", LIST)
    net = publisher.net({HOST: ["9.1.1.1", "9.1.1.2"]})

    def dial(address: str, port: int) -> tuple[str, int]:
        return ("127.0.0.1", free_port) if address == "9.1.1.1" else net.dial(address, port)

    assert _get(Net(net.resolve, dial, net.context))[1] == LIST
    assert publisher.dialled == [("9.1.1.2", 443)]


def test_a_full_disk_is_said_as_such(publisher: ListServer):
    publisher.publish("/list", LIST)
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(FetchError, match="could not be written"):
        asyncio.run(get(publisher.net(), URL, full, CAP, validators={}, on_bytes=lambda _count: None))
