"""Where the server may go: https to public addresses, and to the private networks that the operator allows.

A URL is judged twice: as text, at registration and again before every transfer, and by the addresses that its host has at that
moment, every one of which must be allowed. The connection then goes to an address that was judged; the name is not asked again.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[..., Iterable[tuple[Any, ...]]]  # called like socket.getaddrinfo

_PORTS = {"https": 443, "http": 80}
_LEGAL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+\Z")
_AUTHORITY = re.compile(r"([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?\Z")
_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")  # as the last label it makes getaddrinfo read an address
_LOOPBACK = {
    "localhost": (ip_address("127.0.0.1"), ip_address("::1")),
    "127.0.0.1": (ip_address("127.0.0.1"),),
    "::1": (ip_address("::1"),),
}
_UNICAST6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# what `is_global` calls global in some version of Python, or what is public by its number only
_NEVER = tuple(
    ip_network(text)
    for text in (
        "100.64.0.0/10",  # carriers' NAT, and some clouds' metadata
        "168.63.129.16/32",  # Azure's own services, seen from every machine there
        "192.0.0.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # Teredo, which holds an IPv4 address, and other protocols' own
        "2001:db8::/32",
        "2002::/16",  # 6to4, which holds an IPv4 address
        "3fff::/20",
    )
)


class Refused(Exception):
    """Why a URL, an address or an answer will not do: one sentence of ours, without anything that the other side sent."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL that may be followed as far as its text tells; `fixed` are the addresses of a host that needs no asking."""

    scheme: str
    host: str
    port: int
    authority: str
    target: str
    fixed: tuple[Address, ...]

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"

    def addresses(self, resolve: Resolver, allowed: Sequence[Network]) -> tuple[Address, ...]:
        """The host's addresses, asked for once; one that may not be reached refuses them all, whatever its company."""
        if self.fixed:
            return self.fixed
        answer = resolve(self.host, self.port, type=socket.SOCK_STREAM)
        found = tuple(dict.fromkeys(ip_address(entry[4][0]) for entry in answer))
        if not found:
            raise Refused("its host has no address")
        for address in found:
            if not may_reach(address, allowed):
                raise Refused(
                    f"its host has the address {address}, which is neither public nor in a private network that is allowed"
                )
        return found


def refuse_reason(url: str, *, allowed: Sequence[Network] = ()) -> str | None:
    """Why `url` will never be followed, whatever its host's addresses, or None where it may be."""
    try:
        destination(url, allowed)
    except Refused as refused:
        return str(refused)
    return None


def destination(url: str, allowed: Sequence[Network]) -> Destination:
    """The parts of `url`; raises Refused where it will never be followed."""
    if len(url) > 2048 or not _LEGAL.match(url):
        raise Refused("it holds a character that must not stand in a URI, or is longer than 2048")
    if "#" in url:
        raise Refused("it has a fragment")
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _PORTS:
        raise Refused("its scheme must be https, in lower case and followed by //")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise Refused("it has a user name")
    found = _AUTHORITY.match(authority)
    port = int(found[2] or _PORTS[scheme]) if found else 0
    if not found or not 0 < port < 65536:
        raise Refused("its host must be a lower-case name or an address, and its port a number from 1 to 65535")
    host = found[1].strip("[]")
    fixed = _fixed(host, allowed, bracketed=host != found[1])
    if scheme == "http" and host not in _LOOPBACK:
        raise Refused("http is followed to 127.0.0.1, [::1] and localhost only; use https")
    target = rest[len(authority) :]
    return Destination(scheme, host, port, authority, target if target.startswith("/") else f"/{target}", fixed)


def may_reach(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether `address` is public or in one of the `allowed` networks."""
    meant = _meant(address)
    return _is_public(meant) or any(meant in network for network in allowed)


def _fixed(host: str, allowed: Sequence[Network], *, bracketed: bool) -> tuple[Address, ...]:
    """The addresses that the host says itself, or none where it is a name; raises Refused where it will never do."""
    try:
        address = IPv6Address(host) if bracketed else IPv4Address(host)
    except ValueError:
        if bracketed:
            raise Refused("its host is not an address") from None
    else:
        if not may_reach(address, allowed):
            raise Refused("its address is neither public nor in a private network that is allowed")
        return (address,)
    if host == "localhost":  # no resolver is asked: RFC 6761 says what it is
        if addresses := tuple(a for a in _LOOPBACK[host] if may_reach(a, allowed)):
            return addresses
        raise Refused("its address is neither public nor in a private network that is allowed")
    if len(host) > 253 or not _NAME.match(host) or host.endswith(".localhost"):
        raise Refused("its host must be a lower-case name without a dot at its end, and not below localhost")
    if _NUMBER.match(host.rpartition(".")[2]):
        raise Refused("its host is an address that is not written as four decimal numbers")
    return ()


def _meant(address: Address) -> Address:
    """What is reached by `address`: an IPv4 address where an IPv6 one only carries it (mapped, or through a NAT64)."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _UNICAST6:
        return False
    return address.is_global and not any(address in network for network in _NEVER)
