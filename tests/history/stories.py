"""Stories that break a promise, with the violation's name, and stories that break none."""

from __future__ import annotations

from .ledger import UNKNOWN, UNSENT
from .story import Story

VIOLATIONS: dict[str, tuple[str, Story]] = {
    "a code pays twice": ("code bought twice", Story().family().redeemed(3, "c", "2")),
    "a code pays twice at once": ("code bought twice", Story().code(1, "c").redeemed(2, "c", "1").redeemed(2.1, "c", "2")),
    "a code pays twice, much later": ("code bought twice", Story().family().redeemed(900, "c", "2")),
    "a code is not known": ("code lost", Story().code(1, "c").refused(2, "redeem", "c")),
    "a refresh token pays twice": (
        "refresh token paid twice",
        Story().family().refreshed(3, "r1", "2").refreshed(4, "r1", "3"),
    ),
    "the same answer after the grace": (
        "refresh token reused",
        Story(grace=10).family().refreshed(3, "r1", "2").refreshed(14, "r1", "2"),
    ),
    "the same answer after the successor was used": (
        "refresh token reused",
        Story().family().refreshed(3, "r1", "2").refreshed(4, "r2", "3").refreshed(5, "r1", "2"),
    ),
    "a refresh token is not known": ("refresh token lost", Story().family().refused(3, "refresh", "r1")),
    "a repeated refresh is refused within the grace": (
        "refresh token lost",
        Story(grace=10).family().refreshed(3, "r1", "2").refused(5, "refresh", "r1"),
    ),
    "a refresh whose answer was lost cannot be repeated": (
        "refresh token lost",
        Story(grace=10).family().lost(3, "refresh", "r1").refused(5, "refresh", "r1"),
    ),
    "a refresh token works after its revocation": (
        "revoked token accepted",
        Story().family().revoked(3, "r1").refreshed(4, "r1", "2"),
    ),
    "a successor works after a revocation": (
        "revoked token accepted",
        Story().family().refreshed(3, "r1", "2").revoked(4, "r1").refreshed(5, "r2", "3"),
    ),
    "an access token is not known": ("token lost", Story().family().called(3, "a1").refused(4, "call", "a1")),
    "an access token is lost with another's revocation": (
        "token lost",
        Story().family().refreshed(3, "r1", "2").revoked(4, "a2").refused(5, "call", "a1"),
    ),
    "a token of a client is not known": ("token lost", Story().machine(1, "m").refused(2, "call", "m")),
    "a token is lost before it is revoked": ("token lost", Story().machine(1, "m").refused(2, "call", "m").revoked(3, "m")),
    "introspection does not know a token": ("token lost", Story().machine(1, "m").asked(2, "m", False)),
    "introspection does not know a refresh token": ("token lost", Story().family().asked(3, "r1", False)),
    "a revoked access token is accepted": ("revoked token accepted", Story().family().revoked(3, "a1").called(4, "a1")),
    "a revoked token of a client is accepted": (
        "revoked token accepted",
        Story().machine(1, "m").revoked(2, "m").called(3, "m"),
    ),
    "a revoked token is accepted a moment later": (
        "revoked token accepted",
        Story().family().revoked(3, "a1", lasts=0.5).called(3.5001, "a1"),
    ),
    "a token of a revoked grant is accepted": ("revoked token accepted", Story().family().revoked(3, "r1").called(4, "a1")),
    "a token of a replayed code is accepted": (
        "revoked token accepted",
        Story().family().refused(3, "redeem", "c").called(4, "a1"),
    ),
    "a token of a raced code is accepted": (
        "revoked token accepted",
        Story().code(1, "c").redeemed(2, "c", "1").refused(2.1, "redeem", "c").called(4, "a1"),
    ),
    "a token of a family whose refresh token was reused is accepted": (
        "revoked token accepted",
        Story().family().refreshed(3, "r1", "2").refreshed(4, "r2", "3").refused(5, "refresh", "r1").called(6, "a3"),
    ),
    "a revocation that may come late comes too late": (
        "revoked token accepted",
        Story(revocation=2).family().revoked(3, "a1").called(6, "a1"),
    ),
    "introspection does not know of a revocation": (
        "introspection too late",
        Story().family().revoked(3, "r1").asked(4, "a1", True),
    ),
    "introspection is late though calls may be": (
        "introspection too late",
        Story(revocation=2).family().revoked(3, "a1").asked(4, "a1", True),
    ),
    "introspection takes a used refresh token for a good one": (
        "introspection too late",
        Story().family().refreshed(3, "r1", "2").asked(4, "r1", True),
    ),
    "what was refused works again": (
        "revocation undone",
        Story().family().lost(3, "revoke", "r1").refused(4, "call", "a1").called(9, "a1"),
    ),
    "an exception": ("unexpected answer", Story().tell(1, "call", "a", UNKNOWN, status=500)),
    "another status": ("unexpected answer", Story().tell(1, "machine", None, "refused", status=401)),
    "another error": ("unexpected answer", Story().code(1, "c").refused(2, "redeem", "c", error="invalid_client")),
    "a success without a token": ("unexpected answer", Story().tell(1, "machine")),
    "503 without Retry-After": ("503 without Retry-After", Story().tell(1, "call", "a", UNKNOWN, status=503, retry_after="")),
    "one token for two": ("token handed out twice", Story().machine(1, "m").machine(2, "m")),
    "a session is not known": ("session lost", Story().code(1, "c", signed_in=True, asked_to_sign_in=True)),
    "requests fail long after the last fault": (
        "not recovered",
        Story(recovery=4).event("healed", 10).tell(15, "call", "a", UNKNOWN, status=503, retry_after="1"),
    ),
    "a host is not there after the last fault": (
        "not recovered",
        Story(recovery=4, hosts=2).event("healed", 10).machine(12, "m").called(15, "m", host=0),
    ),
    "a host ended by itself": ("a host gave up", Story().event("gave up", 3)),
}

