"""Addresses that mean something only inside a home or a machine, and the clients that ask from them. Pure.

An answer from outside that leads there is how a web page reaches the router or this machine (DNS rebinding); a client
that does not ask from there is nobody of this home. RFC 1918, 3927, 4193, 4291, 6052, 6890.
"""

_MAPPED = bytes(10) + b"\xff\xff"
_NAT64 = b"\x00\x64\xff\x9b" + bytes(8)
_LOOPBACK6 = bytes(15) + b"\x01"

FIRST = frozenset((0, 10, 127, 169, 172, 192, 0xFC, 0xFD, 0xFE))
"""First octets of private addresses of either kind: any other address is public at a glance."""


def is_private(address: bytes) -> bool:
    """True for an address (4 or 16 octets) of this machine, this link or this home, also inside an IPv6 one."""
    return (_private4 if len(address) == 4 else _private6)(address)


def is_near(address: bytes) -> bool:
    """True for an address (4 or 16 octets) that a client of this home asks from; one that stands for none is not."""
    if len(address) == 16 and address[:12] == _MAPPED:
        address = address[12:]
    if not any(address) or address[:12] == _NAT64:
        return False
    return is_private(address) and (len(address) == 16 or address[0] != 0)


def _private4(address: bytes) -> bool:
    first, second = address[0], address[1]
    if first in (10, 127, 0):
        return True
    return (first == 172 and 16 <= second < 32) or (first, second) in ((192, 168), (169, 254))


def _private6(address: bytes) -> bool:
    head = address[:12]
    if head in (_MAPPED, _NAT64):
        return _private4(address[12:])
    if address[0] & 0xFE == 0xFC or (address[0] == 0xFE and address[1] >= 0x80):
        return True
    return not any(address) or address == _LOOPBACK6
