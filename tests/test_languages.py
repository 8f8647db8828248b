"""What pages say, and in which language."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from babel.dates import format_date

from oauth_gateway.errors import OAuthError
from oauth_gateway.languages import TAGS, language_of, languages
from oauth_gateway.sentences import Counted, Moment, Sentence, Worded, said

from . import catalogues

PLACE = re.compile(r"%\((\w+)\)s")


@pytest.mark.parametrize("tag", catalogues.TRANSLATED)
def test_every_sentence_of_the_pages_is_translated_and_holds_the_same_things(tag: str) -> None:
    catalogue = catalogues.read(tag)
    ours = {message.id for message in catalogues.sentences() if message.id}
    theirs = {message.id for message in catalogue if message.id}
    assert ours == theirs, "run python -m tests.catalogues"
    assert len(ours) > 100
    for message in catalogue:
        if not message.id:
            continue
        places = set(PLACE.findall(str(message.id)))
        for text in catalogues.strings(message.string):
            assert text.strip() and not message.fuzzy, f"{tag}: {message.id!r} is not translated"
            assert set(PLACE.findall(text)) == places and text.count("%") == len(PLACE.findall(text)), f"{tag}: {text!r}"
            assert "<" not in text


@pytest.mark.parametrize("tag", catalogues.TRANSLATED)
def test_what_is_installed_is_what_was_translated(tag: str) -> None:
    installed = catalogues.messages((catalogues.FOLDER / f"{tag}.mo").read_bytes())
    assert len(installed) > 100 and installed == catalogues.messages(catalogues.compiled(catalogues.read(tag)))


@pytest.mark.parametrize(
    ("ui_locales", "accept", "tag"),
    [
        ("", "", "en"),
        ("", "de-AT,de;q=0.9,en;q=0.1", "de"),
        ("", "en;q=0.1, JA ; q=0.8", "ja"),
        ("", "xx, fr;q=0.2, es;q=0.5", "es"),
        ("", "fr;q=0, *", "en"),
        ("", "*", "en"),
        ("ja fr", "de", "ja"),
        ("xx fr-CA", "de", "fr"),
        ("xx", "de", "de"),
        ("../de", "%00, de;q=abc, ar;q=0.3", "ar"),
        ("", "de;q=2, fr;q=-1, es;q=1.0000", "en"),
        ("", "x," * 5000 + "de", "en"),
        ("<script>", "\x00\xff", "en"),
    ],
)
def test_the_client_may_ask_for_a_language_else_the_browser_decides(ui_locales: str, accept: str, tag: str) -> None:
    assert language_of(ui_locales, accept).tag == tag


def test_sentences_are_english_for_programs_and_translated_for_people() -> None:
    german, arabic = languages()["de"], languages()["ar"]
    sentence = Sentence("The parameter %(name)s is missing.", name="client_id")
    assert str(sentence) == "The parameter client_id is missing."
    assert sentence.said(german) == "Der Parameter client_id fehlt."
    assert "\u2068client_id\u2069" in sentence.said(arabic), "kept from turning round what stands beside it"
    assert said({"a": [sentence, 1]}, german) == {"a": ["Der Parameter client_id fehlt.", 1]}
    error = OAuthError("invalid_request", Sentence("The parameter %(name)s is missing.", name='ü"<b>%(x)s'))
    assert error.description == "The parameter ??<b>%(x)s is missing."
    assert said(error.description, german) == "Der Parameter ??<b>%(x)s fehlt."


def test_numbers_have_the_form_that_their_language_asks_for() -> None:
    def minutes(tag: str, number: int) -> str:
        one, more = (
            "Too many attempts. Please try again in %(number)s minute.",
            "Too many attempts. Please try again in %(number)s minutes.",
        )
        return Counted(one, more, number).said(languages()[tag])

    assert "1 minute." in minutes("en", 1) and "2 minutes." in minutes("en", 2)
    assert "1 Minute " in minutes("de", 1) and "15 Minuten " in minutes("de", 15)
    assert len({re.sub(r"\d+", "", minutes("ar", number)) for number in (1, 2, 3, 15)}) == 4


@pytest.mark.parametrize("tag", TAGS)
def test_dates_are_written_as_the_language_writes_them(tag: str) -> None:
    """Compared with the Unicode Common Locale Data, which is not installed where the gateway runs."""
    for month in range(1, 13):
        time = datetime(2026, month, 9, 7, 5, tzinfo=UTC)
        text = Moment(time.timestamp()).said(languages()[tag])
        theirs = format_date(time, "long", locale="en_GB" if tag == "en" else tag)
        assert text.startswith(theirs) and text.endswith("07:05 UTC"), (text, theirs)


def test_what_others_wrote_in_several_languages_is_shown_in_the_readers() -> None:
    name = Worded("Photos", {"ja-Jpan-JP": "写真", "DE": "Fotos"})
    assert str(name) == "Photos"
    assert [name.said(languages()[tag]) for tag in ("en", "de", "ja", "fr")] == ["Photos", "Fotos", "写真", "Photos"]


@pytest.mark.parametrize("value", [Sentence("Not allowed"), Moment(0), Worded("a", {"de": "b"})])
def test_a_text_of_several_languages_is_text(value: Any) -> None:
    assert isinstance(value, str) and value == str(value) and f"{value}" == str(value)
