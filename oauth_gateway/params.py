"""Protocol parameters, read once and strictly; nothing below this module sees raw input.

An empty parameter counts as omitted and a repeated one is an error (RFC 6749 sections 3.1 and 3.2), save `resource`,
which may be repeated (RFC 8707 section 2). Sizes are bounded before anything is parsed.
"""

from __future__ import annotations

from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, urlencode

from .errors import OAuthError
from .sentences import Sentence

MAX_BODY = 64 * 1024  # bytes; the largest honest request (a client assertion and a pushed request) stays far below
MAX_FIELDS = 100
FORM = "application/x-www-form-urlencoded"
_TOO_LARGE = Sentence("The body is larger than %(most)s bytes.", most=MAX_BODY)
_NOT_A_FORM = Sentence("The body must be application/x-www-form-urlencoded.")
MAY_REPEAT = frozenset({"resource"})


class Params(dict[str, str]):
    """Name to value; `repeated` names what came more than once, `every` has all values of what may be repeated."""

    repeated: frozenset[str]
    pairs: list[tuple[str, str]]
    text: str  # as it came

    @property
    def every(self) -> dict[str, list[str]]:
        every: dict[str, list[str]] = {}
        for name, value in self.pairs:
            if value:
                every.setdefault(name, []).append(value)
        return every

    def refuse_repeated(self) -> None:
        """Raise `invalid_request` where a parameter came twice."""
        if self.repeated:
            raise OAuthError(
                "invalid_request", Sentence("The parameter %(name)s must not be repeated.", name=sorted(self.repeated)[0])
            )


def encode(text: str) -> str:
    """A query string with the same pairs as `text`, every one encoded: safe to stand in a Location header."""
    return urlencode(parse_qsl(text, keep_blank_values=True), safe=":/?@!$'()*,;~")


def parse(text: str) -> Params:
    """`application/x-www-form-urlencoded` text as parameters; raises OAuthError where it is malformed or too much."""
    try:
        pairs = _pairs(text)
    except UnicodeDecodeError:
        raise OAuthError("invalid_request", Sentence("The parameters are not UTF-8.")) from None
    except ValueError:
        raise OAuthError("invalid_request", Sentence("More than %(most)s parameters.", most=MAX_FIELDS)) from None
    params = Params(pairs)
    params.repeated = frozenset()
    if len(params) < len(pairs) or "" in params.values():
        params.clear()
        for name, value in pairs:
            if value:
                params.setdefault(name, value)
        seen = [name for name, _ in pairs]
        params.repeated = frozenset(name for name in seen if seen.count(name) > 1) - MAY_REPEAT
    params.pairs = pairs
    params.text = text
    return params


def _pairs(text: str) -> list[tuple[str, str]]:
    """As parse_qsl has them, in a quarter of its time where nothing is encoded; raises ValueError where they are too many."""
    if "%" in text or "+" in text:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
        text = "".join(chain.from_iterable(pairs))
    elif text.count("&") < MAX_FIELDS:
        pairs = [part.partition("=")[::2] for part in text.split("&") if part]
    else:
        raise ValueError(text.count("&"))
    if "\0" in text or "\ufffd" in text:
        raise OAuthError("invalid_request", Sentence("A parameter holds a character that is not allowed."))
    return pairs


def read_query(environ: dict[str, Any]) -> Params:
    """The parameters of the query string."""
    text = environ.get("QUERY_STRING", "")
    if not text.isascii():
        raise OAuthError("invalid_request", Sentence("The query string holds unencoded characters."))
    if len(text) > MAX_BODY:
        raise OAuthError("invalid_request", Sentence("The query string is too long."), 414)
    return parse(text)


def read_form(environ: dict[str, Any]) -> str:
    """The text of a form body, read once and bounded; 413 and 415 as HTTP has them."""
    if "HTTP_CONTENT_ENCODING" in environ and environ["HTTP_CONTENT_ENCODING"].strip().lower() != "identity":
        raise OAuthError("invalid_request", Sentence("Compressed bodies are not accepted."), 415)
    length = environ.get("CONTENT_LENGTH")
    body = _read_counted(environ, length) if length else _read_chunked(environ)
    try:
        return body.decode("ascii")
    except UnicodeDecodeError:
        raise OAuthError("invalid_request", Sentence("The body holds unencoded characters.")) from None


def _read_counted(environ: dict[str, Any], length_text: str) -> bytes:
    if not (length_text.isascii() and length_text.isdigit()):
        raise OAuthError("invalid_request", Sentence("Content-Length is not a number."))
    length = int(length_text.lstrip("0")[:10] or 0)  # more digits are too much anyway
    if length > MAX_BODY:
        raise OAuthError("invalid_request", _TOO_LARGE, 413)
    if not length:
        return b""
    _refuse_other_types(environ)
    body = _read(environ["wsgi.input"], length)
    if len(body) < length:
        raise OAuthError("invalid_request", Sentence("The body is shorter than its Content-Length."))
    return body


def _read_chunked(environ: dict[str, Any]) -> bytes:
    """A body whose length nobody told, if there is one."""
    if not environ.get("wsgi.input_terminated") and "HTTP_TRANSFER_ENCODING" not in environ:
        return b""
    body = _read(environ["wsgi.input"], MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise OAuthError("invalid_request", _TOO_LARGE, 413)
    if body:
        _refuse_other_types(environ)
    return body


def _refuse_other_types(environ: dict[str, Any]) -> None:
    kind = environ.get("CONTENT_TYPE", "")
    if kind != FORM and kind.partition(";")[0].strip().lower() != FORM:
        raise OAuthError("invalid_request", _NOT_A_FORM, 415)


def _read(stream: Any, length: int) -> bytes:
    """At most `length` bytes; servers raise errors of their own for a body that breaks off or is framed wrongly."""
    try:
        body: bytes = stream.read(length)
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        raise OAuthError("invalid_request", Sentence("The body cannot be read."), cause=cause) from None
    return body
