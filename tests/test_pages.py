"""The pages: what their templates are given, what is in every one of them, and names of all kinds on them."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import OAuthGateway, brand
from oauth_gateway.brand import CARDS, contrast, tones
from oauth_gateway.errors import ConfigurationError, OAuthError
from oauth_gateway.exchange import Exchange
from oauth_gateway.languages import TAGS
from oauth_gateway.pages import Pages
from oauth_gateway.scopes import CLAIMS
from oauth_gateway.settings import gate

from .conftest import CALLBACK, PASSWORD, World, hidden, make_world, query_of, send

ROOT = Path(__file__).parent.parent
SHARED = {"lang", "dir", "style", "brand_name", "brand_logo", "go_on_script", "submit_script"}
NAMES = (
    '<b>Bold & "Quoted"</b><script>alert(1)</script>',
    "شركة الصور",
    "צילומי חופשה",
    "休日の写真アプリ",
    "Ünïcödé Zürich GmbH & Söhne",
    "👩‍👩‍👧‍👦 Family",
    "{{ 7 * 7 }} {% raw %} %(client)s %s",
    "W" * 200,
    "ש" * 200,
    "a " * 99 + "b",
    "",
)


def documented() -> dict[str, set[str]]:
    """Page to the names of its context, as docs/pages.md lists them."""
    rows = re.findall(r"^\| `(\w+)\.html` \|([^|]*)\|", (ROOT / "docs" / "pages.md").read_text("utf-8"), re.M)
    return {page: set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", names))) for page, names in rows if page != "base"}


def walk(world: World) -> None:
    """Past every page."""
    world.clients.update(world.confidential, {"frontchannel_logout_uri": "https://client.test/front"}, world.clock())
    browser = world.browser()
    browser.open(world.authorize_url())
    world.log_in(browser)
    consent = browser.open(world.authorize_url(response_mode="form_post"))
    browser.open(f"{world.prefix}/authorize", {**hidden(consent), "decision": "allow"})
    world.redeem(world.code(browser=browser, scope="openid"))
    browser.open(world.authorize_url(prompt="select_account"))
    browser.open(f"{world.prefix}/authorize/account")
    browser.open(f"{world.prefix}/authorize/account/password")
    browser.open(f"{world.prefix}/authorize/login?next=/x")
    browser.open(f"{world.prefix}/authorize", {"client_id": "x", "state": "s" * 5000}, Origin="https://client.test")
    browser.open(f"{world.prefix}/authorize?client_id=x")
    browser.open(f"{world.prefix}/authorize/logout", hidden(browser.open(f"{world.prefix}/authorize/logout")))
    browser.open(f"{world.prefix}/authorize/logout")


def walk_elsewhere(clock: Any, **settings: Any) -> None:
    """Past the pages of people who sign in elsewhere, and of a browser without a session."""
    world = make_world("sqlite://", clock, authenticate="remote_user", **settings)
    browser = world.browser()
    browser.open(world.authorize_url())
    browser.open("/authorize/logout")
    kept = make_world("sqlite://", clock, routes=["* /strong session acr=urn:two", "* /** session"], **settings)
    navigation = {"Accept": "text/html", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    browser = kept.browser()
    browser.open("/form", {"a": "b"}, **navigation)
    kept.log_in(browser)
    browser.open("/strong", **navigation)


def test_templates_are_given_what_is_documented_and_nothing_else(
    memory_world: World, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, set[str]] = {}
    render = Pages._render

    def recorded(self: Pages, exchange: Exchange, name: str, context: dict[str, Any]) -> str:
        given.setdefault(name, set()).update(context)
        return render(self, exchange, name, context)

    monkeypatch.setattr(Pages, "_render", recorded)
    walk(memory_world)
    walk_elsewhere(clock)
    assert given == documented()


def test_every_page_can_be_replaced_by_a_template_with_the_documented_names(
    clock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is not there at all makes such a page fail; each of them says that it was shown."""
    shown: list[str] = []
    for page, names in documented().items():
        wanted = "".join(f"{{% if {name} is not defined %}}NO {name}{{% endif %}}" for name in sorted(names | SHARED))
        fields = '{% for name, value in fields %}<input type="hidden" name="{{ name }}" value="{{ value }}">{% endfor %}'
        hold = '<input type="hidden" name="{0}" value="{{{{ {0} }}}}">'
        own = "".join(hold.format(name) for name in ("csrf", "transaction", "next"))
        form = fields if "fields" in names else own if "csrf" in names else ""
        (tmp_path / f"{page}.html").write_text(f"<title>OWN {page}</title>{wanted}<form>{form}</form>")
    world = make_world("sqlite://", clock, templates=str(tmp_path))
    page_of = Pages._page

    def recorded(self: Pages, exchange: Exchange, body: str, *rest: Any) -> Any:
        shown.append(body)
        return page_of(self, exchange, body, *rest)

    monkeypatch.setattr(Pages, "_page", recorded)
    walk(world)
    walk_elsewhere(clock, templates=str(tmp_path))
    assert {page for page in documented() if any(f"OWN {page}<" in body for body in shown)} == documented().keys()
    assert not [body for body in shown if "NO " in body or "OWN" not in body]


