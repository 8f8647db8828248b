"""The catalogues of the pages, in step with what pages say: `python -m tests.catalogues` takes new sentences into the .po
files of `oauth_gateway/locale` and compiles them; a new tag in `languages.TAGS` begins a file.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages import pofile
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo

from oauth_gateway.languages import TAGS

PACKAGE = Path(__file__).parent.parent / "oauth_gateway"
FOLDER = PACKAGE / "locale"
METHODS = [("templates/*.html", "jinja2.ext:babel_extract"), ("**.py", "python")]
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "Sentence": None, "Counted": (1, 2)}
TRANSLATED = TAGS[1:]
HEADER: dict[str, Any] = {
    "header_comment": "# Sentences of the pages; see CONTRIBUTING.md.",
    "project": "oauth-gateway",
    "version": "1",
    "last_translator": "oauth-gateway",
    "msgid_bugs_address": "the project's issues",
    "revision_date": datetime(2026, 11, 24, tzinfo=UTC),
}


def sentences() -> Catalog:
    """Everything that pages can say."""
    found = Catalog(**HEADER)
    options = {"templates/*.html": {"silent": "false"}}
    for _file, _line, message, _comments, _context in extract_from_dir(
        PACKAGE, METHODS, options, KEYWORDS, strip_comment_tags=True
    ):
        found.add(message)
    return found


def read(tag: str) -> Catalog:
    path = FOLDER / f"{tag}.po"
    if not path.exists():
        return Catalog(tag, **HEADER, language_team=tag, fuzzy=False)
    with path.open("rb") as file:
        return pofile.read_po(file, locale=tag)


def compiled(catalogue: Catalog) -> bytes:
    made = io.BytesIO()
    write_mo(made, catalogue)
    return made.getvalue()


def messages(compiled: bytes) -> dict[Any, Any]:
    """What a compiled catalogue says, without its header, in which every release of Babel names itself."""
    return {strings(message.id): message.string for message in read_mo(io.BytesIO(compiled)) if message.id}


def update() -> None:
    every = sentences()
    for tag in TRANSLATED:
        catalogue = read(tag)
        every.creation_date = catalogue.creation_date
        catalogue.update(every, no_fuzzy_matching=True)
        catalogue.obsolete.clear()
        with (FOLDER / f"{tag}.po").open("wb") as file:
            pofile.write_po(file, catalogue, width=128, no_location=True, sort_output=True)
        (FOLDER / f"{tag}.mo").write_bytes(compiled(catalogue))
        missing = [message.id for message in catalogue if message.id and not all(strings(message.string))]
        print(f"{tag}: {len(catalogue)} sentences, {len(missing)} to translate")


def strings(string: object) -> tuple[str, ...]:
    """The translation, or all of its plural forms."""
    return tuple(string) if isinstance(string, (list, tuple)) else (str(string),)


if __name__ == "__main__":
    update()
