import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.collect.network import BlockedAddressError, NetworkRule, OperatorNetworks, parse_networks, reach
from aigate.collect.origin import Origin, RefusedUrlError, Url
from aigate.errors import UsageError

REACH = {
    "public v4": ("93.184.216.34", "public"),
    "public v6": ("2606:2800:220:1:248:1893:25c8:1946", "public"),
    "nat64 of a public address": ("64:ff9b::5db8:d822", "public"),
    "mapped public": ("::ffff:93.184.216.34", "public"),
    "loopback": ("127.0.0.1", "private"),
    "loopback, other": ("127.8.9.10", "private"),
    "loopback v6": ("::1", "private"),
    "ten": ("10.1.2.3", "private"),
    "172.16": ("172.31.255.255", "private"),
    "192.168": ("192.168.1.1", "private"),
    "carrier nat": ("100.64.0.1", "private"),
    "unique local": ("fd12:3456::1", "private"),
    "site local": ("fec0::1", "private"),
    "mapped loopback": ("::ffff:127.0.0.1", "private"),
    "unspecified": ("0.0.0.0", "never"),
    "this network": ("0.1.2.3", "never"),
    "unspecified v6": ("::", "never"),
    "v4-compatible loopback": ("::127.0.0.1", "never"),
    "metadata": ("169.254.169.254", "never"),
    "ecs credentials": ("169.254.170.2", "never"),
    "azure wire server": ("168.63.129.16", "never"),
    "alibaba": ("100.100.100.200", "never"),
    "oracle, older": ("192.0.0.192", "never"),
    "dummy address": ("192.0.0.8", "never"),
    "aws v6": ("fd00:ec2::254", "never"),
    "eks pod identity": ("fd00:ec2::23", "never"),
    "google v6": ("fd20:ce::254", "never"),
    "oracle v6": ("fd00:c1::a9fe:a9fe", "never"),
    "scaleway v6": ("fd00:42::42", "never"),
    "mapped metadata": ("::ffff:169.254.169.254", "never"),
    "mapped azure": ("::ffff:a83f:8110", "never"),
    "nat64 metadata": ("64:ff9b::a9fe:a9fe", "never"),
    "nat64 loopback": ("64:ff9b::7f00:1", "never"),
    "nat64 ten": ("64:ff9b::a00:1", "never"),
    "local nat64": ("64:ff9b:1::a9fe:a9fe", "never"),
    "6to4 metadata": ("2002:a9fe:a9fe::1", "never"),
    "6to4 public": ("2002:5db8:d822::1", "never"),
    "teredo": ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "never"),
    "link-local v6": ("fe80::1", "never"),
    "link-local v6 with zone": ("fe80::1%eth0", "never"),
    "multicast": ("224.0.0.1", "never"),
    "multicast v6": ("ff02::1", "never"),
    "broadcast": ("255.255.255.255", "never"),
    "documentation": ("203.0.113.9", "never"),
    "documentation v6": ("2001:db8::1", "never"),
    "documentation v6, new": ("3fff::1", "never"),
    "segment routing": ("5f00::1", "never"),
    "discard": ("100::1", "never"),
}


@pytest.mark.parametrize(("address", "expected"), REACH.values(), ids=REACH.keys())
def test_reach(address: str, expected: str) -> None:
    assert reach(address) == expected


