"""Which addresses may be reached, decided on the address that is connected to and never on a name.

Three classes. `public`: global unicast. `private`: an organisation's own
networks and this machine, for hosts that a trusted manifest names. `never`:
cloud metadata, link-local, multicast, reserved and translated ranges, for
nobody. `ipaddress.is_global` is not the test: it calls Azure's metadata
address, 6to4 and multicast global, and differs by Python's patch version.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from aigate.collect.origin import Origin
from aigate.errors import AigateError, UsageError

Reach = Literal["public", "private", "never"]
Network = IPv4Network | IPv6Network

_NEVER_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # "this host": the kernel connects it to loopback
        "169.254.0.0/16",  # link-local: metadata of AWS, Google, Azure, Oracle, DigitalOcean, OpenStack, ECS, EKS
        "168.63.129.16/32",  # Azure's wire server
        "100.100.100.200/32",  # Alibaba Cloud metadata
        "192.0.0.0/24",  # IETF protocol assignments; Oracle's older metadata address
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved and broadcast
    )
)
_PRIVATE_4 = tuple(
    IPv4Network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; some clouds' and VPNs' inner network
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks; some VPNs' inner network
    )
)
_NEVER_6 = tuple(
    IPv6Network(text)
    for text in (
        "64:ff9b:1::/48",  # local-use NAT64: what it translates to is unknowable
        "2001::/23",  # IETF protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "fd00:42::42/128",  # Scaleway metadata
        "fd00:c1::a9fe:a9fe/128",  # Oracle Cloud metadata
        "fd00:ec2::/32",  # AWS: metadata, DNS, time, EKS pod identity
        "fd20:ce::254/128",  # Google Cloud metadata
    )
)
_PRIVATE_6 = tuple(IPv6Network(text) for text in ("::1/128", "fc00::/7", "fec0::/10"))
_GLOBAL_6 = IPv6Network("2000::/3")
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")


def reach(address: str) -> Reach:
    """Return the class of a literal address; raise ValueError where it is not one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return _reach_4(ip) if isinstance(ip, IPv4Address) else _reach_6(ip)


def _reach_4(ip: IPv4Address) -> Reach:
    if any(ip in network for network in _NEVER_4):
        return "never"
    return "private" if any(ip in network for network in _PRIVATE_4) else "public"


def _reach_6(ip: IPv6Address) -> Reach:
    if ip in _MAPPED:
        return _reach_4(IPv4Address(int(ip) & 0xFFFF_FFFF))
    if ip in _NAT64:
        # A translator may lead to public IPv4 and nowhere else (RFC 6052, section 3.1).
        return "public" if _reach_4(IPv4Address(int(ip) & 0xFFFF_FFFF)) == "public" else "never"
    if any(ip in network for network in _NEVER_6):
        return "never"
    if any(ip in network for network in _PRIVATE_6):
        return "private"
    return "public" if ip in _GLOBAL_6 else "never"


class BlockedAddressError(AigateError):
    """A host resolves to an address that this run may not reach."""

    exit_code = 3


@dataclass(frozen=True)
class OperatorNetworks:
    """What the operator lets a run reach at most: public addresses, named networks, or both."""

    public: bool
    networks: tuple[Network, ...] = ()

    def admits(self, address: str) -> bool:
        """Whether an address lies within."""
        ip = ipaddress.ip_address(address.partition("%")[0])
        if self.public and reach(address) == "public":
            return True
        return any(ip in network for network in self.networks)


def parse_networks(value: str | None) -> OperatorNetworks | None:
    """Read the value of `AIGATE_NETWORK`: `public`, networks such as `10.20.0.0/16`, or a comma list of both.

    None (unset) narrows nothing. Raises UsageError for anything else, the
    empty value included: a variable that was meant to narrow must not widen
    by being misspelt.
    """
    if value is None:
        return None
    public, networks = False, []
    for item in value.split(","):
        word = item.strip()
        if word == "public":
            public = True
            continue
        try:
            networks.append(ipaddress.ip_network(word))
        except ValueError as e:
            raise UsageError(
                f"AIGATE_NETWORK: {word[:60]!r} is neither `public` nor a network",
                fix="write `public`, or networks such as 10.20.0.0/16,fd12:3456::/32, or both with commas",
            ) from e
    return OperatorNetworks(public, tuple(networks))


@dataclass(frozen=True)
class NetworkRule:
    """Which hosts may be private, and what the operator permits at all. Build it with `build`."""

    private_hosts: frozenset[str] = frozenset()
    operator: OperatorNetworks | None = None

    @classmethod
    def build(
        cls,
        urls: Iterable[str] = (),
        *,
        tracking_uri: str | None = None,
        operator: OperatorNetworks | None = None,
        trusted: bool,
    ) -> "NetworkRule":
        """Make the rule of a run.

        `urls` are the addresses that the manifest spells out and
        `tracking_uri` is MLflow's: their hosts may be private. With
        `trusted=False` (the manifest comes from a pull request's head) no
        host may be. An address that is no plain http(s) URL names no host.
        """
        named = [*urls, *([tracking_uri] if tracking_uri else [])] if trusted else []
        return cls(frozenset(filter(None, map(_host, named))), operator)

    def after_redirect(self) -> "NetworkRule":
        """Return the rule for where a redirect leads: no private address."""
        return NetworkRule(frozenset(), self.operator)

    def check(self, host: str, address: str) -> None:
        """Raise BlockedAddressError where `host`, resolved to `address`, may not be reached."""
        kind = reach(address)
        if kind == "never":
            raise BlockedAddressError(
                f"{host} is at {address}, a metadata, link-local or reserved address, which is never reached",
                fix="use the address of the service itself",
            )
        if kind == "private" and host not in self.private_hosts:
            raise BlockedAddressError(
                f"{host} is at the private address {address}, which this run may not reach",
                fix="name the host in the manifest of the protected branch, without a redirect on the way",
            )
        if self.operator is not None and not self.operator.admits(address):
            raise BlockedAddressError(
                f"{host} is at {address}, outside of the networks that AIGATE_NETWORK permits",
                fix="ask the operator to add the network to AIGATE_NETWORK",
            )


def _host(url: str) -> str | None:
    try:
        return Origin.of(url).host
    except AigateError:
        return None
