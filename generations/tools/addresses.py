"""Which addresses on the network strangers may make us call."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

import httpx2

from .contract import ToolError

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_IPV4_BITS = 0xFFFFFFFF


def is_public(address: str) -> bool:
    """Tell whether an IP address belongs to the public internet, also when IPv6 only wraps an IPv4 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = _translated_ipv4(parsed)
        if inner is not None:
            return is_public(str(inner))
        tunnelled = parsed.sixtofour or (parsed.teredo and parsed.teredo[1])
        if tunnelled and not is_public(str(tunnelled)):
            return False
    return parsed.is_global and not (parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified)


def _translated_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that is meant: mapped by this machine, or by the network's gateway (NAT64)."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & _IPV4_BITS)
    return address.ipv4_mapped


async def resolve(host: str, port: int, *, timeout_seconds: float) -> list[str]:
    """Return the IP addresses of a host name. Raises `httpx2.ConnectError` or `ConnectTimeout`."""
    try:
        async with asyncio.timeout(timeout_seconds):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise httpx2.ConnectTimeout(f"The name server did not answer for {host}.") from error
    except (OSError, UnicodeError) as error:
        raise httpx2.ConnectError(f"{host} has no address: {error}") from error
    return _addresses(found)


def _addresses(found: Iterable[tuple[object, object, object, object, tuple[object, ...]]]) -> list[str]:
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def require_public(host: str, addresses: Iterable[str]) -> None:
    """Refuse a host of which any address is not public.

    Raises:
        ToolError: permanent, `address_forbidden`.
    """
    for address in addresses:
        if not is_public(address):
            shown = host if host == address else f"{host} ({address})"
            raise ToolError(
                f"{shown} is not on the public internet. The tool's `allow_private_addresses` would allow it.",
                code="address_forbidden",
                permanent=True,
            )
