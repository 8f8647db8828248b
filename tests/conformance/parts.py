"""What the suite has to do with: its clients, pages, where the browser came to, and the person."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import webob

from oauth_gateway.models import Client

PERSON: dict[str, dict[str, Any]] = {  # every claim of every scope, as the suite wants its user (section 5.1)
    "profile": {
        "name": "Ann Ö. Other",
        "given_name": "Ann",
        "family_name": "Other",
        "middle_name": "Ö.",
        "nickname": "annie",
        "preferred_username": "ann",
        "profile": "https://people.test/ann",
        "picture": "https://people.test/ann.png",
        "website": "https://ann.test/",
        "gender": "female",
        "birthdate": "1980-02-29",
        "zoneinfo": "Europe/Zurich",
        "locale": "de-CH",
        "updated_at": 1_700_000_000,
    },
    "email": {"email": "ann@people.test", "email_verified": True},
    "address": {
        "address": {
            "formatted": "Gasse 1\n8000 Zürich",
            "street_address": "Gasse 1",
            "locality": "Zürich",
            "region": "ZH",
            "postal_code": "8000",
            "country": "CH",
        }
    },
    "phone": {"phone_number": "+41 44 000 00 00", "phone_number_verified": False},
}


@dataclass(frozen=True)
class Party:
    """One of the suite's clients."""

    client: Client
    secret: str
    callback: str


@dataclass
class Form:
    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """What a page has to fill in, to show and to go on to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.frames: list[str] = []
        self.links: dict[str, str] = {}  # those with an id
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("method", "get"), given["action"]))
        elif tag == "input" and self.forms:
            assert given["name"] not in self.forms[-1].fields, "a field came twice"
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "iframe":
            self.frames.append(given["src"])
        elif tag == "a" and "id" in given:
            self.links[given["id"]] = given["href"]


@dataclass
class Visit:
    """Where the browser came to: at an address of the suite, by GET or with a posted form, or at a page."""

    page: webob.Response
    logins: int = 0
    consents: int = 0
    confirmed: int = 0  # that the person wants to sign out
    url: str = ""
    form: dict[str, str] | None = None
