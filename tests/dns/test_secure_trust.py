"""Whom an encrypted channel speaks to, over DoT and DoH: certificates, TLS versions, protocols; and how it begins and
ends."""

import asyncio
import ssl
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import pytest

from blockerd.dns import secure_link
from blockerd.dns.secure import open_channel
from blockerd.settings import Scheme, Upstream
from tests.fakes.packets import opt, query
from tests.fakes.tlsupstream import (
    EXPIRED,
    NAME,
    PATH,
    Authority,
    TlsUpstream,
    given_up,
    opened,
    plain_upstream,
    run,
    tls_upstream,
    until,
)
from tests.fakes.upstream import dead_port

ASKED = query("site.test", qid=0x4242, edns=opt())
both = pytest.mark.parametrize("scheme", [Scheme.TLS, Scheme.HTTPS])


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def serving(
    scheme: Scheme, authority: Authority, *names: str, expires: datetime | None = None
) -> AbstractAsyncContextManager[TlsUpstream]:
    https = scheme is Scheme.HTTPS
    context = authority.server(*names, alpn=["h2"] if https else [], expires=expires)
    return tls_upstream(context, http=https)


def place(scheme: Scheme, port: int, name: str = NAME) -> Upstream:
    return Upstream(scheme, "127.0.0.1", port, name, PATH if scheme is Scheme.HTTPS else "")


@both
@pytest.mark.parametrize(
    ("names", "expires"),
    [(["other.test"], None), ([NAME], EXPIRED), (["127.0.0.1"], None), (["*.dns.test"], None)],
    ids=["another name", "expired", "the address alone", "a wildcard below"],
)
def test_a_certificate_that_does_not_fit_ends_it_before_a_word_is_said(
    scheme: Scheme, names: list[str], expires: datetime | None, authority: Authority
):
    async def scenario() -> None:
        async with serving(scheme, authority, *names, expires=expires) as server:
            async with opened(place(scheme, server.port), authority) as channel:
                for _ in range(2):
                    with pytest.raises(ssl.SSLCertVerificationError):
                        await channel.ask(ASKED)
            assert server.calls == []

    run(scenario)


@both
def test_a_certificate_of_an_unknown_authority_is_not_believed(scheme: Scheme, authority: Authority):
    async def scenario() -> None:
        async with serving(scheme, Authority(), NAME) as server:
            for context in (authority.trusted, None):
                channel = open_channel(place(scheme, server.port), (), context=context)
                with pytest.raises(ssl.SSLCertVerificationError):
                    await channel.ask(ASKED)
                channel.close()
            assert server.calls == []

    run(scenario)


@both
@pytest.mark.parametrize(("name", "good"), [("127.0.0.1", True), ("127.0.0.2", False), (NAME, False)])
def test_without_a_name_the_certificate_must_be_for_the_address(
    scheme: Scheme, name: str, good: bool, authority: Authority
):
    async def scenario() -> None:
        async with serving(scheme, authority, name) as server:
            wanted = "127.0.0.1" if scheme is Scheme.HTTPS else ""
            async with opened(place(scheme, server.port, wanted), authority) as channel:
                if good:
                    assert await channel.ask(ASKED)
                    assert server.sni == [None], "an address is no server name (RFC 6066 section 3)"
                    return
                with pytest.raises(ssl.SSLCertVerificationError):
                    await channel.ask(ASKED)

    run(scenario)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(("limit", "good"), [("TLSv1_3", True), ("TLSv1_2", True), ("TLSv1_1", False)])
def test_tls_below_1_2_is_refused_whatever_the_context_allows(limit: str, good: bool, authority: Authority):
    def lax() -> ssl.SSLContext:
        context = authority.trusted()
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        return context

    async def scenario() -> None:
        context = authority.server(NAME)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion[limit]
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        async with tls_upstream(context) as server:
            channel = open_channel(server.tls(), (), context=lax)
            if good:
                await channel.ask(ASKED)
            else:
                with pytest.raises((ssl.SSLError, ConnectionError)):  # the server may say why, or just hang up
                    await channel.ask(ASKED)
            channel.close()
            assert len(server.calls) == good

    run(scenario)


@pytest.mark.parametrize("alpn", [[], ["http/1.1"]])
def test_a_server_without_http_2_hears_no_question(alpn: list[str], authority: Authority):
    async def scenario() -> None:
        async with tls_upstream(authority.server(NAME, alpn=alpn), http=True) as server:
            async with opened(server.https(host="127.0.0.1"), authority) as channel:
                with pytest.raises(OSError, match="HTTP/2"):
                    await channel.ask(ASKED)
            assert server.calls == []

    run(scenario)


