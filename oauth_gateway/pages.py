"""Pages for people: Jinja2 templates with one inline style sheet; two of them have a script of one line.

Every page is one request in all and forbids framing and third-party content. A folder given as `templates` replaces pages by
name; `docs/pages.md` lists what each is given.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import (
    BaseLoader,
    BytecodeCache,
    ChoiceLoader,
    DictLoader,
    Environment,
    FileSystemLoader,
    TemplateSyntaxError,
    pass_context,
)
from jinja2.bccache import Bucket
from jinja2.runtime import Context
from markupsafe import Markup

from . import brand
from .errors import ConfigurationError, OAuthError
from .exchange import NO_STORE, Answer, Exchange
from .languages import Language, languages
from .redirects import source_expression
from .sentences import Sentence, said
from .settings import Settings

# the only scripts that there are; each page that has one also has a button or a link for browsers without
SUBMIT = "document.forms[0].submit()"
GO_ON = "function go(){location.replace(document.getElementById('next').href)}addEventListener('load',go);setTimeout(go,5000)"
_TURNING = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))  # characters that turn round what follows
_TITLES = {
    401: Sentence("This needs a token"),
    403: Sentence("Not allowed"),
    404: Sentence("There is no such page"),
    421: Sentence("Not at this address"),
    429: Sentence("Please wait"),
    500: Sentence("Something went wrong"),
    503: Sentence("Please try again"),
}
_TITLE = Sentence("This request cannot be handled")
_DENIED = frozenset({"access_denied", "insufficient_scope", "insufficient_user_authentication"})  # `denied` and not `error`
_NO_RIGHT = Sentence("Your account does not have the right to do this.")
_TOO_OLD = Sentence("This page is no longer current")


class Pages:
    """Renders the pages of one gateway; `wrapped` says that an app shares their origin."""

    def __init__(self, settings: Settings, wrapped: bool = False) -> None:
        loaders: list[BaseLoader] = [DictLoader(_sources())]
        if settings.templates:
            loaders.insert(0, FileSystemLoader(settings.templates))
        self._templates = Environment(
            loader=ChoiceLoader(loaders),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
            bytecode_cache=_compiled,
        )
        languages()  # read now, not for the first person
        self._templates.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined]
        self._templates.filters.update(bdi=_isolated, name=_name, code=_code)
        source = (files("oauth_gateway") / "templates" / "style.css").read_text("utf-8")
        style = brand.style(source, settings.brand.get("colour", brand.COLOUR))
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._policy = f"default-src 'none'; style-src 'self' 'sha256-{digest}'; img-src 'self' data:; base-uri 'none'"
        self._wrapped = wrapped
        self._templates.globals.update(
            style=Markup(style),  # noqa: S704 - our own file, with a colour that the settings checked
            brand_name=settings.brand.get("name", ""),
            submit_script=Markup(SUBMIT),  # noqa: S704 - ours
            go_on_script=Markup(GO_ON),  # noqa: S704 - ours
            brand_logo=brand.data_uri(settings.brand["logo"]) if "logo" in settings.brand else "",
        )
        self._load_all()

    def _load_all(self) -> None:
        """Compile every page now: the first person waits for none, and a page of the operator's that cannot be read is told."""
        try:
            for name in _sources():
                self._templates.get_template(name)
        except TemplateSyntaxError as error:
            raise ConfigurationError(f"templates: {error.name}, line {error.lineno}: {error.message}") from None

    def render(
        self,
        exchange: Exchange,
        name: str,
        status: int = 200,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        leads_away: bool = False,
        frames: Sequence[str] = (),
        **context: Any,
    ) -> Answer:
        """The page `name`.html in the language of who asks.

        `leads_away`: its form's answer may redirect to a client or the app. It has no form-action then: browsers apply that to
        where these redirect afterwards, too. `frames` are addresses that it shows to the browser.
        """
        body = self._render(exchange, name, context | ({"frames": frames} if frames else {}))
        policy = f"{self._policy}; frame-ancestors 'none'"
        if not leads_away:
            policy += "; form-action 'self'"
        if frames:
            policy += f"; frame-src {' '.join(sorted({source_expression(uri) for uri in frames}))}; {_script_source(GO_ON)}"
        return self._page(exchange, body, status, policy, headers)

    def post_to(self, exchange: Exchange, uri: str, members: dict[str, Any]) -> Answer:
        """A page that posts `members` to a client's redirect URI (OAuth 2.0 Form Post Response Mode section 2)."""
        fields = [(name, str(value)) for name, value in members.items()]
        body = self._render(exchange, "form_post", {"action": uri, "fields": fields})
        return self._page(exchange, body, 200, f"{self._policy}; frame-ancestors 'none'; {_script_source(SUBMIT)}", ())

    def _render(self, exchange: Exchange, name: str, context: dict[str, Any]) -> str:
        language = exchange.language
        spoken = {name: said(value, language) for name, value in context.items()}
        return self._templates.get_template(f"{name}.html").render(spoken, lang=language.tag, dir=language.direction)

    def _page(self, exchange: Exchange, body: str, status: int, policy: str, headers: tuple[tuple[str, str], ...]) -> Answer:
        all_headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Language", exchange.language.tag),
            ("Vary", "Accept-Language"),
            ("Content-Security-Policy", policy),
            ("X-Frame-Options", "DENY"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "same-origin"),
            *NO_STORE,
            *headers,
        ]
        if self._wrapped:
            all_headers.append(("Cross-Origin-Opener-Policy", "same-origin"))
        return Answer(status, all_headers, body.encode())

    def error(self, exchange: Exchange, error: OAuthError, *, again: str = "") -> Answer:
        """A page that says what is wrong; nothing of the request is echoed but our own sentence."""
        again = again or error.again
        if error.error in _DENIED and not again:
            return self._denied(exchange, error)
        title = _TOO_OLD if again and error.status == 403 else _TITLES.get(error.status, _TITLE)
        return self.render(
            exchange,
            "error",
            error.status,
            headers=error.headers,
            title=title,
            message=error.description,
            code=error.error,
            again=again,
        )

    def _denied(self, exchange: Exchange, error: OAuthError) -> Answer:
        """A page that says that this is not for whoever asks; a person who is signed in may try as somebody else."""
        person = error.token.username if error.token is not None and error.token.kind == "session" else ""
        return self.render(
            exchange,
            "denied",
            error.status,
            headers=error.headers,
            message=_NO_RIGHT if person and error.error == "insufficient_scope" else error.description,
            code=error.error,
            username=person,
            logout_url=exchange.url("/authorize/logout") if person else "",
        )


