"""What the gateway would let in; what it does let in is tested on the local fleet."""

from fleet.gateway import Account, caddy_config
from fleet.plan import Plan


def routes(dev: Plan, cluster: str) -> list[dict[str, object]]:
    config = caddy_config([Account(edge, f"hash of {edge.caller}") for edge in dev.calls_to(cluster)])
    return config["apps"]["http"]["servers"]["gateway"]["routes"]


def test_each_tier_opens_what_is_planned_and_nothing_else(dev: Plan) -> None:
    opened = {name: [route.get("match") for route in routes(dev, name)] for name in ("eu-1", "eu", "hub")}
    assert opened == {
        "eu-1": [[{"path": ["/federate"], "method": ["GET"]}], None],
        "eu": [[{"path": ["/federate"], "method": ["GET"]}], None],
        "hub": [[{"path": ["/api/v1/write"], "method": ["POST"]}], None],
    }


def test_whatever_is_left_is_not_found(dev: Plan) -> None:
    assert routes(dev, "hub")[-1] == {"handle": [{"handler": "static_response", "status_code": 404}]}


def test_the_account_of_a_caller_opens_its_own_edge_alone(dev: Plan) -> None:
    authentication, proxy = routes(dev, "eu-1")[0]["handle"]
    assert authentication["providers"]["http_basic"]["accounts"] == [{"username": "eu", "password": "hash of eu"}]
    assert proxy["headers"]["request"]["delete"] == ["Authorization"]
