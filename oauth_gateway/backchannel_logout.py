"""OpenID Connect Back-Channel Logout 1.0: a session's end is told to each of its relying parties, however often it takes.

The store leaves a job for each party in the transaction that ends the session, so a killed worker loses none; whoever signs
out waits for none of them.
"""

from __future__ import annotations

import logging
import secrets

from .fetch import FetchError
from .id_tokens import DEFAULT_ALGORITHM, signing_algorithm
from .jobs import JobFailed
from .models import Client, Job
from .server import AuthorizationServer

log = logging.getLogger("oauth_gateway")
JOB = "backchannel_logout"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
TOKEN_SECONDS = 120
_DONE = frozenset({200, 204})


class BackchannelLogout:
    """Delivers logout tokens."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    def deliver(self, job: Job, now: float) -> None:
        """Tell one relying party; raises JobFailed where it did not take it."""
        client = self._party(job)
        if client is None or self._server.settings.issuer is None:  # without which nobody could tell whose word it is
            return
        try:
            status = self._server.fetcher.post(
                client.metadata["backchannel_logout_uri"], {"logout_token": self.token(client, job, now)}
            )
        except FetchError as error:
            raise self._failed(client, job, str(error)) from None
        if status in _DONE:
            self._server.events.emit("logout.told", client_id=client.client_id)
        elif status == 400:  # it understood and could not; it will not another time (section 2.8)
            self._server.events.emit("logout.refused", client_id=client.client_id)
        else:
            raise self._failed(client, job, f"it answered {status}")

    def token(self, client: Client, job: Job, now: float) -> str:
        """The logout token (section 2.4), new for every attempt."""
        claims = {
            "iss": self._server.settings.issuer,
            "aud": client.client_id,
            "sub": job.payload["subject"],
            "sid": self._server.claims.session(job.payload["sid"], client),
            "iat": int(now),
            "exp": int(now) + TOKEN_SECONDS,
            "jti": secrets.token_urlsafe(16),
            "events": {EVENT: {}},
        }
        algorithm = signing_algorithm(client, "id_token_signed_response_alg") or DEFAULT_ALGORITHM
        return self._server.keys.sign(algorithm, "logout+jwt", claims, now)

    def gave_up(self, job: Job) -> None:
        client = self._party(job)
        if client is not None:
            self._server.events.emit("logout.undelivered", client_id=client.client_id)

    def _party(self, job: Job) -> Client | None:
        client = self._server.store.client_numbered(job.payload["client"])
        wants = client is not None and client.disabled is None and client.metadata.get("backchannel_logout_uri")
        return client if wants else None

    def _failed(self, client: Client, job: Job, why: str) -> JobFailed:
        log.warning("client %r could not be told of a logout (attempt %d): %s", client.client_id, job.attempts, why)
        return JobFailed(why)


def install(server: AuthorizationServer) -> None:
    logout = BackchannelLogout(server)
    server.jobs.handle(JOB, logout.deliver, logout.gave_up)
