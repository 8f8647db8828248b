"""What faults strike: flows of clients, people and operators, and what must come of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import account_steps as mine
from . import steps as do
from .steps import Step

SIGN_IN: tuple[Step, ...] = (do.see_login, do.log_in)
CODE: tuple[Step, ...] = (do.ask, do.decide)
FAMILY: tuple[Step, ...] = (do.signed_in, *CODE, do.redeem)
WITH_DEAD: tuple[Step, ...] = (*FAMILY, do.revoked_token)
JWT = {"access_token_format": "jwt"}


@dataclass(frozen=True)
class Flow:
    """`before` is done by an undisturbed gateway, `steps` by the one that faults strike.

    `alive` and `dead` name the tokens whose fate is known once the flow is through; where trying again was `refused`, which
    only some flows may be, everything is dead. `late` seconds pass before the steps.
    """

    steps: tuple[Step, ...]
    before: tuple[Step, ...] = ()
    alive: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    refused: str = "nothing"  # a pattern
    late: float = 0
    warm: bool = True  # whether the gateways have seen the tokens before
    shared: bool = False  # whether people and clients are still good afterwards, so that the next run may have the same
    lost_live: bool = False  # whether a token whose answer was lost lives on, known to nobody
    settings: Mapping[str, Any] = field(default_factory=dict)


USES = (do.use, do.use_dead, do.use_after_a_second)
FLOWS: dict[str, Flow] = {
    "a code": Flow((*SIGN_IN, *CODE, do.redeem, do.use), (), ("access",), refused="invalid_grant"),
    "a code, signed in": Flow((*CODE, do.redeem, do.use), (do.signed_in,), ("access",), refused="invalid_grant"),
    "a code redeemed": Flow((do.redeem, do.use), (do.signed_in, *CODE), ("access",), refused="invalid_grant"),
    "a refresh": Flow((do.refresh,), FAMILY, ("access", "access2"), refused="invalid_grant", shared=True),
    "a refresh token replayed": Flow(
        (do.replay_refresh,), (*FAMILY, do.refresh), dead=("access", "access2"), late=11, shared=True
    ),
    "a code replayed": Flow((do.replay_code,), FAMILY, dead=("access",), shared=True),
    "a wrong verifier": Flow(
        (do.wrong_verifier, do.redeem), (do.signed_in, *CODE), ("access",), refused="invalid_grant", shared=True
    ),
    "an access token revoked": Flow((do.revoke_access,), FAMILY, dead=("access",), shared=True),
    "a refresh token revoked": Flow((do.revoke_refresh,), (*FAMILY, do.refresh), dead=("access", "access2"), shared=True),
    "a client's own token": Flow((do.own_token,), (), ("machine",), lost_live=True, shared=True),
    "introspection": Flow((do.introspect, do.introspect_dead), WITH_DEAD, ("access",), ("dead",), shared=True),
    "a call, cold": Flow(
        (do.use_public, do.use_garbage, do.use, do.use_dead), WITH_DEAD, ("access",), ("dead",), warm=False, shared=True
    ),
    "a call, warm": Flow(USES, WITH_DEAD, ("access",), ("dead",), shared=True),
    "a call with a JWT": Flow(USES, WITH_DEAD, ("access",), ("dead",), settings=JWT, shared=True),
    "a logout": Flow((do.log_out, do.tell_parties), FAMILY, dead=("access",)),
    "a logout everywhere": Flow((mine.see_sign_out, mine.sign_out_everywhere, do.tell_parties), FAMILY, dead=("access",)),
    "access taken back": Flow(
        (mine.see_account, mine.take_access_back), FAMILY, dead=("access",), refused="login", shared=True
    ),
    "a password changed": Flow((mine.see_password, mine.change_password, mine.log_in_with_it), FAMILY),
    "a person disabled": Flow((do.disable_user,), FAMILY, dead=("access",)),
    "a client deleted": Flow((do.delete_client,), FAMILY, dead=("access",), refused="there is no such client"),
    "keys rotated": Flow((do.rotate_keys,), FAMILY, ("access",), settings=JWT, shared=True),
    "keys rotated at once": Flow((do.rotate_keys_at_once,), FAMILY, ("access",), settings=JWT, shared=True),
    "a key revoked": Flow(
        (do.revoke_key,), (*FAMILY, do.see_key), dead=("access",), refused="revoked already", settings=JWT, shared=True
    ),
}

READING = ("introspection", "a call, cold", "a call, warm", "a call with a JWT")
WRITING = tuple(name for name in FLOWS if name not in READING)
CALLS = ("a call, cold", "a call, warm", "a call with a JWT")
TOKENS = ("a refresh", "a wrong verifier", "a client's own token", "a refresh token replayed", "a code replayed")
ENDS = (
    "an access token revoked",
    "a refresh token revoked",
    "access taken back",
    "a logout",
    "a person disabled",
    "a client deleted",
)
FEW = ("a code redeemed", "a refresh", "a code replayed", "a refresh token revoked", "a logout")
