"""Routes: lines of text, compiled once into rules, and the decision about one method and path.

A rule is `METHODS PATH ACCESS` (see `docs/routes.md`); the first that matches decides, and without a match a valid token
is required. Where two spellings of one path could reach the same view of the app but fall under different rules, every
one of these rules must allow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .sentences import Sentence

JUDGED = ("acr", "max_age")  # words with a value
OWN_WORD = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z", re.ASCII)  # MODULE:NAME
ALLOWED = (
    "public, optional, token, session, scope=a,b, acr=a,b, max_age=5m, claim:NAME=a,b, or MODULE:NAME of a judge of your own"
)
OVERRIDES = ("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD")  # name another method to many apps
SAFE = frozenset({"GET", "HEAD"})
LOOK_CLOSER = " words"  # no scope, for it has a blank
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_METHOD = re.compile(r"[A-Z][A-Z-]*\Z")
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DOT_SEGMENT = re.compile(r"/\.{1,2}(?:;[^/]*)?(?:/|\Z)")


KINDS = ("public", "optional", "session", "token")  # each asks for more than the one before
Word = tuple[str, str]  # what a judge decides about: its name and its value, which may be empty


@dataclass(frozen=True, slots=True)
class Access:
    """What a request must bring: `public` (no look at a token), `optional`, a token with all of `scopes`, or such a token or
    the `session` of a browser; and what the judges of `words` must say of it.
    """

    kind: str  # one of KINDS
    scopes: frozenset[str] = frozenset()
    words: tuple[Word, ...] = ()


TOKEN = Access("token")
PUBLIC = Access("public")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: the text as written, the methods (empty for all), the compiled path and the access."""

    text: str
    methods: frozenset[str]
    path: re.Pattern[str]
    folded: re.Pattern[str]
    access: Access

    @property
    def is_default(self) -> bool:
        """Whether the rule says no more than the default does."""
        return self.text.split()[1] == "/**" and self.access == TOKEN

    def matches(self, method: str, path: str, folded: bool = False) -> bool:
        pattern = self.folded if folded else self.path
        return (not self.methods or method in self.methods) and pattern.match(path) is not None