@given(st.ip_addresses())
def test_what_python_calls_private_or_link_local_is_never_public(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    carries_ipv4 = any(ip in ipaddress.ip_network(net) for net in ("64:ff9b::/96", "::ffff:0:0/96"))
    if carries_ipv4:  # held to the IPv4 address within, by the next test
        return
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        assert reach(str(ip)) == "never"
    elif ip.is_private or ip.is_reserved:
        assert reach(str(ip)) != "public"


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_ipv6_clothes_is_reached_no_further(ip: ipaddress.IPv4Address) -> None:
    order = {"never": 0, "private": 1, "public": 2}
    bare = reach(str(ip))
    for prefix in ("::ffff:", "64:ff9b::", "64:ff9b:1::", "::"):
        clothed = str(ipaddress.IPv6Address(f"{prefix}{ip}"))
        if clothed != "::1":
            assert order[reach(clothed)] <= order[bare]
    packed = int(ip)
    six_to_four = ipaddress.IPv6Address((0x2002 << 112) | (packed << 80) | 1)
    teredo = ipaddress.IPv6Address((0x2001_0000 << 96) | (packed ^ 0xFFFF_FFFF))
    assert reach(str(six_to_four)) == reach(str(teredo)) == "never"


class TestRule:
    named = "https://freshness.corp/x"

    def rule(self, *, trusted: bool = True, operator: str | None = None) -> NetworkRule:
        return NetworkRule.build(
            [self.named],
            tracking_uri="http://mlflow:5000",
            operator=parse_networks(operator),
            trusted=trusted,
        )

    def blocked(self, rule: NetworkRule, host: str, address: str) -> bool:
        try:
            rule.check(host, address)
        except BlockedAddressError:
            return True
        return False

    def test_public_addresses_are_open_to_any_host(self) -> None:
        assert not self.blocked(self.rule(), "elsewhere.example", "93.184.216.34")

    @pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "::1", "fd12::1"])
    def test_private_addresses_only_for_hosts_named(self, address: str) -> None:
        assert not self.blocked(self.rule(), "freshness.corp", address)
        assert not self.blocked(self.rule(), "mlflow", address)
        assert self.blocked(self.rule(), "elsewhere.example", address)

    @pytest.mark.parametrize("host", ["freshness.corp", "mlflow"])
    def test_an_untrusted_manifest_gets_no_private_address(self, host: str) -> None:
        assert self.blocked(self.rule(trusted=False), host, "10.0.0.1")
        assert not self.blocked(self.rule(trusted=False), host, "93.184.216.34")

    @pytest.mark.parametrize(
        "address", ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "168.63.129.16"]
    )
    @pytest.mark.parametrize("operator", [None, "public", "0.0.0.0/0,::/0"])
    def test_metadata_is_reached_by_nobody(self, address: str, operator: str | None) -> None:
        assert self.blocked(self.rule(operator=operator), "freshness.corp", address)

    def test_nothing_private_after_a_redirect(self) -> None:
        after = self.rule().after_redirect()
        assert self.blocked(after, "freshness.corp", "10.0.0.1")
        assert not self.blocked(after, "freshness.corp", "93.184.216.34")

    @pytest.mark.parametrize(
        ("operator", "address", "expected"),
        [
            ("public", "93.184.216.34", False),
            ("public", "10.0.0.1", True),
            ("10.0.0.0/16", "10.0.0.1", False),
            ("10.0.0.0/16", "10.1.0.1", True),
            ("10.0.0.0/16", "93.184.216.34", True),
            ("public, 10.0.0.0/16", "93.184.216.34", False),
            ("public, 10.0.0.0/16", "10.0.0.9", False),
            ("fd12::/16", "fd12::1", False),
            ("fd12::/16", "10.0.0.1", True),
        ],
    )
    def test_the_operator_narrows(self, operator: str, address: str, expected: bool) -> None:
        assert self.blocked(self.rule(operator=operator), "freshness.corp", address) is expected

    def test_the_operator_never_widens(self) -> None:
        assert self.blocked(self.rule(operator="10.0.0.0/8"), "elsewhere.example", "10.0.0.1")

    def test_the_operator_narrows_after_a_redirect_too(self) -> None:
        assert self.blocked(self.rule(operator="10.0.0.0/8").after_redirect(), "x.example", "93.184.216.34")

    def test_other_tracking_uris_name_no_host(self) -> None:
        for uri in ("sqlite:///mlflow.db", "databricks", "", "http://user:pass@mlflow"):
            assert NetworkRule.build(tracking_uri=uri, trusted=True).private_hosts == frozenset()


def test_unset_networks_narrow_nothing() -> None:
    assert parse_networks(None) is None


@pytest.mark.parametrize("value", ["", " ", "privat", "10.0.0.1/8", "public,", "10.0.0.0/33", "*"])
def test_misspelt_networks_are_refused(value: str) -> None:
    with pytest.raises(UsageError, match="AIGATE_NETWORK"):
        parse_networks(value)


