"""Two nodes behind nginx are one deployment (examples/many_nodes, docs/scaling.md)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import World, hidden, query_of
from .test_rotation_under_load import meanwhile
from .two_nodes import CLIENT, Deployment, wait


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with Deployment(tmp_path_factory.mktemp("nodes")) as made:
        yield made
        logs = "".join(node.log() for node in made.nodes) + (made.folder / "access.log").read_text()
        assert "oga1_" not in logs, "a token is in a log"


def node_of(world: World, token: str) -> str:
    answer = world.call(token)
    assert answer.status_code == 200, answer.text
    return str(answer.json["node"])


def test_a_code_of_one_node_is_redeemed_at_the_other(deployed: Deployment) -> None:
    one, two = deployed.at
    for issuer, redeemer in ((one, two), (two, one), (deployed.front, deployed.front)):
        answer = redeemer.redeem(issuer.code())
        assert answer.status_code == 200, answer.text
        for world in (one, two, deployed.front):
            assert world.call(answer.json["access_token"]).json["user"] == "ann"


def test_nginx_has_both_nodes_do_the_work(deployed: Deployment) -> None:
    token = deployed.front.machine_token()
    assert {node_of(deployed.front, token) for _ in range(10)} == {str(node.port) for node in deployed.nodes}


def test_a_token_revoked_at_one_node_is_refused_by_the_other_at_once(deployed: Deployment) -> None:
    one, two = deployed.at
    everywhere = (one, two, deployed.front, deployed.front)  # twice: nginx asks one and then the other
    for revoker in (one, two, deployed.front) * 5:
        token = one.machine_token()
        assert {world.call(token).status_code for world in everywhere} == {200}, "both remember it"
        assert revoker.revoke(token, revoker.machine).status_code == 200
        assert {world.call(token).status_code for world in everywhere} == {401}


def test_a_person_who_signed_in_is_known_to_both_nodes_and_signed_out_of_both(deployed: Deployment) -> None:
    front, (one, two) = deployed.front, deployed.at
    browser = front.browser()
    front.log_in(browser)
    for world in (one, two, front):
        elsewhere = world.browser()
        elsewhere.cookies = browser.cookies
        assert "ann" in elsewhere.open("/authorize/account").text
        assert world.redeem(world.code(browser=elsewhere)).status_code == 200
    page = browser.open("/authorize/logout")
    assert browser.open("/authorize/logout", hidden(page)).status_code < 400
    for world in (one, two, front):
        elsewhere = world.browser()
        elsewhere.cookies = dict(browser.cookies)
        assert "ann" not in elsewhere.open("/authorize/account").text


def test_guesses_at_both_nodes_are_counted_together(deployed: Deployment) -> None:
    """Ten a name and address, whichever node they are tried at"""
    worlds = [*deployed.at, deployed.front]
    tried = []
    for number in range(11):
        world = worlds[number % 3]
        tried.append(world.log_in(world.browser(), "bob", "wrong password", "").status_code)
    assert tried[:10] == [400] * 10 and tried[10] == 429, tried


def test_events_and_throttles_know_the_client_s_address_and_not_nginx_s(deployed: Deployment) -> None:
    token = deployed.front.machine_token()
    claimed = deployed.front.call("nonsense", X_Forwarded_For="203.0.113.9", X_Real_IP="203.0.113.9")
    assert claimed.status_code == 401 and deployed.front.call(token).status_code == 200
    told = "".join(node.log() for node in deployed.nodes)
    addresses = set(re.findall(r'(?:token\.issued|request\.refused|user\.login).* address="([^"]*)"', told))
    assert addresses == {CLIENT}


def test_health_is_asked_at_each_node_and_not_through_nginx(deployed: Deployment) -> None:
    """A104"""
    assert [(node.health("live"), node.health("ready")) for node in deployed.nodes] == [(200, 200)] * 2
    for path in ("/token/health/ready", "/token/health/live", "/token/%68ealth/ready", "//token/health/ready"):
        assert deployed.front.call(None, path).status_code in (401, 404), path


def test_clients_do_not_notice_a_node_that_is_killed(deployed: Deployment) -> None:
    """A090: what it had in hand goes to the other node, save a POST that may have been done"""
    front, (one, two) = deployed.front, deployed.nodes
    token, calls = front.machine_token(), []
    with ThreadPoolExecutor(16) as pool:
        for method in ("GET", "POST"):
            while {port for done, port in deployed.slow() if done == method} != {str(one.port), str(two.port)}:
                calls.append((method, pool.submit(front.call, token, "/slow/x", method)))
                wait(lambda: len(deployed.slow()) == len(calls), "it is in hand")
        posts = Counter(port for method, port in deployed.slow() if method == "POST")
        one.kill()
        deployed.release()
        answers = Counter((method, call.result().status_code) for method, call in calls)
    assert answers["GET", 200] == sum(method == "GET" for method, _ in calls)
    assert (answers["POST", 200], answers["POST", 502]) == (posts[str(two.port)], posts[str(one.port)])
    assert Counter(port for method, port in deployed.slow() if method == "POST") == posts, "none was done twice"
    for _ in range(10):  # the other node does everything
        assert node_of(front, front.machine_token()) == str(two.port)
    one.start()
    one.wait_until_ready()
    wait(lambda: node_of(front, token) == str(one.port), "nginx tries it again")


def test_an_answer_that_died_with_its_worker_is_had_again_where_that_is_safe(deployed: Deployment) -> None:
    """A090: nginx repeats no POST /token; of a revocation the client notices nothing"""
    front = deployed.front
    browser = front.browser()
    front.log_in(browser)
    tokens = front.redeem(front.code(browser=browser)).json
    deployed.die_at("token.refreshed")
    assert front.refresh(tokens["refresh_token"]).status_code == 502
    again = front.refresh(tokens["refresh_token"])
    assert again.status_code == 200 and front.call(again.json["access_token"]).status_code == 200

    deployed.die_at("token.revoked")
    assert front.revoke(again.json["access_token"]).status_code == 200, "nginx asked the other node"
    assert front.call(again.json["access_token"]).status_code == 401

    code = front.code(browser=browser)
    deployed.die_at("token.issued")
    assert front.redeem(code).status_code == 502
    lost = front.redeem(code)
    assert (lost.status_code, lost.json["error"]) == (400, "invalid_grant"), "it was redeemed: a replay"
    answer = browser.open(front.authorize_url())
    assert answer.status_code == 303, "nobody is asked again"
    assert front.redeem(query_of(answer.location)["code"]).status_code == 200


def test_both_nodes_restart_one_after_the_other_without_a_failed_request(deployed: Deployment) -> None:
    """A091, A106"""
    front = deployed.front
    token, tokens = front.machine_token(), front.tokens()
    newest, seen = [tokens["refresh_token"]], set()

    def protected() -> None:
        seen.add(node_of(front, token))

    def machine() -> None:
        front.machine_token()

    def posted() -> None:
        assert front.call(token, "/thing", "POST").status_code == 200

    def refreshed() -> None:
        answer = front.refresh(newest[0])
        assert answer.status_code == 200, answer.text
        newest[0] = answer.json["refresh_token"]

    with meanwhile(protected, machine, posted, refreshed):
        for node in deployed.nodes:
            with deployed.without(node):
                seen.clear()
                wait(lambda: seen, "what it still had in hand was answered")
                seen.clear()
                node.stop()
                node.start()
                node.wait_until_ready()
                assert str(node.port) not in seen
            wait(lambda node=node: str(node.port) in seen, "it has its share again")


def test_a_database_that_is_away_is_the_gateway_s_503_and_costs_no_node(deployed: Deployment) -> None:
    """A097: nginx would take every node for dead if 503 were among what it counts"""
    front = deployed.front
    token = front.machine_token()
    deployed.database.stop()
    try:
        wait(lambda: [node.health("ready") for node in deployed.nodes] == [503, 503], "no node is ready")
        assert [node.health("live") for node in deployed.nodes] == [200, 200]
        for _ in range(10):
            refused = front.call(token)
            assert refused.status_code == 503 and refused.headers["Retry-After"] and refused.json["error"]
    finally:
        deployed.database.start()
    for node in deployed.nodes:
        node.wait_until_ready()
    both = {str(node.port) for node in deployed.nodes}
    wait(lambda: {node_of(front, token) for _ in range(10)} == both, "both have their share again")
