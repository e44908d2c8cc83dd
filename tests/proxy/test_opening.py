"""What the first octets of a tunnel may become: neither TLS nor HTTP is kept waiting, a slow request is waited for."""

import pytest

from blockerd.proxy.opening import LINE_MOST, undecided


@pytest.mark.parametrize(
    ("data", "waits"),
    [
        (b"\x16", True),
        (b"\x16\x03", True),
        (b"\x16\x02", False),
        (b"G", True),
        (b"GET", True),
        (b"GET /a?b=c%20", True),
        (b"GET /\xc3\xbc\x01 HTTP/1.1\r", True),
        (b"GET / HTTP/1.1\r\n", False),
        (b"M-SEARCH * HTTP", True),
        (b"AMQP\x00\x00\x09\x01", False),
        (b"@RSYNCD: 31.0", False),
        (b"\x00\x01", False),
        (b"SSH-2.0-x\r\n", False),
        (b"a:b", False),
        (b"G" * LINE_MOST, False),
    ],
)
def test_only_what_may_become_a_request_or_tls_is_waited_for(data: bytes, waits: bool):
    assert undecided(data) is waits
