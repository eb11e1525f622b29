"""Origins, loopback, and which hosts a proxy stands before."""

import pytest

from fleetos.cloud.http.addresses import Origin, Proxies, is_loopback, parse_origin, proxies_from
from fleetos.errors import UsageError


@pytest.mark.parametrize(
    ("address", "origin", "text"),
    [
        ("https://ecs.eu-de.otc.t-systems.com/v1/$(tenant_id)s", ("https", "ecs.eu-de.otc.t-systems.com", None), None),
        ("https://Host.Invalid:8443/x?y#z", ("https", "host.invalid", 8443), "https://host.invalid:8443"),
        (" http://127.0.0.1:5000 ", ("http", "127.0.0.1", 5000), "http://127.0.0.1:5000"),
        ("http://localhost", ("http", "localhost", None), "http://localhost"),
        ("http://[::1]:80/", ("http", "::1", None), "http://[::1]"),
        ("http://[::1]:81/", ("http", "::1", 81), "http://[::1]:81"),
    ],
)
def test_only_scheme_host_and_port_are_taken(
    address: str, origin: tuple[str, str, int | None], text: str | None
) -> None:
    found = parse_origin(address, "x")
    assert found == Origin(*origin)
    assert text is None or str(found) == text


@pytest.mark.parametrize(
    "address",
    ["", "ecs.invalid", "ftp://ecs.invalid", "https://", "https://user:pw@ecs.invalid", "https://[::1", "https://h:x"],
)
def test_what_is_no_address_is_refused_without_being_shown(address: str) -> None:
    with pytest.raises(UsageError, match="the ecs endpoint is not") as caught:
        parse_origin(address, "the ecs endpoint")
    assert "pw" not in caught.value.message


def test_plain_http_leaves_the_machine_only_when_it_is_meant() -> None:
    with pytest.raises(UsageError, match="plain http to another machine"):
        parse_origin("http://ecs.invalid", "x")
    assert parse_origin("http://ecs.invalid", "x", insecure_http=True).host == "ecs.invalid"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST", "localhost."])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::2", "localhost.invalid", "127.0.0.1.invalid", ""])
def test_another_machine(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("direct", "host", "proxied"),
    [
        ("", "ecs.invalid", True),
        ("", "127.0.0.1", False),
        ("", "::1", False),
        ("*", "ecs.invalid", False),
        ("ecs.invalid", "ecs.invalid", False),
        ("invalid", "ecs.invalid", False),
        (".invalid", "ecs.invalid", False),
        ("*.invalid", "ecs.invalid", False),
        ("ECS.INVALID", "ecs.invalid", False),
        ("cs.invalid", "ecs.invalid", True),
        ("other.invalid, ecs.invalid:443", "ecs.invalid", False),
        ("10.0.0.0/8", "10.1.2.3", False),
        ("10.0.0.0/8", "11.1.2.3", True),
        ("10.1.2.3", "10.1.2.3", False),
        ("fd00::/8", "fd00::1", False),
        (" , ", "ecs.invalid", True),
    ],
)
def test_hosts_that_are_reached_without_the_proxy(direct: str, host: str, proxied: bool) -> None:
    found = proxies_from({"HTTPS_PROXY": "proxy.invalid:3128", "NO_PROXY": direct}).for_host(host)
    assert found == ("http://proxy.invalid:3128" if proxied else None)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxys_password_is_kept_apart(name: str) -> None:
    proxies = proxies_from({name: "http://al:p%40ss@proxy.invalid:3128/"})
    assert proxies.address == "http://proxy.invalid:3128/"
    assert proxies.headers() == {"Proxy-Authorization": "Basic YWw6cEBzcw=="}
    assert "p@ss" not in repr(proxies)
    assert "p%40ss" not in repr(proxies)


def test_without_a_proxy_everything_is_direct() -> None:
    assert proxies_from({"NO_PROXY": "x", "HTTPS_PROXY": ""}) == Proxies()
    assert Proxies().for_host("ecs.invalid") is None
    assert Proxies().headers() == {}


@pytest.mark.parametrize("address", ["socks5://p:1", "http://", "http://[::1", "ftp://p"])
def test_a_proxy_that_cannot_be_used_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="HTTPS_PROXY"):
        proxies_from({"HTTPS_PROXY": address})