def test_networks_are_read() -> None:
    assert parse_networks("public , 10.0.0.0/8") == OperatorNetworks(
        True, (ipaddress.IPv4Network("10.0.0.0/8"),)
    )


REFUSED = {
    "file": "file:///etc/passwd",
    "ftp": "ftp://host/x",
    "no scheme": "//host/x",
    "relative": "/x",
    "no host": "http:///x",
    "empty": "",
    "userinfo": "http://user:secret@host/",
    "user only": "http://user@host/",
    "userinfo that looks like a host": "http://169.254.169.254@host/",
    "backslash": "http://good.example\\@evil.example/",
    "space": "http://host/a b",
    "newline": "http://host/a\nb",
    "tab in the host": "http://ho\tst/",
    "nul": "http://host/\x00",
    "not ascii": "http://höst/",
    "full-width digits": "http://１２７.0.0.1/",
    "decimal": "http://2130706433/",
    "hex": "http://0x7f000001/",
    "hex in part": "http://0x7f.0.0.1/",
    "octal": "http://0177.0.0.1/",
    "short": "http://127.1/",
    "zero": "http://0/",
    "trailing dot on a number": "http://127.1./",
    "port zero": "http://host:0/",
    "port beyond": "http://host:65536/",
    "port of letters": "http://host:http/",
    "no port": "http://host:/",
    "two colons": "http://host:80:80/",
    "brackets around a name": "http://[host]/",
    "zone": "http://[fe80::1%25eth0]/",
    "percent in the host": "http://ho%73t/",
    "dots alone": "http://./",
    "too long": "http://host/" + "a" * 9000,
}


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED.keys())
def test_refused_addresses_are_not_repeated(url: str) -> None:
    with pytest.raises(RefusedUrlError) as caught:
        Url.read(url)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "origin", "target", "shown"),
    [
        ("http://Host.Example", "http://host.example", "/", "http://host.example/"),
        ("HTTPS://host:443/a?b=c#d", "https://host", "/a?b=c", "https://host/a"),
        ("https://host.:8443/a", "https://host:8443", "/a", "https://host:8443/a"),
        ("http://[::1]:80/x?", "http://[::1]", "/x", "http://[::1]/x"),
        ("http://127.0.0.1:5000/a%20b/{c}", "http://127.0.0.1:5000", "/a%20b/%7Bc%7D", None),
        ("http://host?q=/@x", "http://host", "/?q=/@x", "http://host/"),
    ],
)
def test_plain_addresses_are_read(text: str, origin: str, target: str, shown: str | None) -> None:
    url = Url.read(text)
    assert str(url.origin) == origin
    assert url.target == target
    assert shown is None or url.shown == shown


def test_user_information_is_named_as_what_is_wrong() -> None:
    with pytest.raises(RefusedUrlError, match="user name or password"):
        Url.read("https://user:secret@host/")


def test_parameters_are_added_and_encoded() -> None:
    url = Url.read("http://host/q?a=1").with_params({"query": 'up{job="x"} + 1'})
    assert url.target == "/q?a=1&query=up%7Bjob%3D%22x%22%7D+%2B+1"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/b", "http://host:1/b"),
        ("c", "http://host:1/a/c"),
        ("//other/x", "http://other/x"),
        ("?x=1", "http://host:1/a/b"),
    ],
)
def test_redirects_are_joined(location: str, expected: str) -> None:
    assert Url.read("http://host:1/a/b?q=1").join(location).shown == expected


@pytest.mark.parametrize("location", ["javascript:1", "http://u:p@host/", "http://[::1", "ht\ntp://x"])
def test_unreadable_redirects_are_refused(location: str) -> None:
    with pytest.raises(RefusedUrlError):
        Url.read("http://host/a").join(location)


def test_origins_differ_by_scheme_host_and_port() -> None:
    urls = ["http://a", "https://a", "http://a:81", "http://b"]
    assert len({Origin.of(url) for url in urls}) == len(urls)
    assert Origin.of("http://a:80/x") == Origin.of("http://A./y")
