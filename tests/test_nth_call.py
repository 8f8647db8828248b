"""Whatever fails, at whichever call: the n-th call of a flow fails, for n = 1, 2, 3, ... until a run is left untouched (A090).

After each n a healthy store is looked at: nobody got more than is due, nothing is half there, and trying again works.
"""

from __future__ import annotations

import pytest

from .conftest import ENGINES
from .faults import actors
from .faults.actors import Act
from .faults.flows import CALLS, ENDS, FEW, FLOWS, TOKENS, WRITING
from .faults.points import BEFORE, BETWEEN, WRITES
from .faults.scenes import Mode
from .faults.stage import Open, heard, its_time, on_engines, opened, quickly, run, scene  # noqa: F401

RAISES = Mode("raises")
AWAY = Mode("is away", places=BEFORE, lasting=True)
KILLED = Mode("is killed", places=WRITES, kills=True, patient=True)
MEANWHILE: dict[str, tuple[Act, ...]] = {
    "a code": (actors.disable_user,),
    "a code, signed in": (
        *(actors.revoke_grant, actors.delete_client, actors.end_sessions, actors.replay_code, actors.a_minute_passes),
    ),
    "a refresh": (
        *(actors.revoke_grant, actors.disable_user, actors.end_sessions, actors.replay_refresh, actors.the_grace_passes),
    ),
    "a refresh token replayed": (actors.disable_user,),
    "a code replayed": (actors.delete_client,),
    "a refresh token revoked": (actors.delete_client,),
    "introspection": (actors.revoke_grant,),
    "a call, cold": (actors.revoke_grant, actors.delete_client),
    "a call, warm": (actors.revoke_grant, actors.disable_user),
    "a call with a JWT": (actors.revoke_grant, actors.rotate_keys),
    "access taken back": (actors.revoke_grant, actors.disable_user, actors.end_sessions),
    "a password changed": (actors.disable_user, actors.end_sessions),
    "a logout": (actors.end_sessions, actors.delete_client),
    "keys rotated": (actors.rotate_keys,),
    "a key revoked": (actors.revoke_key,),
}


@on_engines(
    *("a code", *TOKENS, *ENDS, "a password changed", "introspection", *CALLS, "keys rotated"),
    also=FLOWS,
    postgresql=FEW[:2],
    mysql=FEW[:2],
    redis=FEW,
)
def test_a_store_that_fails_at_the_nth_call(scene: Open, flow: str) -> None:  # noqa: F811
    run(scene, flow, RAISES)


@on_engines("a code redeemed", "a logout", "introspection", *CALLS, also=FLOWS)
def test_a_store_that_is_away_from_the_nth_call_on(scene: Open, flow: str) -> None:  # noqa: F811
    run(scene, flow, AWAY)


@on_engines("a code", "a refresh", "a code replayed", *ENDS[1:], also=WRITING)
def test_a_process_that_is_killed_at_the_nth_call(scene: Open, flow: str) -> None:  # noqa: F811
    run(scene, flow, KILLED)


@pytest.mark.parametrize("scene", [engine for engine in ENGINES if engine == "sqlite"], indirect=True)
@pytest.mark.parametrize(("flow", "act"), [(flow, act) for flow, acts in MEANWHILE.items() for act in acts])
def test_somebody_else_acts_after_the_nth_call(scene: Open, flow: str, act: Act) -> None:  # noqa: F811
    run(scene, flow, Mode(act.__name__, places=BETWEEN, acts=act))
