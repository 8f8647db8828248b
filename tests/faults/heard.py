"""What gateways make known while they are struck."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oauth_gateway.fetch import Fetcher
from oauth_gateway.jwt_access_tokens import JwtAccessTokens
from oauth_gateway.sealing import Sealer


class Heard:
    """What the gateways of this process made known: every access token that was made, and every logout that was told."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.minted: list[str] = []
        self.posted: list[str] = []
        self.told: Callable[[Any], object] = lambda message: None
        self._listen(patch)

    def hear(self, kind: str, text: str) -> None:
        (self.minted if kind == "minted" else self.posted).append(text)
        self.told((kind, text))

    def _listen(self, patch: pytest.MonkeyPatch) -> None:
        issue, issue_jwt = Sealer.issue, JwtAccessTokens.issue

        def issued(sealer: Sealer, kind: str, *given: Any) -> Any:
            made = issue(sealer, kind, *given)
            if kind == "at":
                self.hear("minted", made[0])
            return made

        def issued_jwt(jwts: JwtAccessTokens, *given: Any, **named: Any) -> Any:
            made = issue_jwt(jwts, *given, **named)
            self.hear("minted", made[0])
            return made

        def post(fetcher: Fetcher, url: str, form: dict[str, str]) -> int:
            self.hear("posted", url)
            return 200

        patch.setattr(Sealer, "issue", issued)
        patch.setattr(JwtAccessTokens, "issue", issued_jwt)
        patch.setattr(Fetcher, "post", post)
