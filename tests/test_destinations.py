"""Where the server may go: by the text of a URL, by the addresses of its host, and to nowhere else."""

from __future__ import annotations

import ipaddress
import socket
import ssl

import pytest

from oauth_gateway.fetch import Fetcher, refuse_reason

from .peers import LOOPBACK, Names, Peer, answer, authority, make, why

PUBLIC = "93.184.215.14"
LITERALS = """127.0.0.1 [::1] 0.0.0.0 [::] 169.254.169.254 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1
[fc00::1] [fd00:ec2::254] [fe80::1] [fec0::1] [::ffff:127.0.0.1] [::ffff:10.0.0.1] [64:ff9b::7f00:1] [64:ff9b::10.0.0.1]
[64:ff9b:1::1] [2002:7f00:1::1] [2001:0:4136:e378:8000:63bf:3fff:fdd2] [::127.0.0.1] [ff02::1] [2001:db8::1] [3fff::1] [100::1]
224.0.0.1 240.0.0.1 255.255.255.255 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 168.63.129.16 192.88.99.1
100.100.100.200""".split()
SPELLINGS = """2130706433 0x7f.1 0x7f000001 017700000001 127.1 0177.0.0.1 127.0.0.01 127.0.0.1. localhost localhost. a.localhost
a.localhost. keys.example. [fe80::1%25eth0] [fe80::1%eth0] KEYS.example keys_.example -a.example a..example *.example
keys.example%2e [127.0.0.1] [keys.example] ::1 1.2.3 1.2.3.4.5 example.0x1""".split()