INNOCENT: dict[str, Story] = {
    "a quiet life": Story().family().called(3, "a1").refreshed(4, "r1", "2").asked(5, "a2", True).called(6, "a1"),
    "a code whose first redemption was lost may be spent": (
        Story().code(1, "c").lost(2, "redeem", "c").refused(3, "redeem", "c")
    ),
    "a code whose first redemption was never sent pays": (
        Story().code(1, "c").tell(2, "redeem", "c", UNSENT).redeemed(3, "c", "1").called(4, "a1")
    ),
    "an old code is refused": Story(code_lifetime=60).code(1, "c").refused(62, "redeem", "c"),
    "a replayed code ends its tokens": Story().family().refused(3, "redeem", "c").refused(4, "call", "a1"),
    "a replay without an answer may end its tokens": Story().family().lost(3, "redeem", "c").refused(4, "call", "a1"),
    "a replay without an answer may end nothing": Story().family().lost(3, "redeem", "c").called(4, "a1"),
    "a call that overlaps the revocation": Story()
    .family()
    .revoked(3, "a1", lasts=1)
    .called(3.5, "a1")
    .refused(3.6, "call", "a1"),
    "a call that ends after the revocation and began before": Story().family().revoked(3, "a1").called(2.9, "a1", lasts=5),
    "a revocation without an answer may have happened": Story().family().lost(3, "revoke", "a1").refused(4, "call", "a1"),
    "a revocation without an answer may be to come": Story()
    .family()
    .lost(3, "revoke", "a1")
    .called(4, "a1")
    .refused(5, "call", "a1"),
    "the same answer within the grace": Story(grace=10)
    .family()
    .refreshed(3, "r1", "2")
    .refreshed(5, "r1", "2")
    .called(6, "a2"),
    "a refresh whose answer was lost is repeated": Story(grace=10).family().lost(3, "refresh", "r1").refreshed(5, "r1", "2"),
    "a refresh at the end of the grace may go either way": (
        Story(grace=10).family().refreshed(3, "r1", "2").refused(12.9, "refresh", "r1").refused(14, "call", "a2")
    ),
    "a refresh that lingers may end the family when it comes last": (
        Story()
        .family()
        .lost(3, "refresh", "r1", "timeout")
        .refreshed(4, "r1", "2")
        .refreshed(5, "r2", "3")
        .refused(6, "call", "a3")
    ),
    "a reuse ends the family": (
        Story().family().refreshed(3, "r1", "2").refreshed(4, "r2", "3").refused(5, "refresh", "r1").refused(6, "call", "a1")
    ),
    "an old refresh token's revocation ends the family": (
        Story().family().refreshed(3, "r1", "2").revoked(4, "r1").refused(5, "call", "a2").asked(6, "r2", False)
    ),
    "a revocation that may come late comes in time": (
        Story(revocation=2).family().revoked(3, "a1").called(5, "a1").refused(7, "call", "a1")
    ),
    "a used refresh token is not active": Story().family().refreshed(3, "r1", "2").asked(4, "r1", False),
    "nobody was there": Story(recovery=4).event("healed", 10).tell(13, "call", "a", UNSENT, status=None),
    "503 says when to ask again": Story().machine(1, "a").tell(2, "call", "a", UNKNOWN, status=503, retry_after="1"),
}