DEFAULT = Rule("(no rule: a valid token)", frozenset(), re.compile(""), re.compile(""), TOKEN)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says of one method and path: the rules that must all allow, and what that needs together.

    `wanted` is what a token's scopes are compared with: `scopes`, and where there are `words` what no token has, so that the
    guard looks closer.
    """

    kind: str
    scopes: frozenset[str]
    rules: tuple[Rule, ...] = field(default=())
    words: tuple[Word, ...] = ()
    wanted: frozenset[str] = frozenset()
    safe: bool = False  # whether the method changes nothing
    session: str = ""  # where one will do: the scopes that it gets, and a line end, which no scope has
    may_be_open: bool = False  # whether there are requests that need no token: the guard looks which
    refuse: Callable[..., Any] | None = field(default=None, compare=False, repr=False)  # the guard's answer to a step-up


def combine(rules: tuple[Rule, ...], *, safe: bool, may_be_open: bool = False) -> Decision:
    """What is needed where all of `rules` must allow, by a method that is `safe` or not; with `may_be_open` some requests
    need no token whatever the rules say.
    """
    access = [rule.access for rule in rules]
    kind = max((each.kind for each in access), key=KINDS.index)
    scopes = frozenset[str]().union(*(each.scopes for each in access))
    words = tuple(dict.fromkeys(word for each in access for word in each.words))
    wanted = scopes | ({LOOK_CLOSER} if words else set())
    session = " ".join(sorted(scopes)) + "\n" if kind == "session" else ""
    return Decision(kind, scopes, rules, words, wanted, safe, session, may_be_open or kind in ("public", "optional"))


def parse_rule(text: str) -> Rule:
    """One line as a rule; raises ValueError with a sentence that says what is allowed."""
    words = text.split()
    if len(words) < 3:
        raise ValueError(f"route {text!r}: write METHODS PATH ACCESS, for example 'GET /api/** scope=read'")
    methods = frozenset() if words[0] == "*" else frozenset(words[0].split(","))
    for method in methods:
        if not _METHOD.match(method):
            raise ValueError(f"route {text!r}: the method {method!r} must be upper-case letters, or * for all")
    pattern = _path_pattern(wsgi_path(words[1]), text)
    folded = re.compile(pattern, re.DOTALL | re.IGNORECASE | re.ASCII)
    return Rule(text, methods, re.compile(pattern, re.DOTALL), folded, _parse_access(words[2:], text))


def _path_pattern(path: str, text: str) -> str:
    if not path.startswith("/") or not_canonical(path):
        raise ValueError(f"route {text!r}: the path must start with / and have no empty or dot segments")
    pieces: list[str] = [""]  # between the ** of the rule
    for segment in path.split("/")[1:]:
        if segment == "**":
            pieces.append("")
        elif "**" in segment:
            raise ValueError(f"route {text!r}: ** stands for whole segments, as in /api/**")
        else:
            pieces[-1] += "/" + _segment_pattern(segment)
    if len(pieces) == 1:
        return pieces[0] + r"\Z"
    # atomic groups keep matching linear: the leftmost place for a middle piece is as good as any other
    middle = "".join(rf"(?>(?:/[^/]*)*?{piece}(?=/|\Z))" for piece in pieces[1:-1] if piece)
    return pieces[0] + middle + r"(?:/.*)?" + pieces[-1] + r"\Z"


def _segment_pattern(segment: str) -> str:
    first, *rest = (re.escape(part) for part in segment.split("*"))
    if not rest:
        return first
    return first + "".join(f"(?>[^/]*?{part})" for part in rest[:-1]) + "[^/]*" + rest[-1]


def _parse_access(words: list[str], text: str) -> Access:
    kinds: list[str] = []
    scopes: set[str] = set()
    judged: list[Word] = []
    for word in words:
        name, equals, value = word.partition("=")
        if word in KINDS:
            kinds.append(word)
        elif name == "scope" and equals:
            scopes.update(value.split(","))
        elif name in JUDGED:
            judged.append((name, _value(name, value, text)))
        elif name.startswith("claim:"):
            if not name[6:] or not value or "" in value.split(","):
                raise ValueError(
                    f"route {text!r}: write a claim as claim:NAME=value, several values with commas: claim:team=a,b"
                )
            judged.append(("claim", word[6:]))
        elif OWN_WORD.match(word):
            judged.append((word, ""))
        else:
            raise ValueError(f"route {text!r}: {word!r} is unknown; ACCESS is {ALLOWED}")
    for scope in scopes:
        if not _SCOPE_TOKEN.match(scope):
            raise ValueError(f"route {text!r}: {scope!r} is not a scope")
    if len(kinds) > 1 or ((scopes or judged) and not {"token", "session"}.issuperset(kinds)):
        raise ValueError(f"route {text!r}: {' '.join(words)} contradict each other")
    once = [name for name, _ in judged if name != "claim"]
    if len(set(once)) < len(once):
        raise ValueError(f"route {text!r}: a word comes twice")
    return Access(kinds[0] if kinds else "token", frozenset(scopes), tuple(judged))


def _value(name: str, value: str, text: str) -> str:
    """The value of one of JUDGED as its judge takes it."""
    if name == "max_age":
        seconds = re.fullmatch(r"([0-9]{1,9})([smhd]?)", value)
        if seconds is None or int(seconds[1]) == 0:
            raise ValueError(f"route {text!r}: max_age is seconds or a duration such as 90s, 10m, 1h or 30d")
        return str(int(seconds[1]) * _UNITS[seconds[2] or "s"])
    if not all(_SCOPE_TOKEN.match(each) for each in value.split(",")):
        raise ValueError(f"route {text!r}: acr is one or more values with commas between, any of which will do")
    return value


def word_text(word: Word) -> str:
    """A judged word as rules write it."""
    name, value = word
    return f"claim:{value}" if name == "claim" else f"{name}={value}" if value else name


def wsgi_path(path: str) -> str:
    """A path written by people as PATH_INFO has it: UTF-8 bytes read as latin-1 (PEP 3333)."""
    return path if path.isascii() else path.encode().decode("latin-1")


def not_canonical(path: str) -> str | None:
    """Why `path` (PATH_INFO as text) could mean two things to gateway and app, or None where it cannot."""
    if not path.startswith("/"):
        return Sentence("it does not start with /")
    if "//" in path:
        return Sentence("it has an empty segment")
    if "\\" in path:
        return Sentence("it has a backslash")
    if _CONTROL.search(path):
        return Sentence("it has a control character")
    if "/." in path and _DOT_SEGMENT.search(path):
        return Sentence("it has a dot segment")
    if not path.isascii():
        try:
            path.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return Sentence("it is not UTF-8")
    return None


class Policy:
    """The compiled rules of one gateway."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)

    def rule(self, method: str, path: str, folded: bool = False) -> Rule:
        """The first rule that matches, or the default; `folded` compares without regard to case."""
        for rule in self.rules:
            if rule.matches(method, path, folded):
                return rule
        return DEFAULT

    def decide(self, method: str, path: str) -> Decision:
        """What `method` on the canonical `path` needs; several rules decide where spellings of the path differ."""
        spellings = [path]
        if ";" in path:
            spellings.append(re.sub("/+", "/", re.sub(r";[^/]*", "", path)) or "/")
        for spelling in tuple(spellings):
            spellings.append((spelling[:-1] or "/") if spelling.endswith("/") else spelling + "/")
        rules = [self.rule(method, path)]
        for spelling in spellings:
            upper = method.upper()  # some frameworks do not tell delete from DELETE
            found = [self.rule(m, s) for m in (method, upper) for s in (spelling, spelling.lower())]
            for rule in (*found, self.rule(upper, spelling, folded=True)):
                # what asks for a token on every path decides about the path as it is only, like the default
                if rule not in rules and rule is not DEFAULT and not rule.is_default:
                    rules.append(rule)
        return combine(tuple(rules), safe=method in SAFE, may_be_open=method == "OPTIONS")  # it may be a preflight
