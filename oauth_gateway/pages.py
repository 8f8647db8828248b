"""Pages for people: Jinja2 templates with one inline style sheet; two of them have a script of one line.

Every page is one request in all, forbids framing and third-party content, and may lead forms only to ourselves and to the
client's redirect URI. A folder given as `templates` replaces pages by name; `docs/pages.md` lists what each is given.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, BytecodeCache, ChoiceLoader, DictLoader, Environment, FileSystemLoader, TemplateSyntaxError
from jinja2.bccache import Bucket
from markupsafe import Markup

from .errors import ConfigurationError, OAuthError
from .exchange import NO_STORE, Answer
from .redirects import form_action_source
from .settings import Settings

ACCENT = "#1f5fbf"
# the only scripts that there are; each page that has one also has a button or a link for browsers without
SUBMIT = "document.forms[0].submit()"
GO_ON = "function go(){location.replace(document.getElementById('next').href)}addEventListener('load',go);setTimeout(go,5000)"
MOST_LOGO_BYTES = 16 * 1024
_TITLES = {
    401: "This needs a token",
    403: "Not allowed",
    404: "There is no such page",
    421: "Not at this address",
    429: "Please wait",
    500: "Something went wrong",
    503: "Please try again",
}


class Pages:
    """Renders the pages of one gateway; `wrapped` says that an app shares their origin."""

    def __init__(self, settings: Settings, wrapped: bool = False) -> None:
        loaders: list[BaseLoader] = [DictLoader(_sources())]
        if settings.templates:
            loaders.insert(0, FileSystemLoader(settings.templates))
        self._templates = Environment(
            loader=ChoiceLoader(loaders), autoescape=True, trim_blocks=True, lstrip_blocks=True, bytecode_cache=_compiled
        )
        colour = settings.brand.get("colour", ACCENT)
        style = (files("oauth_gateway") / "templates" / "style.css").read_text("utf-8")
        style = style.replace("ACCENT-TEXT", _readable_on(colour)).replace("ACCENT", colour).strip()
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._policy = f"default-src 'none'; style-src 'self' 'sha256-{digest}'; img-src 'self' data:; base-uri 'none'"
        self._wrapped = wrapped
        self._templates.globals.update(
            style=Markup(style),  # noqa: S704 - our own file, with a colour that the settings checked
            brand_name=settings.brand.get("name", ""),
            submit_script=Markup(SUBMIT),  # noqa: S704 - ours
            go_on_script=Markup(GO_ON),  # noqa: S704 - ours
            brand_logo=_data_uri(settings.brand["logo"]) if "logo" in settings.brand else "",
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
        name: str,
        status: int = 200,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        leads_to: str = "",
        frames: Sequence[str] = (),
        **context: Any,
    ) -> Answer:
        """The page `name`.html; `leads_to` is a source expression to which its form's answer may redirect, `frames` are
        addresses that it shows to the browser.
        """
        body = self._templates.get_template(f"{name}.html").render(context, frames=frames)
        policy = f"{self._policy}; frame-ancestors 'none'; form-action 'self' {leads_to}".strip()
        if frames:
            policy += f"; frame-src {' '.join(sorted({form_action_source(uri) for uri in frames}))}; {_script_source(GO_ON)}"
        return self._page(body, status, policy, headers)

    def post_to(self, uri: str, members: dict[str, Any]) -> Answer:
        """A page that posts `members` to a client's redirect URI (OAuth 2.0 Form Post Response Mode section 2).

        It has no form-action: browsers apply it to where the client redirects afterwards, too.
        """
        template = self._templates.get_template("form_post.html")
        body = template.render(action=uri, fields=[(name, str(value)) for name, value in members.items()])
        return self._page(body, 200, f"{self._policy}; frame-ancestors 'none'; {_script_source(SUBMIT)}", ())

    def _page(self, body: str, status: int, policy: str, headers: tuple[tuple[str, str], ...]) -> Answer:
        all_headers = [
            ("Content-Type", "text/html; charset=utf-8"),
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

    def error(self, error: OAuthError, *, again: str = "") -> Answer:
        """A page that says what is wrong; nothing of the request is echoed but our own sentence."""
        title = _TITLES.get(error.status, "This request cannot be handled")
        return self.render(
            "error",
            error.status,
            headers=error.headers,
            title=title,
            message=error.description,
            code=error.error,
            again=again,
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


@cache
def _sources() -> dict[str, str]:
    """The built-in pages, read once: an upgrade of the package under a running server must not take them away."""
    folder = files("oauth_gateway") / "templates"
    return {page.name: page.read_text("utf-8") for page in folder.iterdir() if page.name.endswith(".html")}


def _script_source(script: str) -> str:
    return f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _data_uri(path: str) -> str:
    data = Path(path).read_bytes()
    kind = mimetypes.guess_type(path)[0]
    if len(data) > MOST_LOGO_BYTES or kind not in ("image/png", "image/jpeg", "image/svg+xml"):
        raise ConfigurationError(f"brand: logo {path} must be a PNG, JPEG or SVG of at most {MOST_LOGO_BYTES} bytes")
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _readable_on(colour: str) -> str:
    """Black or white, whichever contrasts more with `colour` (WCAG 2.2, relative luminance)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#ffffff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#000000"
