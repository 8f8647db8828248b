"""Login sessions, the cookie that carries them, and the tokens that forms carry.

Nothing is stored before login: until then the cookie holds a random value that only keys the form's token, and login
replaces it. The store knows a digest of the cookie's value.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from dataclasses import replace

from .errors import OAuthError, StoreUnavailable
from .models import Session, User, digest, public_id
from .near import Near
from .sealing import Sealer, new_number
from .sentences import Sentence
from .settings import Settings
from .store import Ended, Store

PASSWORD_ACR = "0"  # OpenID Connect Core section 2: no claim to a level of ISO/IEC 29115
PAGE = 100  # sessions that are read at once
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}\Z")


class Sessions:
    """Sessions of people at one gateway."""

    def __init__(self, settings: Settings, store: Store, sealer: Sealer) -> None:
        self._settings = settings
        self._store = store
        self._sealer = sealer
        self._people: Near[User] = Near(store)

    def find(self, cookie: str | None, now: float) -> tuple[Session, User] | None:
        """The living session behind the cookie's value and its person; that it was seen is noted now and then."""
        if cookie is None:
            return None
        session = self._store.session(digest(cookie), now)
        if session is None:
            return None
        user_id = session.user_id
        user = self._people.get(user_id, lambda: self._store.user(user_id))
        if user is None or user.disabled is not None:
            return None
        if now >= session.noted_next:
            with suppress(StoreUnavailable):  # what cannot be written can still be read
                self._store.see_sessions([(session.digest, now)])
        return session, user

    def start(self, user: User, previous: str | None, now: float, device: str = "") -> tuple[str, Ended | None]:
        """A session under a new value, at a `device` as `device_of` names it. Who signs in again goes on in the same session;
        another person's ends, and is returned too.
        """
        value = secrets.token_urlsafe(32)
        ended: Ended | None = None
        before = None if previous is None else self._store.session(digest(previous), now)
        if before is not None and before.user_id != user.user_id:
            ended = self._store.end_session(now, digest=before.digest)
            before = None
        lifetime, sid = self._settings.session_lifetime, public_id(new_number()) + secrets.token_hex(8)
        session = Session(digest(value), sid, user.user_id, now, now, now + lifetime, ("pwd",), PASSWORD_ACR, device)
        same = replace(session, sid=before.sid, created=before.created) if before else None
        if before is None or same is None or not self._store.add_session(same, before.digest):  # or ended a moment ago
            self._store.add_session(session)
        current = self._store.user(user.user_id)
        if current is None or current.password != user.password or current.disabled is not None:
            # changed while this login was verified; a change after this look ends the session itself
            self._store.end_session(now, digest=session.digest)
            raise OAuthError("access_denied", Sentence("The account was changed meanwhile. Please sign in again."), 403)
        return value, ended

    def renew(self, session: Session, cookie: str, now: float) -> str | None:
        """The session of this cookie goes on under a new value, which is returned, as its person has just proved who they are;
        None where it has ended. Of two who renew it at once both get the same value.
        """
        value = self._successor(cookie)
        if session.digest != digest(value):
            renewed = replace(session, digest=digest(value), auth_time=now, seen=now)
            if not self._store.add_session(renewed, session.digest) and self._store.session(digest(value), now) is None:
                return None
        return value

    def find_renewed(self, cookie: str | None, now: float) -> tuple[Session, User] | None:
        """The living session that the cookie's was renewed to. Who has the old cookie only is nobody: they must prove more."""
        return self.find(self._successor(cookie), now) if cookie is not None else None

    def _successor(self, cookie: str) -> str:
        """What follows a cookie's value: only we can tell, and tell it again to a browser that did not wait for our answer."""
        return self._sealer.mac("renewed session", cookie)

    def end(self, cookie: str, now: float) -> Ended | None:
        """End the session behind the cookie's value; None where there was none."""
        return self._store.end_session(now, digest=digest(cookie))

    def of(self, user: User, now: float) -> list[Session]:
        """The person's living sessions, at all browsers."""
        found: list[Session] = []
        while len(found) % PAGE == 0 and (page := self._store.sessions(user.user_id, found[-1].sid if found else "", PAGE)):
            found.extend(page)
        return [session for session in found if session.expires > now]

    def end_named(self, user: User, sid: str, now: float) -> bool:
        """End one of the person's own sessions."""
        return self._store.end_session(now, sid=sid, user_id=user.user_id) is not None

    def end_all(self, user: User, now: float, keeping: str | None = None) -> list[Ended]:
        """End all sessions of the person at once, or all but the one named `keeping`; those that were still living."""
        return [each for each in self._store.end_sessions_of(user.user_id, now, keeping) if each.session.expires > now]

    def form_token(self, cookie: str, purpose: str) -> str:
        """What a form of `purpose` carries: only pages shown to this cookie's browser know it."""
        return self._sealer.mac("form", f"{purpose}\n{cookie}")

    def form_is_ours(self, cookie: str | None, purpose: str, token: str) -> bool:
        return cookie is not None and self._sealer.verify("form", f"{purpose}\n{cookie}", token)


def read_cookie(header: str, name: str) -> str | None:
    """The value of our cookie, where it is well-formed and came once."""
    found = [part.partition("=")[2].strip() for part in header.split(";") if part.partition("=")[0].strip() == name]
    return found[0] if len(found) == 1 and _VALUE.match(found[0]) else None


def set_cookie(name: str, value: str, *, secure: bool, lifetime: int | None) -> tuple[str, str]:
    """The Set-Cookie header; `lifetime` None for the browser's session, 0 to delete."""
    parts = [f"{name}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if secure:
        parts.append("Secure")
    if lifetime is not None:
        parts.append(f"Max-Age={lifetime}")
    return "Set-Cookie", "; ".join(parts)


def new_value() -> str:
    return secrets.token_urlsafe(32)
