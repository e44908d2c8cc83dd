"""Parameters of SVCB and HTTPS records by raw octets (RFC 9460 section 2.2). Pure.

Only what a filter has to look at: the addresses that a record hints at and whether it carries the keys for an encrypted
hello. Refuses parameters that are cut short or out of order, as a client has to.
"""

from collections.abc import Iterator

MANDATORY, IPV4HINT, ECH, IPV6HINT = 0, 4, 5, 6
_WIDTH = {IPV4HINT: 4, IPV6HINT: 16}


def split(rdata: bytes) -> tuple[bytes, bytes]:
    """Priority with TargetName, and the parameters after them. The target is never compressed.

    Raises:
        ValueError: cut short.
    """
    at = 2
    while at < len(rdata) and rdata[at]:
        at += 1 + rdata[at]
    if at >= len(rdata):
        raise ValueError("target cut short")
    return rdata[: at + 1], rdata[at + 1 :]


def params(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(key, value) of each parameter in `data`, which is what follows the TargetName.

    Raises:
        ValueError: cut short, or keys that do not ascend.
    """
    at, last = 0, -1
    while at < len(data):
        key, length = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        at += 4
        if key <= last or at > len(data) or at + length > len(data):
            raise ValueError("parameters cut short or out of order")
        yield key, data[at : at + length]
        at, last = at + length, key


def hints(data: bytes) -> list[bytes]:
    """The addresses (4 or 16 octets each) that the parameters in `data` hint at.

    Raises:
        ValueError: as `params`, or a hint that is no list of addresses.
    """
    found = []
    for key, value in params(data):
        if width := _WIDTH.get(key):
            if len(value) % width or not value:
                raise ValueError("hints that are no addresses")
            found += [value[at : at + width] for at in range(0, len(value), width)]
    return found


def without_ech(data: bytes) -> bytes:
    """The parameters in `data` without the keys of an encrypted hello, also where they are called mandatory.

    Raises:
        ValueError: as `params`.
    """
    kept = []
    for key, value in params(data):
        if key == MANDATORY:
            keys = [value[at : at + 2] for at in range(0, len(value), 2)]
            value = b"".join(one for one in keys if one != ECH.to_bytes(2, "big"))
        if key != ECH and (value or key != MANDATORY):
            kept.append(key.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value)
    return b"".join(kept)
