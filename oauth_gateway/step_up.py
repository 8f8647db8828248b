"""Routes that want more than a scope: a claim, or a recent login or a kind of it (RFC 9470); the judges, and the challenge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import clock
from .errors import OAuthError
from .foreign import claim_of
from .models import Token
from .policy import JUDGED, Decision, Word
from .sentences import Sentence

Judge = Callable[[Token, str, dict[str, Any]], Any]  # (token, the word's value, environ) gives True where the request may pass
DESCRIPTION = Sentence("A different or more recent authentication is required.")


def has_acr(token: Token, value: str, environ: dict[str, Any]) -> bool:
    """Whether the person signed in in one of the ways that `value` names, with commas between."""
    return token.acr is not None and token.acr in value.split(",")


def is_recent(token: Token, value: str, environ: dict[str, Any]) -> bool:
    """Whether the person is known to have signed in at most `value` seconds ago."""
    return token.auth_time is not None and clock.now() - token.auth_time <= int(value)


def has_claim(token: Token, value: str, environ: dict[str, Any]) -> bool:
    """Whether the token has the claim with one of the values that NAME=a,b names; of a list one item is enough."""
    name, _, wanted = value.partition("=")
    claim = claim_of(token.claims, name)
    texts = [_text(item) for item in (claim if isinstance(claim, list) else [claim])]
    return any(text in texts for text in wanted.split(","))


def _text(value: Any) -> str | None:
    """A claim's value as a rule writes it; None for what no rule can mean."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int)) else None


JUDGES: dict[str, Judge] = {"acr": has_acr, "max_age": is_recent, "claim": has_claim}


def look_closer(token: Token, decision: Decision, judges: Mapping[str, Judge], environ: dict[str, Any]) -> None:
    """Raise OAuthError unless all judges of the rules' words let the token pass; whoever does not say True does not."""
    refused = [word for word in decision.words if judges[word[0]](token, word[1], environ) is not True]
    if not refused:
        return
    if any(name not in JUDGED for name, _ in refused):
        refusal = OAuthError("access_denied", Sentence("This is not allowed."), 403)
    else:
        scope = " ".join(sorted(decision.scopes))
        parameters = demands(decision.words)
        refusal = OAuthError("insufficient_user_authentication", DESCRIPTION, 401, scope=scope, parameters=parameters)
    refusal.token = token
    raise refusal


def demands(words: Iterable[Word]) -> tuple[tuple[str, str], ...]:
    """What a challenge names of `words`, all rules together (section 3): the values of acr that all take, the shortest age."""
    acr = [value.split(",") for name, value in words if name == "acr"]
    ages = [int(value) for name, value in words if name == "max_age"]
    common = [value for value in acr[0] if all(value in each for each in acr)] if acr else []
    found = (("acr_values", " ".join(common or (acr[0] if acr else ()))), ("max_age", str(min(ages)) if ages else ""))
    return tuple((name, value) for name, value in found if value)
