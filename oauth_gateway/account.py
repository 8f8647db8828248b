"""The pages on which a person sees what has access to their account and where they are signed in, ends either, and changes
the password.

A form names what it ends, and only what is the person's own ends: a name that is somebody else's, or nobody's, does nothing and
gets the same answer.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from . import clock
from .errors import OAuthError
from .exchange import Answer, Exchange
from .login import Login
from .logout import PATH as LOGOUT
from .models import Session, User, public_id
from .navigation import refuse_unless_navigation, refuse_unless_same_origin, see_other, wrong_form
from .params import Params
from .sealing import new_number
from .sentences import Moment, Said, Sentence
from .server import AuthorizationServer
from .sessions import set_cookie
from .store import Access
from .users import LEAST_PASSWORD, MOST_PASSWORD_BYTES, SOURCE, is_password

PATH = "/authorize/account"
PASSWORD = "/authorize/account/password"
REPEATED = 600  # seconds for which the same form, sent twice, is known to be the same
SHOWN = 15  # clients on a page, and sessions: the page stays below 30 KiB
DONE = {
    "access": Sentence("The application no longer has access to your account."),
    "session": Sentence("You are signed out there."),
    "others": Sentence("You are signed out everywhere else."),
    "password": Sentence("Your password is changed, and you are signed out everywhere else."),
}
WRONG = {  # by the field of the form
    "password": Sentence("The current password is not right."),
    "new_password": Sentence(
        "The new password must have at least %(least)s characters and at most %(most)s bytes.",
        least=LEAST_PASSWORD,
        most=MOST_PASSWORD_BYTES,
    ),
    "new_password_again": Sentence("The two new passwords are not the same."),
}


class Account:
    """The endpoints."""

    def __init__(self, server: AuthorizationServer, login: Login) -> None:
        self.server = server
        self.login = login

    def account(self, exchange: Exchange) -> Answer:
        """GET shows everything, POST ends what its form names."""
        refuse_unless_navigation(exchange)
        signed_in = self.login.signed_in(exchange)
        if signed_in is None:
            return see_other(exchange.url("/authorize/login"))
        if exchange.method != "POST":
            return self._page(exchange, *signed_in)
        form = _form(exchange)
        if not self.login.sessions.form_is_ours(self.login.cookie(exchange), "account", form.get("csrf", "")):
            raise wrong_form(exchange.url(PATH))
        return self._end(exchange, form, *signed_in)

    # -- what there is

    def _page(self, exchange: Exchange, session: Session, user: User) -> Answer:
        query, cookie, sessions = exchange.query(), self.login.cookie(exchange) or "", self.login.sessions
        after = _number(query.get("after", "")) or 0
        access = self.server.store.access(user.user_id, clock.now(), after, SHOWN + 1)
        done = query.get("done", "")
        is_told = sessions.form_is_ours(cookie, f"done {done}", query.get("proof", ""))
        return self.server.pages.render(
            exchange,
            "account",
            username=user.username,
            done=DONE.get(done, "") if is_told else "",
            action=exchange.url(LOGOUT),
            csrf=sessions.form_token(cookie, "logout"),
            account_action=exchange.url(PATH) + (f"?after={public_id(after)}" if after else ""),
            account_csrf=sessions.form_token(cookie, "account"),
            password_url=exchange.url(PASSWORD) if _has_password(session, user) else "",
            access=[self._access(each) for each in sorted(access[:SHOWN], key=lambda each: -each.used)],
            first_url=exchange.url(PATH) if after else "",
            next_url=f"{exchange.url(PATH)}?after={public_id(access[SHOWN - 1].client.number)}" if access[SHOWN:] else "",
            **self._sessions(exchange, session, user, query.get("from", "")),
        )

    def _sessions(self, exchange: Exchange, session: Session, user: User, start: str) -> dict[str, Any]:
        """This browser's first, then the others', the one that was seen last at the top; from that number on."""
        theirs = self.login.sessions.of(user, clock.now()) if session.sid else []
        theirs.sort(key=lambda each: (each.sid == session.sid, _seen(each), each.sid), reverse=True)
        first = int(start) if re.fullmatch("[0-9]{1,6}", start) else 0
        after = first + SHOWN
        return {
            "sessions": [_session(each, here=each.sid == session.sid) for each in theirs[first:after]],
            "is_elsewhere": len(theirs) > 1,
            "first_sessions_url": f"{exchange.url(PATH)}#sessions" if first else "",
            "next_sessions_url": f"{exchange.url(PATH)}?from={after}#sessions" if theirs[after:] else "",
        }

    def _access(self, access: Access) -> dict[str, Any]:
        return {
            "id": public_id(access.client.number),
            "client_name": access.client.name,
            "scopes": self.server.scopes.described(access.scope.split()),
            "since": Moment(access.since),
            "used": Moment(access.used),
        }

    # -- ending it

    def _end(self, exchange: Exchange, form: Params, session: Session, user: User) -> Answer:
        if "client" in form:
            self._revoke_access(exchange, user, _number(form["client"]) or 0)
            return self._back(exchange, "access", exchange.query().get("after", ""))
        if form.get("sessions") == "others":
            self.login.end_all(exchange, session, user, keeping=session.sid)
            return self._back(exchange, "others")
        sid = form.get("session", "")
        if not sid:
            return see_other(exchange.url(PATH))
        if sid == session.sid:
            return see_other(exchange.url(LOGOUT))
        if self.login.sessions.end_named(user, sid, clock.now()):
            self.server.events.emit("session.ended", user_id=user.user_id, address=exchange.address)
            self.server.jobs.hint()
        return self._back(exchange, "session")

    def _revoke_access(self, exchange: Exchange, user: User, number: int | None) -> None:
        """Take back what one client may do, or with None what any may."""
        client = self.server.store.client_numbered(number) if number is not None else None
        if number is not None and client is None:
            return
        if self.server.store.revoke_access(user.user_id, number, clock.now()):
            client_id = client.client_id if client else None
            self.server.events.emit("access.revoked", client_id=client_id, user_id=user.user_id, address=exchange.address)

    def _back(self, exchange: Exchange, done: str, after: str = "") -> Answer:
        return see_other(self._told(exchange, done, self.login.cookie(exchange) or "", after))

    def _told(self, exchange: Exchange, done: str, cookie: str, after: str = "") -> str:
        """The address of the page where it says what was done; only a link of ours makes it say so."""
        query = {"done": done, "proof": self.login.sessions.form_token(cookie, f"done {done}")}
        if _number(after):
            query["after"] = after
        return f"{exchange.url(PATH)}?{urlencode(query)}"

    # -- the password

    def password(self, exchange: Exchange) -> Answer:
        """GET shows the form, POST changes the password of a built-in account and ends its other sessions."""
        refuse_unless_navigation(exchange)
        signed_in = self.login.signed_in(exchange)
        if signed_in is None and exchange.method == "POST":  # after a double click the cookie may be that of before
            signed_in = self.login.sessions.find_renewed(self.login.cookie(exchange), clock.now())
        if signed_in is None:
            return see_other(exchange.url("/authorize/login"))
        if not _has_password(*signed_in):
            raise OAuthError("not_found", Sentence("This account has no password here."), 404)
        if exchange.method != "POST":
            return self._password_page(exchange, *signed_in)
        form = _form(exchange)
        number, _, token = form.get("csrf", "").partition(".")
        if not self.login.sessions.form_is_ours(signed_in[0].sid, f"password {number}", token):
            raise wrong_form(exchange.url(PATH))
        return self._change(exchange, form, number, *signed_in)

    def _password_page(self, exchange: Exchange, session: Session, user: User, refusal: OAuthError | None = None) -> Answer:
        query, cookie = exchange.query(), self.login.cookie(exchange) or ""
        wrong, number = query.get("wrong", ""), public_id(new_number())
        is_told = refusal is None and self.login.sessions.form_is_ours(cookie, f"wrong {wrong}", query.get("proof", ""))
        return self.server.pages.render(
            exchange,
            "password",
            refusal.status if refusal else 200,
            headers=refusal.headers if refusal else (),
            username=user.username,
            message=refusal.description if refusal else WRONG.get(wrong, "") if is_told else "",
            wrong=wrong if is_told else "",
            least=LEAST_PASSWORD,
            action=exchange.url(PASSWORD),
            # of the session and not of its cookie, which a change renews: the same form may come once more
            csrf=f"{number}.{self.login.sessions.form_token(session.sid, f'password {number}')}",
            account_url=exchange.url(PATH),
        )

    def _change(self, exchange: Exchange, form: Params, number: str, session: Session, user: User) -> Answer:
        new, now = form.get("new_password", ""), clock.now()
        if not is_password(new):
            return self._again(exchange, "new_password")
        if new != form.get("new_password_again", ""):
            return self._again(exchange, "new_password_again")
        users, store, current, done = self.server.users, self.server.store, form.get("password", ""), False
        refusal: OAuthError | None = None
        store.count("password form", number, REPEATED, now)
        try:
            done = users.change_password(user, current, new, exchange.address, now, keeping=session.sid)
        except OAuthError as error:
            refusal = error
        if not done and store.count("password form", number, REPEATED, now, 0).value > 1:  # a double click: it may be done
            with suppress(OAuthError):
                done = users.log_in(user.username, new, exchange.address, now) is not None
        if done:
            return self._changed(exchange, session, user, "apps" in form)
        if self.login.signed_in(exchange) is None:  # another one ended the session
            return see_other(exchange.url("/authorize/login"))
        return self._password_page(exchange, session, user, refusal) if refusal else self._again(exchange, "password")

    def _again(self, exchange: Exchange, wrong: str) -> Answer:
        """To the form once more, by a redirect: so that the back button finds a page to show."""
        proof = self.login.sessions.form_token(self.login.cookie(exchange) or "", f"wrong {wrong}")
        return see_other(f"{exchange.url(PASSWORD)}?{urlencode({'wrong': wrong, 'proof': proof})}")

    def _changed(self, exchange: Exchange, session: Session, user: User, apps: bool) -> Answer:
        """What follows a changed password: whoever had the old cookie of this session is out, too."""
        now = clock.now()
        if apps:
            self._revoke_access(exchange, user, None)
        self.server.jobs.hint()
        value = self.login.sessions.renew(session, self.login.cookie(exchange) or "", now)
        if value is None:
            return see_other(exchange.url("/authorize/login"))
        name, secure = exchange.cookie
        cookie = set_cookie(name, value, secure=secure, lifetime=max(1, int(session.expires - now)))
        return see_other(self._told(exchange, "password", value), cookie)


def _form(exchange: Exchange) -> Params:
    """The form, where it is from a page of ours."""
    refuse_unless_same_origin(exchange)
    form = exchange.form()
    form.refuse_repeated()
    return form


def _number(text: str) -> int | None:
    """What a public id stands for; None for anything else."""
    return int(text, 16) if re.fullmatch("[0-7][0-9a-f]{15}", text) else None


def _has_password(session: Session, user: User) -> bool:
    """Whether the person signed in with a password of ours."""
    return bool(session.sid) and user.source == SOURCE


def _seen(session: Session) -> float:
    return session.seen or session.auth_time or session.created


def _session(session: Session, *, here: bool) -> dict[str, Any]:
    browser, both, system = session.device.partition(" on ")
    device: Said | str = Sentence("%(browser)s on %(system)s", browser=browser, system=system) if both else session.device
    return {
        "sid": session.sid,
        "device": device,
        "since": Moment(session.created),
        "signed_in": Moment(session.auth_time or session.created),
        "seen": Moment(_seen(session)),
        "here": here,
    }