def test_a_template_from_before_there_were_languages_still_works_and_may_name_its_own(clock: Any, tmp_path: Path) -> None:
    (tmp_path / "login.html").write_text(
        '{% extends "base.html" %}{% set lang = "de" %}{% block title %}Hallo{% endblock %}'
        '{% block content %}<h1>Hallo</h1>{{ message }} {{ _("Sign in") }} 100 %{% endblock %}'
    )
    world = make_world("sqlite://", clock, templates=str(tmp_path))
    page = world.browser().open("/authorize/login", Accept_Language="ja")
    assert '<html lang="de"' in page.text and "<h1>Hallo</h1>" in page.text
    assert "Anmelden 100 %" in page.text and "<title>Hallo</title>" in page.text


@pytest.mark.parametrize("tag", TAGS)
def test_pages_speak_the_readers_language_and_redirects_and_json_do_not(memory_world: World, tag: str) -> None:
    world, browser, prefers = memory_world, memory_world.browser(), {"Accept_Language": tag}
    login = browser.open(world.authorize_url(), **prefers)
    assert login.headers["Content-Language"] == tag and "Accept-Language" in login.headers.getall("Vary")
    assert f'<html lang="{tag}" dir="{"rtl" if tag == "ar" else "ltr"}">' in login.text
    wrong = browser.open("/authorize/login", {**hidden(login), "username": "ann", "password": "no"}, **prefers)
    wrong = browser.open(wrong.location, **prefers)
    error = browser.open("/authorize?client_id=x", **prefers)
    refused = send(world.gateway, "GET", "/api", headers={"Accept": "text/html", "Accept-Language": tag})
    for page, english in ((login, "Password"), (wrong, "not right"), (error, "not known here"), (refused, "is required")):
        assert (english in page.text) == (tag == "en"), english
    assert refused.headers["Content-Language"] == tag and 'error="' not in refused.headers["WWW-Authenticate"]
    told = browser.open(world.authorize_url(prompt="none"), **prefers)
    assert query_of(told.location)["error_description"] == "The person has to sign in first."
    document = send(world.gateway, "GET", "/api", headers={"Accept-Language": tag}).json
    assert document["error_description"] == "A bearer token is required."


def test_a_client_may_ask_for_the_language_and_keeps_it_on_the_way(memory_world: World) -> None:
    world, browser, prefers = memory_world, memory_world.browser(), {"Accept_Language": "en"}
    login = browser.open(world.authorize_url(ui_locales="xx de"), **prefers)
    assert ">Anmelden<" in login.text
    wrong = browser.open("/authorize/login", {**hidden(login), "username": "ann", "password": "no"}, **prefers)
    wrong = browser.open(wrong.location, **prefers)
    assert "nicht richtig" in wrong.text
    after = browser.open("/authorize/login", {**hidden(wrong), "username": "ann", "password": PASSWORD}, **prefers)
    assert ">Erlauben<" in browser.open(after.location, **prefers).text
    assert "Abmelden?" in browser.open("/authorize/logout?ui_locales=de", **prefers).text
    assert send(world.gateway, "GET", "/.well-known/openid-configuration").json["ui_locales_supported"] == list(TAGS)


