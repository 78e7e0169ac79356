"""The fleet's Thanos as the program makes it. Mocks prove wiring alone."""

import json
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
from test_program import Recorder, run_program

BUCKET = "type: S3\nconfig: {bucket: metrics, endpoint: s3.example.com, access_key: AKIA, secret_key: hush}\n"


def page(**storage: object) -> dict[str, Any]:
    clusters = {
        "hub": {"tier": "global", "context": "hub", "gateway": {"type": "Host", "host": "hub.example.com"}},
        "eu-1": {"tier": "leaf", "context": "eu-1", "gateway": {"type": "Host", "host": "eu-1.example.com"}},
    }
    thanos = {"objectStorage": storage, "senders": ["leaf", "global"], "receivers": 3}
    return {"clusters": clusters, "thanos": thanos}


@pytest.fixture(scope="module", autouse=True)
def kubeconfigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    kubeconfig = tmp_path_factory.mktemp("thanos") / "kubeconfig"
    kubeconfig.write_text("kubeconfig of all")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        patch.delenv("FLEET_CHART", raising=False)
        yield


@pytest.fixture(scope="module")
def program() -> Recorder:
    return run_program(page(config="thanos-objects"), {"thanos-objects": BUCKET})


def container(program: Recorder, name: str) -> dict[str, Any]:
    (found,) = program.named(f"hub-thanos-{name}").inputs["spec"]["template"]["spec"]["containers"]
    return found


def test_the_gateway_has_the_address_of_the_service_and_no_name(program: Recorder) -> None:
    config = json.loads(program.secret_data("hub-gateway-accounts")["caddy.json"])
    assert "198.51.100.9:19291" in json.dumps(config)


def test_those_who_share_the_series_are_known_by_address(program: Recorder) -> None:
    data = program.named("hub-thanos-topology").inputs["data"]
    (ring,) = json.loads(data["hashrings.json"])
    assert [each["address"] for each in ring["endpoints"]] == ["198.51.100.9:10901"] * 3
    assert data["endpoints.yaml"].count("198.51.100.9:10901") == 4


def test_each_sender_has_a_key_of_its_own_for_it(program: Recorder) -> None:
    edges = {name.partition(".")[0] for name in program.passwords()}
    assert {"eu-1-stores-hub", "hub-stores-hub"} <= edges
    held = program.secret_data("eu-1-remote-write-credentials")
    assert held["hub.thanos.password"] == "password of eu-1-stores-hub.1"
    release = program.releases()["eu-1-release"].inputs["values"]
    (queue,) = release["prometheus"]["prometheusSpec"]["remoteWrite"]
    assert queue["url"] == "https://hub.example.com:443/api/v1/receive"


def test_what_is_said_of_the_bucket_lies_in_a_secret_and_nowhere_else(program: Recorder) -> None:
    assert program.secret_data("hub-thanos-objects") == {"objstore.yml": BUCKET}
    others = {name: args.inputs for name, args in program.resources.items() if name != "hub-thanos-objects"}
    assert "hush" not in json.dumps(others, default=str)


def test_pods_start_anew_when_the_bucket_changes(program: Recorder) -> None:
    other = run_program(page(config="thanos-objects"), {"thanos-objects": BUCKET.replace("hush", "another")})

    def marks(of: Recorder) -> list[object]:
        found = (of.named(f"hub-thanos-{part}").inputs for part in ("receiver", "query"))
        return [each["spec"]["template"]["metadata"].get("annotations") for each in found]

    before, after = marks(program), marks(other)
    assert before[0] != after[0]
    assert before[1] is after[1] is None


def test_a_leaf_with_a_sidecar_has_the_bucket_in_a_secret_of_its_own_and_starts_anew_with_it() -> None:
    def ran(bucket: str) -> Recorder:
        given = page(config="thanos-objects")
        given["thanos"] |= {"senders": "global", "sidecars": "leaf"}
        return run_program(given, {"thanos-objects": bucket})

    def spec(program: Recorder) -> dict[str, Any]:
        return program.releases()["eu-1-release"].inputs["values"]["prometheus"]["prometheusSpec"]

    first, second = ran(BUCKET), ran(BUCKET.replace("hush", "another"))
    assert first.secret_data("eu-1-thanos-objects") == {"objstore.yml": BUCKET}
    assert "hush" not in json.dumps(first.releases()["eu-1-release"].inputs, default=str)
    assert spec(first)["podMetadata"] != spec(second)["podMetadata"]
    assert spec(first)["thanos"] == spec(second)["thanos"]


def test_a_bucket_that_would_not_do_is_refused() -> None:
    with pytest.raises(pulumi.RunError, match=r"thanos-objects has no config\.endpoint"):
        run_program(page(config="thanos-objects"), {"thanos-objects": "type: S3\nconfig: {bucket: metrics}\n"})


def test_a_volume_takes_the_place_of_a_bucket() -> None:
    program = run_program(page(volume={"size": "5Gi"}))
    assert program.named("hub-thanos-objects").typ == "kubernetes:core/v1:PersistentVolumeClaim"
