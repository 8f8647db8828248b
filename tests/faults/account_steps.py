"""What people do on the pages of their account."""

from __future__ import annotations

import re

import webob

from oauth_gateway.models import public_id

from ..conftest import PASSWORD, hidden
from .steps import Case, Facts, Refused, answered

ACCOUNT, NEW = "/authorize/account", "another battery, a new horse"


def see_account(case: Case) -> Facts:
    found = re.search(r'account">\s*<input type="hidden" name="csrf" value="([^"]+)"', _page(case, ACCOUNT).text)
    assert found, "nothing is listed"
    return {"account": found[1]}


def _page(case: Case, path: str) -> webob.Response:
    page = answered(case.browser().open(path))
    if page.status_code == 303:
        raise Refused("login")
    return page


def take_access_back(case: Case) -> None:
    form = {"csrf": case.facts["account"], "client": public_id(case.world.confidential.number)}
    answer = answered(case.browser().open(ACCOUNT, form))
    if "done=access" not in answer.location:
        raise Refused("login")


def see_sign_out(case: Case) -> Facts:
    return {"sign_out": hidden(_page(case, ACCOUNT))}


def sign_out_everywhere(case: Case) -> None:
    answered(case.browser().open("/authorize/logout", {**case.facts["sign_out"], "everywhere": "yes"}))


def see_password(case: Case) -> Facts:
    return {"form": hidden(_page(case, f"{ACCOUNT}/password"))}


def change_password(case: Case) -> None:
    """Whoever was not answered tries again, and is then told that the current password is another, or to sign in."""
    form = {**case.facts["form"], "password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    answered(case.browser().open(f"{ACCOUNT}/password", form))


def log_in_with_it(case: Case) -> None:
    page = answered(case.browser().open("/authorize/login"))
    if page.status_code == 200:
        answered(case.browser().open("/authorize/login", {**hidden(page), "username": case.name, "password": NEW}))
