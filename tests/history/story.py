"""Ledgers made by hand: a story of requests at chosen seconds, for tests of the judge."""

from __future__ import annotations

import itertools
from typing import Any, Self

from .ledger import OK, REFUSED, UNKNOWN, History, of_entries

LASTS = 0.2  # seconds that a request takes unless said otherwise


class Story:
    """Requests in any order, each with its second; what they give is named by the teller."""

    def __init__(self, **setup: Any) -> None:
        self._entries: list[dict[str, Any]] = [{"event": "setup", "at": 0.0, "detail": {"hosts": 0, **setup}}]
        self._numbers = itertools.count()

    def history(self) -> History:
        return of_entries(self._entries)

    def event(self, name: str, at: float, **detail: Any) -> Self:
        self._entries.append({"event": name, "at": at, "detail": detail})
        return self

    def tell(
        self,
        at: float,
        kind: str,
        subject: str | None = None,
        outcome: str = OK,
        *,
        status: int | None = 0,
        lasts: float = LASTS,
        host: int = 0,
        gave: dict[str, str] | None = None,
        **detail: Any,
    ) -> Self:
        """One request; `status` 0 stands for the usual one of its outcome."""
        known = f"r{next(self._numbers)}"
        if status == 0:
            status = {OK: 200, REFUSED: 401 if kind == "call" else 400}.get(outcome)
        if outcome == REFUSED:
            detail = {"error": "invalid_grant", **detail}
        asked = {"id": known, "at": at, "kind": kind, "host": host, "subject": subject, "detail": {}}
        told = {"id": known, "at": at + lasts, "outcome": outcome, "status": status, "gave": gave or {}, "detail": detail}
        self._entries += [asked, told]
        return self

    # -- the usual requests

    def code(self, at: float, code: str, **more: Any) -> Self:
        return self.tell(at, "authorize", status=303, gave={"code": code}, **more)

    def redeemed(self, at: float, code: str, tokens: str, **more: Any) -> Self:
        """`tokens` X are the access token aX and the refresh token rX."""
        return self.tell(at, "redeem", code, gave=_pair(tokens), **more)

    def refreshed(self, at: float, token: str, tokens: str, **more: Any) -> Self:
        return self.tell(at, "refresh", token, gave=_pair(tokens), **more)

    def refused(self, at: float, kind: str, subject: str, **more: Any) -> Self:
        return self.tell(at, kind, subject, REFUSED, **more)

    def lost(self, at: float, kind: str, subject: str, why: str = "ConnectionResetError", **more: Any) -> Self:
        """A request whose answer never came."""
        return self.tell(at, kind, subject, UNKNOWN, why=why, **more)

    def called(self, at: float, token: str, **more: Any) -> Self:
        return self.tell(at, "call", token, **more)

    def revoked(self, at: float, token: str, **more: Any) -> Self:
        return self.tell(at, "revoke", token, **more)

    def asked(self, at: float, token: str, active: bool, **more: Any) -> Self:
        return self.tell(at, "introspect", token, active=active, **more)

    def machine(self, at: float, token: str, **more: Any) -> Self:
        return self.tell(at, "machine", gave={"access_token": token}, **more)

    def family(self) -> Self:
        """A code c at 1 s that bought aX and rX at 2 s."""
        return self.code(1, "c").redeemed(2, "c", "1")


def _pair(name: str) -> dict[str, str]:
    return {"access_token": f"a{name}", "refresh_token": f"r{name}"}
