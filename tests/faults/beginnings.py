"""The first start of a deployment on an empty database, up to its first request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from wsgiref.validate import validator

from oauth_gateway import OAuthGateway
from oauth_gateway import clock as source
from oauth_gateway.clients import Clients
from oauth_gateway.errors import ConfigurationError, StoreUnavailable

from ..conftest import SECRET, RecordingApp, basic, send
from .children import Tell, die, in_a_child
from .drivers import statements
from .invariants import check_in_another_thread
from .points import WORDS, Faults, FaultyStore, opened_through
from .scenes import MOST, Mode
from .steps import Unavailable, answered


class Beginning:
    """A process that starts, registers a client, hands out a token and lets a request through; `known` by others too."""

    def __init__(self, settings: Mapping[str, Any], known: dict[str, Any] | None = None) -> None:
        self.settings = settings
        self.known = known or {}
        self.gateway: OAuthGateway | None = None

    def go_on(self, tell: Tell = lambda message: None) -> None:
        """As far as it comes; raises Unavailable where it has to be tried again, from where it stopped."""
        try:
            if self.gateway is None:
                self.gateway = OAuthGateway(validator(RecordingApp()), **self.settings)
            if "client" not in self.known:
                self.known["client"] = self._client(self.gateway)
                tell(self.known)
        except (ConfigurationError, StoreUnavailable) as error:
            assert WORDS in str(error), f"refused for good: {error}"
            raise Unavailable(str(error)) from None
        if "token" not in self.known:
            headers = {"Authorization": basic(*self.known["client"])}
            answer = send(self.gateway, "POST", "/token", {"grant_type": "client_credentials"}, headers=headers)
            self.known["token"] = answered(answer).json["access_token"]
            tell(self.known)
        answered(self.call())

    def _client(self, gateway: OAuthGateway) -> tuple[str, str]:
        gateway.opening()  # one that started without its database has yet to look at it
        clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
        client, secret = clients.create(now=source.now(), client_name="Robot")
        return client.client_id, secret or ""

    def call(self) -> Any:
        return send(self.gateway, "GET", "/thing", headers={"Authorization": f"Bearer {self.known['token']}"})


def attempt(faults: Faults, begun: Beginning, n: int, mode: Mode) -> None:
    """Begin until the n-th point; `begun` knows afterwards how far it came."""
    if mode.kills:
        return _attempt_in_a_child(faults, begun, n, mode)
    strike = mode.strike if mode.acts is None else lambda _: _meanwhile(begun)
    faults.arm(n, strike, mode.places, lasting=mode.lasting)
    try:
        with statements(faults) if mode.statements else opened_through(lambda store: FaultyStore(store, faults)):
            begun.go_on()
    except Unavailable:
        assert mode.acts is None, "503, though the store answered"
    finally:
        faults.clear()


def _meanwhile(begun: Beginning) -> None:
    """Another process starts, and is through."""
    other = Beginning(begun.settings)
    other.go_on()
    begun.known["other"] = other


def _attempt_in_a_child(faults: Faults, begun: Beginning, n: int, mode: Mode) -> None:
    def work(tell: Tell) -> None:
        def strike(error: Exception) -> None:
            tell(faults.struck)
            die(error)

        faults.arm(n, strike, mode.places)
        with statements(faults) if mode.statements else opened_through(lambda store: FaultyStore(store, faults)):
            begun.go_on(tell)

    told, _ = in_a_child(work)
    faults.struck = next((message for message in told if isinstance(message, list)), [])
    for message in told:
        if isinstance(message, dict):
            begun.known = message


def check(begun: Beginning) -> None:
    """It is gone on with, and whoever starts now has the same secret and keys, and takes the token."""
    try:
        begun.go_on()
    except Unavailable as error:
        raise AssertionError(f"503 again, though the store is well: {error}") from None
    later = [Beginning(begun.settings, begun.known)]
    if "other" in begun.known:
        later.append(begun.known["other"])
    for each in later:
        each.go_on()
    gateways = [each.gateway for each in (begun, *later) if each.gateway is not None]
    assert len({gateway.server.sealer.fingerprints() for gateway in gateways}) == 1, "secrets differ"
    published = [[key["kid"] for key in gateway.server.keys.public(source.now())] for gateway in gateways]
    assert published[1:] == published[:-1], f"key sets differ: {published}"
    assert len(published[0]) == 4, f"more than one first key of an algorithm: {published[0]}"
    for gateway in gateways:
        gateway.store.close()


def loop(fresh: Callable[[], str], mode: Mode) -> list[str]:
    """Have a fault strike at every point of a beginning, one a database; where it struck."""
    struck: list[str] = []
    faults = Faults()
    for n in range(1, MOST):
        url = fresh()
        settings = {"issuer": "https://api.example.com", "database": url, "scopes": {"read": "Read"}}
        begun = Beginning(settings if url.startswith("sqlite") else {**settings, "secret": SECRET})
        try:
            attempt(faults, begun, n, mode)
            check_in_another_thread(lambda: check(begun))  # noqa: B023
        except AssertionError as error:
            raise AssertionError(f"{mode.name}, n = {n} ({faults.struck[:1]}): {error}") from error
        if not faults.struck:
            return struck
        struck += faults.struck[:1]
    raise AssertionError(f"no run was left untouched: {struck[-5:]}")