def test_names_and_descriptions_in_several_languages(clock: Any) -> None:
    world = make_world("sqlite://", clock, scopes={"read": {"en": "Read", "de": "Lesen"}, "write": "Write"})
    world.clients.update(world.confidential, {"client_name#de": "Laden", "client_name#ja-JP": "店"}, world.clock())
    browser = world.browser()
    world.log_in(browser)
    page = browser.open(world.authorize_url(scope="read write"), Accept_Language="de-CH")
    assert "Laden" in page.text and "Lesen" in page.text and "Write" in page.text and "Shop" not in page.text
    assert "店" in browser.open(world.authorize_url(), Accept_Language="ja").text
    page = browser.open(world.authorize_url(), Accept_Language="fr")
    assert "Shop" in page.text and "Read" in page.text
    for name in ("client_name#", "client_name#d_e", "client_name#<b>", "scope#de"):
        with pytest.raises(ConfigurationError, match="no such member"):
            world.clients.create(now=0, **{name: "x"})
    with pytest.raises(ConfigurationError, match="texts by language"):
        gate({"scopes": {"read": {"not a tag": "x"}}})
    with pytest.raises(ConfigurationError, match="texts by language"):
        gate({"scopes": {"read": {}}})


@pytest.mark.parametrize("name", NAMES)
def test_names_in_every_script_stand_on_the_pages_as_they_are(memory_world: World, name: str) -> None:
    """R023, A054"""
    world = memory_world
    world.clients.update(world.confidential, {"client_name": name}, world.clock())
    own = name if name and "\u200d" not in name else "ann"  # people's names hold nothing invisible
    if own != "ann":
        world.gateway.server.users.create(own, PASSWORD, world.clock())
    browser = world.browser()
    pages = [browser.open(world.authorize_url())]
    world.log_in(browser, own)
    pages += [browser.open(world.authorize_url()), browser.open(world.authorize_url(prompt="select_account"))]
    pages += [browser.open("/authorize/logout?client_id=" + world.confidential.client_id), browser.open("/authorize/account")]
    shown = html.escape(name or world.confidential.client_id).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    for page in pages:
        assert page.status_code == 200 and "<script>alert" not in page.text
        assert "49" not in re.sub(r'"[^"]*"', "", page.text.replace(world.confidential.client_id, ""))
        if page is not pages[-1]:
            assert f"<bdi>{shown}</bdi>" in page.text


@pytest.mark.parametrize("name", ["gnp.\u202eelgoog", "a\u2066b", "\u200b", "   ", "\x7f", "a\u2028b", "x" * 201, "a\nb"])
def test_a_name_that_turns_round_or_shows_nothing_is_refused(memory_world: World, name: str) -> None:
    with pytest.raises(ConfigurationError, match="visible characters"):
        memory_world.clients.create(now=0, client_name=name)


def test_a_name_from_outside_cannot_turn_round_what_stands_beside_it() -> None:
    pages = Pages(gate({}))
    filters = pages._templates.filters
    assert filters["bdi"]("gnp.\u202eelgoog\u2069") == "<bdi>gnp.elgoog</bdi>"
    assert filters["name"](" ") == "<strong><bdi>–</bdi></strong>"