class Connects:
    """Every connection that is tried, by address; `elsewhere` moves a public one to a peer."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.elsewhere: dict[str, str] = {}


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> Connects:
    seen, real = Connects(), socket.socket.connect

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        seen.made.append(address[0])
        if address[0] in seen.elsewhere:
            address = (seen.elsewhere[address[0]], address[1])
        elif address[0] not in ("127.0.0.1", "127.0.0.2"):
            raise OSError("no network in tests")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return seen


@pytest.mark.parametrize("host", LITERALS + SPELLINGS)
def test_a_host_that_is_not_public_or_oddly_spelt_is_refused_before_anything_is_asked(host: str, connects: Connects) -> None:
    """A084"""
    names = Names()
    for url in (f"https://{host}/", f"https://{host}:8443/keys?a=b", f"http://{host}/"):
        assert refuse_reason(url), url
        assert "is not followed" in why(make(names, allowed=()).get, url)
        assert "is not followed" in why(make(names, allowed=()).post, url, {})
    assert not names.asked and not connects.made


@pytest.mark.parametrize("address", [text for text in LITERALS])
def test_a_name_with_such_an_address_is_refused_before_connecting(address: str, connects: Connects) -> None:
    """A084, A085: it does not matter how the resolver came to the address (a CNAME, a short TTL)"""
    for row in ([address.strip("[]")], [PUBLIC, address.strip("[]")], [address.strip("[]"), PUBLIC]):
        got = make(Names(keys_example=[row]), deadline=0.1, allowed=())
        assert "which is neither public nor" in why(got.get, "https://keys.example/")
    assert not connects.made


@pytest.mark.parametrize(
    "scheme", "unix: file: gopher: ftp: unix:// file:// gopher:// ftp:// data: HTTPS:// https: https:/ //".split()
)
def test_other_schemes_are_refused(scheme: str) -> None:
    """A086"""
    assert refuse_reason(f"{scheme}keys.example/") and "is not followed" in why(make().get, f"{scheme}keys.example/")


@pytest.mark.parametrize(
    "rest",
    "a@keys.example a:b@keys.example @keys.example keys.example:0 keys.example:65536 keys.example:-1 keys.example: "
    "keys.example:a keys.example:443:443 keys.example/#a keys.example# keys.example\\@a keys.example/\x00 "
    "keys.example/\r\nX:a keys.example/é keys.example/\ta".split(" ")
    + ["", "/", "keys.example/a b", "keys.example/\n", "keys.example/" + "a" * 2048]
    + ["a" * 64 + ".example"],
)
def test_users_fragments_odd_ports_and_illegal_characters_are_refused(rest: str) -> None:
    """A086"""
    assert refuse_reason(f"https://{rest}") and "is not followed" in why(make().get, f"https://{rest}")


def test_public_urls_may_be_registered_and_private_ones_where_they_are_allowed() -> None:
    for url in (
        "https://keys.example",
        "https://keys.example:8443/a?b=c&d",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]:1/",
    ):
        assert refuse_reason(url) is None, url
    assert refuse_reason("https://[::ffff:8.8.8.8]/") is None and refuse_reason("https://[64:ff9b::8.8.8.8]/") is None
    for url in ("https://10.1.2.3/", "https://[::ffff:10.1.2.3]/"):
        assert refuse_reason(url) and refuse_reason(url, allowed=[ipaddress.ip_network("10.0.0.0/8")]) is None
    for host in ("127.0.0.1", "localhost", "[::1]"):
        for scheme in ("http", "https"):
            assert refuse_reason(f"{scheme}://{host}:1/") and refuse_reason(f"{scheme}://{host}:1/", allowed=LOOPBACK) is None
    for url in (
        "http://keys.example/",
        "http://127.0.0.2/",
        "http://10.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "https://127.1/",
    ):
        assert refuse_reason(url, allowed=[*LOOPBACK, ipaddress.ip_network("10.0.0.0/8")]), url


def test_http_reaches_this_machine_where_that_is_allowed(connects: Connects) -> None:
    """A086: and localhost is known without asking"""
    names = Names()
    with Peer(answer('{"a": 1}'), tls=False) as peer:
        for host in ("127.0.0.1", "localhost"):
            only4 = make(names, allowed=LOOPBACK[:1])
            assert only4.get(peer.url("/x", host)).body == b'{"a": 1}'
            assert "is not followed" in why(make(names, allowed=()).get, peer.url("/x", host))
    assert connects.made == ["127.0.0.1"] * 2 and not names.asked


def test_the_connection_goes_to_the_address_that_was_checked_and_a_rebound_name_is_refused(connects: Connects) -> None:
    """A085"""
    names = Names(keys_example=[[PUBLIC], ["127.0.0.1"]])
    connects.elsewhere[PUBLIC] = "127.0.0.1"
    with Peer(answer()) as peer:
        got = make(names, allowed=())
        assert got.get(peer.url()).body == b"{}"
        assert names.asked == ["keys.example"] and connects.made == [PUBLIC]
        assert "has the address 127.0.0.1" in why(got.get, peer.url())
    assert connects.made == [PUBLIC] and len(peer.requests) == 1


def test_a_name_with_ipv6_addresses_only(connects: Connects) -> None:
    """A085"""
    for address in ("2606:4700::1111", "64:ff9b::808:808"):
        assert "no network" in why(make(Names(keys_example=[[address]]), 0.2).get, "https://keys.example/")
    assert connects.made == ["2606:4700::1111", "64:ff9b::808:808"]
    assert "has the address fd00::1" in why(make(Names(keys_example=[["fd00::1"]]), 0.2).get, "https://keys.example/")
    assert "has no address" in why(make(Names(keys_example=[[]]), 0.2).get, "https://keys.example/")
    assert len(connects.made) == 2


def test_addresses_are_tried_in_turn_but_not_without_end(connects: Connects) -> None:
    with Peer(answer()) as peer:
        assert make(Names(keys_example=[["127.0.0.2", "127.0.0.1"]])).get(peer.url()).body == b"{}"
        assert connects.made == ["127.0.0.2", "127.0.0.1"]
        many = [f"93.184.215.{number}" for number in range(1, 200)]
        why(make(Names(keys_example=[many]), 0.2).get, peer.url())
    assert connects.made[2:] == many[:4]


def test_the_certificate_must_be_for_the_host_and_from_a_known_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(keys_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
    with Peer(answer()) as peer:
        assert "SSLCertVerificationError" in why(make(names).get, peer.url("/", "other.example"))
        assert "SSLCertVerificationError" in why(make(names, tls=ssl.create_default_context()).get, peer.url())
        assert not peer.requests
        assert make(names).get(peer.url("/", "127.0.0.1")).body == b"{}", "an address in the certificate will do"
        monkeypatch.setenv("SSL_CERT_FILE", str(authority().file))
        assert Fetcher(LOOPBACK, resolve=names).get(peer.url()).body == b"{}"


@pytest.mark.parametrize("status", [201, 204, 206, 301, 302, 303, 307, 308, 304, 400, 401, 404, 500, 503])
def test_only_200_is_an_answer_and_redirects_are_never_followed(status: int) -> None:
    """A086"""
    with Peer(b"") as elsewhere, Peer(b"") as peer:
        peer.talk = answer("", f"{status} X", Location=elsewhere.url(), Refresh=f"0; url={elsewhere.url()}")
        got = make(deadline=1.0)
        assert f"status is {status}" in why(got.get, peer.url())
        assert got.post(peer.url(), {"logout_token": "a"}) == status
        assert len(peer.requests) == 2 and not elsewhere.connections


def test_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the environment sees it either"""
    with Peer(answer()) as peer, Peer(answer(), tls=False) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url("", "127.0.0.1"))
        got = make()
        assert got.get(peer.url("?a=%20b")) == (peer.url("?a=%20b"), "application/json", b"{}")
        assert got.post(peer.url("/out"), {"logout_token": "a+b c"}) == 200
        get, post = (request.decode() for request in peer.requests)
        assert get.startswith("GET /?a=%20b HTTP/1.1\r\n") and post.startswith("POST /out HTTP/1.1\r\n")
        for sent in (get, post):
            for line in (f"Host: keys.example:{peer.port}", "Accept-Encoding: identity", "User-Agent: oauth_gateway"):
                assert sent.count(f"\r\n{line}\r\n") == 1
        assert "\r\nAccept: application/json, " in get
        assert "\r\nContent-Type: application/x-www-form-urlencoded\r\n" in post and post.endswith(
            "\r\n\r\nlogout_token=a%2Bb+c"
        )
    assert not proxy.connections