@both
@pytest.mark.parametrize("octets", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x0c" + bytes(12), b"\xff" * 600])
def test_a_server_without_tls_hears_no_question(scheme: Scheme, octets: bytes, authority: Authority):
    async def scenario() -> None:
        async with plain_upstream(octets) as (server, heard):
            async with opened(place(scheme, server.port), authority) as channel:
                with pytest.raises(ssl.SSLError):
                    await channel.ask(ASKED)
            assert heard[:1] == b"\x16"
            assert b"site" not in heard

    run(scenario)


@both
def test_a_dead_port_is_told_at_once(scheme: Scheme, authority: Authority):
    async def scenario() -> None:
        async with opened(place(scheme, dead_port()), authority) as channel:
            for _ in range(2):
                with pytest.raises(ConnectionRefusedError):
                    await channel.ask(ASKED)

    run(scenario)


@both
def test_a_handshake_that_hangs_ends_with_the_patience_of_the_caller(scheme: Scheme, authority: Authority):
    async def scenario() -> None:
        async with plain_upstream() as (server, heard), opened(place(scheme, server.port), authority) as channel:
            await given_up(channel, ASKED, lambda: b"dns.test" in heard)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(channel.ask(ASKED), 0.05)
            assert heard.count(b"dns.test") == 1, "the second one waits for the same handshake"

    run(scenario)


def test_a_handshake_that_hangs_has_an_end_of_its_own(authority: Authority, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(secure_link, "OPEN_SECONDS", 0.3)

    async def scenario() -> None:
        async with plain_upstream() as (server, heard), opened(server.tls(), authority) as channel:
            began = asyncio.get_running_loop().time()
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    await channel.ask(ASKED)
            assert asyncio.get_running_loop().time() - began < 3
            assert heard.count(b"dns.test") == 2

    run(scenario)


def test_a_caller_who_gave_up_leaves_a_connection_for_the_next(authority: Authority):
    async def scenario() -> None:
        async with tls_upstream(authority.server(NAME)) as server, opened(server.tls(), authority) as channel:
            loop = asyncio.get_running_loop()
            impatient = loop.create_task(channel.ask(ASKED))
            await asyncio.sleep(0)
            impatient.cancel()
            await until(lambda: len(server.connections) == 1)
            await channel.ask(ASKED)
            assert (len(server.calls), len(server.connections)) == (1, 1)

    run(scenario)


@both
def test_closing_ends_a_handshake_under_way(scheme: Scheme, authority: Authority):
    async def scenario() -> None:
        async with plain_upstream() as (server, heard), opened(place(scheme, server.port), authority) as channel:
            asking = asyncio.get_running_loop().create_task(channel.ask(ASKED))
            await until(lambda: len(heard) > 0)
            channel.close()
            with pytest.raises(ConnectionError):
                await asking

    run(scenario)


@pytest.mark.parametrize("scheme", [Scheme.UDP, Scheme.TCP])
def test_what_is_not_encrypted_is_no_channel(scheme: Scheme):
    with pytest.raises(ValueError, match="not encrypted"):
        open_channel(Upstream(scheme, "127.0.0.1", 53), ())


@both
def test_nothing_is_made_before_the_first_question(scheme: Scheme):
    def never() -> ssl.SSLContext:
        raise AssertionError("made too early")

    open_channel(place(scheme, 853), (), context=never).close()


def test_channels_load_nothing_before_the_first_question():
    code = (
        "import sys\nfrom blockerd.dns.secure import open_channel\nfrom blockerd.settings import Scheme, Upstream\n"
        "open_channel(Upstream(Scheme.HTTPS, 'dns.test', 443, 'dns.test', '/q'), ())\n"
        "open_channel(Upstream(Scheme.TLS, '192.0.2.1', 853, 'dns.test'), ())\n"
        "assert not {'h2', 'hpack', 'httpx2', 'anyio', 'truststore'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_package_is_told_in_one_line(authority: Authority, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "h2.connection", None)

    async def scenario() -> None:
        async with opened(place(Scheme.HTTPS, 443), authority) as channel:
            with pytest.raises(OSError, match="need the package h2"):
                await channel.ask(ASKED)

    run(scenario)