class _Compiled(BytecodeCache):
    """Compiled pages, for all gateways of this process; Jinja compares the sources' checksums."""

    def __init__(self) -> None:
        self._code: dict[str, tuple[str, Any]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        checksum, code = self._code.get(bucket.key, ("", None))
        bucket.code = code if checksum == bucket.checksum else None

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = (bucket.checksum, bucket.code)


_compiled = _Compiled()


@pass_context
def _gettext(context: Context, message: str) -> str:
    return _spoken(context).gettext(message)


@pass_context
def _ngettext(context: Context, one: str, more: str, number: int) -> str:
    return _spoken(context).ngettext(one, more, number)


def _spoken(context: Context) -> Language:
    """The language that the template says it has: an own one in one language sets `lang`."""
    known = languages()
    return known.get(context["lang"], known["en"])


def _isolated(text: str) -> Markup:
    """A name that may be in any script, kept from turning round what stands beside it."""
    return Markup("<bdi>{}</bdi>").format(str(text).translate(_TURNING).strip() or "–")


def _name(text: str) -> Markup:
    return Markup("<strong>{}</strong>").format(_isolated(text))


def _code(text: str) -> Markup:
    return Markup("<code>{}</code>").format(_isolated(text))


@cache
def _sources() -> dict[str, str]:
    """The built-in pages, read once: an upgrade of the package under a running server must not take them away."""
    folder = files("oauth_gateway") / "templates"
    return {page.name: page.read_text("utf-8") for page in folder.iterdir() if page.name.endswith(".html")}


def _script_source(script: str) -> str:
    return f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