def test_every_page_is_small_strict_and_one_request(memory_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """R022, A049: below 30 KiB in all, no `unsafe-inline`, nothing loaded from anywhere, the style named by its digest"""
    seen = []
    page_of = Pages._page

    def recorded(self: Pages, *given: Any) -> Any:
        answer = page_of(self, *given)
        seen.append(answer)
        return answer

    monkeypatch.setattr(Pages, "_page", recorded)
    walk(memory_world)
    assert len(seen) > 10
    for answer in seen:
        headers, text = dict(answer.headers), answer.body.decode()
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy and policy.startswith("default-src 'none'; style-src 'self' 'sha256-")
        assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy and headers["X-Frame-Options"] == "DENY"
        assert len(re.sub(r"s{5000}", "", text)) < 12 * 1024
        assert not re.search(r'<link|<img|@import|url\(| style="| on\w+="', text)
        assert text.count("<h1>") == 1 and text.count("<main>") == 1
    logo = ROOT / "tests" / "accessibility" / "logo.svg"
    most = Pages(gate({"brand": {"name": "x", "logo": str(logo)}}))._templates.globals["brand_logo"]
    assert str(most).startswith("data:image/svg+xml;base64,")
    assert brand.MOST_LOGO_BYTES * 4 / 3 + max(len(answer.body) for answer in seen) < 30 * 1024


@pytest.mark.parametrize("colour", "#000000 #ffffff #ffeb3b #1f5fbf #7c3aed #808080 #ff0000 #00ff00 #0000ff #171c22".split())
def test_any_colour_contrasts_by_day_and_by_night(colour: str) -> None:
    for scheme, card in CARDS.items():
        tone = tones(colour, card)
        assert contrast(tone.on_fill, tone.fill) >= 4.5
        assert contrast(tone.link, card) >= 4.5 and contrast(tone.edge, card) >= 3
        assert (tone.edge != colour) == any(f"the {scheme} page" in text for text in brand.advice(colour))
    style = (ROOT / "oauth_gateway" / "templates" / "style.css").read_text()
    assert "--card:#fff;" in style and f"--card:{CARDS['dark']};" in style and "BRAND" not in brand.style(style, colour)


def test_the_colours_of_the_style_sheet_contrast() -> None:
    style = (ROOT / "oauth_gateway" / "templates" / "style.css").read_text()
    for block in re.findall(r":root\{([^}]*)\}", style):
        named = dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{3,6})", block))
        colour = {name: value if len(value) == 7 else "#" + "".join(c * 2 for c in value[1:]) for name, value in named.items()}
        for text, ground in (("text", "card"), ("quiet", "card"), ("quiet", "note"), ("text", "note"), ("text", "field")):
            assert contrast(colour[text], colour[ground]) >= 4.5, (text, ground)
        assert contrast(colour["bad"], colour["bad-ground"]) >= 4.5 and contrast(colour["good"], colour["good-ground"]) >= 4.5
        assert contrast(colour["rim"], colour["card"]) >= 3


def test_a_consent_page_that_has_become_a_strangers_leads_back_to_its_request(memory_world: World) -> None:
    """Somebody signed out and in again in another tab: the old page cannot decide any more, and says where to go on."""
    world, browser = memory_world, memory_world.browser()
    world.log_in(browser)
    old = hidden(browser.open(world.authorize_url(state="mine")))
    world.log_in(browser)
    browser.open("/authorize/logout", hidden(browser.open("/authorize/logout")))
    world.log_in(browser)
    page = browser.open("/authorize", {**old, "decision": "allow"})
    assert page.status_code == 403 and "no longer current" in page.text
    again = html.unescape(re.findall(r'<a class="button" href="([^"]*)">Start again', page.text)[0])
    assert again.startswith("https://api.example.com/authorize?")
    answer = browser.open("/authorize", {**hidden(browser.open(again)), "decision": "allow"})
    assert answer.location.startswith(CALLBACK) and query_of(answer.location)["state"] == "mine"
    for hostile in ("//evil.test", "https://evil.test/", "x\r\nSet-Cookie: a=b", "javascript:alert(1)"):
        page = browser.open("/authorize", {"decision": "allow", "csrf": "x", "next": hostile})
        links = re.findall(r'href="([^"]*)"', page.text)
        assert page.status_code == 403 and all(link.startswith("https://api.example.com/authorize") for link in links), "A044"


@pytest.mark.parametrize("path", ["/authorize/logout", "/authorize/account"])
def test_other_forms_that_are_too_old_say_where_there_is_a_new_one(memory_world: World, path: str) -> None:
    browser = memory_world.browser()
    memory_world.log_in(browser)
    page = browser.open(path, {"csrf": "x", "session": "y"})
    assert page.status_code == 403 and f'href="https://api.example.com{path}">Start again' in page.text


def test_claims_have_sentences_of_their_own() -> None:
    assert len({str(sentence) for sentence in CLAIMS.values()}) == len(CLAIMS)


def test_an_error_page_shows_no_text_of_the_request(memory_world: World) -> None:
    """A054"""
    world = memory_world
    page = Pages(world.gateway.settings).error(
        Exchange({"REQUEST_METHOD": "GET"}, world.gateway.settings), OAuthError("invalid_request", "<script>", again='a"><b>')
    )
    assert b"<script>" not in page.body and b"<b>" not in page.body
    found = world.browser().open("/authorize?client_id=%3Cscript%3E&client_id=%3Cscript%3E&ui_locales=%3Cscript%3E")
    assert "script" not in found.text and isinstance(world.gateway, OAuthGateway)
