"""Who else acts between two calls of a flow: another process, another request, or time."""

from __future__ import annotations

from collections.abc import Callable

from oauth_gateway.models import AuthorizationCode

from .steps import Case

Act = Callable[[Case], None]


def _code(case: Case) -> AuthorizationCode | None:
    credential = case.peer.gateway.server.sealer.recognise(case.facts.get("code", ""))
    if credential is None:
        return None
    found: AuthorizationCode | None = case.peer.gateway.store.code(credential.number, credential.digest, dormant=True)
    return found


def revoke_grant(case: Case) -> None:
    code = _code(case)
    if code is not None:
        case.peer.gateway.store.revoke_grant(code.grant.id, case.world.clock())
        case.facts["doomed"] = True


def delete_client(case: Case) -> None:
    case.peer.clients.delete(case.world.confidential.client_id, case.world.clock())
    case.facts["doomed"] = True


def disable_user(case: Case) -> None:
    users = case.peer.gateway.server.users
    users.set_disabled(users.named(case.name), True, case.world.clock())
    case.facts["doomed"] = True


def end_sessions(case: Case) -> None:
    store = case.peer.gateway.store
    for session in store.sessions(case.peer.gateway.server.users.named(case.name).user_id):
        store.end_session(case.world.clock(), sid=session.sid)
        case.facts["doomed"] = True


def replay_code(case: Case) -> None:
    """The same client with the same verifier: whoever comes second, both are worth nothing then."""
    if "code" in case.facts:
        answer = case.peer.redeem(case.facts["code"])
        if answer.status_code == 200:
            case.facts["stolen"] = answer.json["access_token"]
        case.facts["doomed"] = True


def replay_refresh(case: Case) -> None:
    """Within the grace: both get the same answer."""
    answer = case.peer.refresh(case.facts["refresh"])
    assert answer.status_code == 200, answer.text
    case.facts["stolen"] = answer.json["access_token"]


def rotate_keys(case: Case) -> None:
    case.peer.gateway.server.keys.rotate(case.world.clock())


def revoke_key(case: Case) -> None:
    keys, now = case.peer.gateway.server.keys, case.world.clock()
    if any(key.kid == case.facts["kid"] and state != "revoked" for key, state, _ in keys.listed(now)):
        keys.revoke(case.facts["kid"], now)


def a_minute_passes(case: Case) -> None:
    """What that means is not known here, but all must agree."""
    case.world.clock.advance(61)
    case.facts["unsure"] = True


def the_grace_passes(case: Case) -> None:
    case.world.clock.advance(11)
    case.facts["unsure"] = True
