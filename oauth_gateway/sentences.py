"""What people read in their own language. Each value is its English text, which logs, JSON and redirects carry as it is;
a page says it in the language of who reads it (`languages`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, Self

TAG = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,3}")  # of a language (RFC 5646), as people write them
ISOLATED = "\u2068{}\u2069"  # keeps the direction of a name to itself (Unicode Standard Annex 9)


class Tongue(Protocol):
    """A language as sentences see it: its tag (RFC 5646), whether it runs from right to left, and its catalogue."""

    @property
    def tag(self) -> str: ...

    @property
    def rtl(self) -> bool: ...

    @property
    def gettext(self) -> Callable[[str], str]: ...

    @property
    def ngettext(self) -> Callable[[str, str, int], str]: ...


class Said(str):
    """Text that differs from language to language."""

    __slots__ = ()

    def said(self, tongue: Tongue) -> str:
        raise NotImplementedError


class Sentence(Said):
    """One of our own sentences: `Sentence("The parameter %(name)s is missing.", name="scope")`."""

    __slots__ = ("template", "values")

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> Self:
        made = super().__new__(cls, template % values if values else template)
        made.template, made.values = template, values
        return made

    def said(self, tongue: Tongue) -> str:
        return self._filled(tongue, tongue.gettext(self.template))

    def _filled(self, tongue: Tongue, template: str) -> str:
        if not self.values:
            return template
        values = {name: value.said(tongue) if isinstance(value, Said) else value for name, value in self.values.items()}
        return template % {name: ISOLATED.format(value) if tongue.rtl else value for name, value in values.items()}

    def cleaned(self, clean: Callable[[str], str]) -> Self:
        """The same sentence with `clean` applied to what was put into it."""
        if not self.values:
            return self
        return type(self)(self.template, **{name: clean(str(value)) for name, value in self.values.items()})


class Counted(Sentence):
    """A sentence about a number of things: `Counted("%(number)s minute", "%(number)s minutes", 3)`."""

    __slots__ = ("number", "one")

    one: str
    number: int

    def __new__(cls, one: str, more: str, number: int, /) -> Self:
        made = super().__new__(cls, one if number == 1 else more, number=number)
        made.one, made.template, made.number = one, more, number
        return made

    def said(self, tongue: Tongue) -> str:
        return self._filled(tongue, tongue.ngettext(self.one, self.template, self.number))

    def cleaned(self, clean: Callable[[str], str]) -> Self:
        return self


class Worded(Said):
    """What somebody else has written in several languages: a client's name, the description of a scope."""

    __slots__ = ("texts",)

    texts: Mapping[str, str]

    def __new__(cls, text: str, texts: Mapping[str, str]) -> Self:
        """`text` is for languages that `texts` (tag to text) does not have."""
        made = super().__new__(cls, text)
        made.texts = {tag.lower(): wording for tag, wording in texts.items()}
        return made

    def said(self, tongue: Tongue) -> str:
        near = (text for tag, text in self.texts.items() if re.match(f"{tongue.tag}-", tag))
        return self.texts.get(tongue.tag) or next(near, str(self))


MONTHS = (
    Sentence("January"),
    Sentence("February"),
    Sentence("March"),
    Sentence("April"),
    Sentence("May"),
    Sentence("June"),
    Sentence("July"),
    Sentence("August"),
    Sentence("September"),
    Sentence("October"),
    Sentence("November"),
    Sentence("December"),
)


class Moment(Said):
    """A point in time, in UTC: nobody tells a page without a script where its reader's clock stands."""

    __slots__ = ("time",)

    time: datetime

    def __new__(cls, seconds: float) -> Self:
        """`seconds` since 1970."""
        time = datetime.fromtimestamp(seconds, UTC)
        made = super().__new__(cls, time.strftime("%Y-%m-%d %H:%M UTC"))
        made.time = time
        return made

    def said(self, tongue: Tongue) -> str:
        time = self.time
        month = MONTHS[time.month - 1].said(tongue)
        values = {"day": time.day, "month": month, "year": time.year, "clock": f"{time.hour:02}:{time.minute:02} UTC"}
        return tongue.gettext("%(day)s %(month)s %(year)s, %(clock)s") % values


def said(value: Any, tongue: Tongue) -> Any:
    """`value` with all that it holds said in the language."""
    if isinstance(value, Said):
        return value.said(tongue)
    if isinstance(value, dict):
        return {name: said(item, tongue) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [said(item, tongue) for item in value]
    return value
