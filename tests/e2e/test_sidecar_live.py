"""A leaf's sidecar lays a block of its Prometheus into a bucket: whose that is, and who can ask the sidecar."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from kubectl import PROMETHEUS, eventually
from two_clusters import TwoClusters, two_clusters

from fleet.names import SIDECAR_JOB, THANOS_GRPC_PORT, THANOS_HTTP_PORT
from local.errors import LocalError

pytestmark = [pytest.mark.cluster, pytest.mark.thanos, pytest.mark.timeout(1200)]

THANOS = {"objectStorage": {"secret": "bucket"}, "senders": ["global"], "sidecars": ["leaf"]}
# Of each pod its own: what is uploaded is looked for where it was laid.
BUCKETS = {"hub": "/var/thanos/bucket", "eu-1": "/prometheus/bucket"}
BLOCK = 2 * 3600


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoClusters]:
    with two_clusters(tmp_path_factory.mktemp("sidecar"), thanos=THANOS) as fleet:
        hub = {"gateway": {"type": "NodePort", "host": fleet.clusters["hub"].node.address}}
        fleet.write(fleet.page(hub, {}, thanos=THANOS))
        with ThreadPoolExecutor() as pool:
            deploying = pool.submit(fleet.up)
            # Pods wait for it, in a namespace that the program makes.
            for name in BUCKETS:
                eventually(lambda name=name: give_bucket(fleet, name), within=120)
            done = deploying.result()
        assert done.returncode == 0, done.stdout + done.stderr
        yield fleet


def give_bucket(fleet: TwoClusters, name: str) -> None:
    config = yaml.safe_dump({"type": "FILESYSTEM", "config": {"directory": BUCKETS[name]}})
    given = f"--from-literal=objstore.yml={config}"
    command = ["kubectl", "--kubeconfig", str(fleet.clusters[name].kubeconfig), "--namespace=monitoring"]
    done = subprocess.run(
        [*command, "create", "secret", "generic", "bucket", given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def pod(fleet: TwoClusters) -> dict[str, Any]:
    return fleet.kubectl(
        "eu-1", "get", "pod", "--namespace=monitoring", "prometheus-kube-prometheus-stack-prometheus-0"
    )


def asked(fleet: TwoClusters, promql: str) -> list[float]:
    command = ["kubectl", "--kubeconfig", str(fleet.clusters["eu-1"].kubeconfig), "get", "--raw"]
    path = f"{PROMETHEUS}/api/v1/query?{urlencode({'query': promql})}"
    done = subprocess.run([*command, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [float(each["value"][1]) for each in json.loads(done.stdout)["data"]["result"]]


def test_prometheus_compacts_no_block_that_is_not_in_the_bucket(fleet: TwoClusters) -> None:
    (prometheus,) = (each for each in pod(fleet)["spec"]["containers"] if each["name"] == "prometheus")
    assert "--storage.tsdb.delay-compact-file.path=/prometheus/thanos.shipper.json" in prometheus["args"]


def test_its_own_prometheus_asks_it_and_nobody_else_can(fleet: TwoClusters) -> None:
    def is_scraped() -> None:
        for metric in (
            "thanos_objstore_bucket_operation_failures_total",
            "thanos_objstore_bucket_last_successful_upload_time",
            "process_start_time_seconds",
        ):
            assert asked(fleet, f'{metric}{{job="{SIDECAR_JOB}",namespace="monitoring"}}')

    eventually(is_scraped, within=120)
    address = pod(fleet)["status"]["podIP"]
    leaf = fleet.clusters["eu-1"]
    leaf.run(["bash", "-c", f"exec 3<>/dev/tcp/{address}/9090"])
    for port in (THANOS_GRPC_PORT, THANOS_HTTP_PORT):
        with pytest.raises(LocalError):
            leaf.run(["bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"])


def test_a_block_gets_into_the_bucket_and_says_whose_it_is(fleet: TwoClusters, tmp_path: Path) -> None:
    block = made_block(tmp_path)
    leaf = fleet.clusters["eu-1"]
    volume = f"kubelet/pods/{pod(fleet)['metadata']['uid']}/volumes/kubernetes.io~empty-dir/{PROMETHEUS_VOLUME}"
    folder = leaf.folder / "lib" / volume
    arriving = folder / f"{block.name}.arriving"
    shutil.copytree(block, arriving)
    leaf.run(["chown", "--recursive", "1000:2000", f"/var/lib/{volume}/{arriving.name}"])
    arriving.rename(folder / block.name)

    def is_uploaded() -> dict[str, Any]:
        meta = folder / "bucket" / block.name / "meta.json"
        assert meta.exists()
        return json.loads(meta.read_text())["thanos"]

    thanos, _ = eventually(is_uploaded, within=120)
    assert thanos["source"] == "sidecar"
    assert thanos["labels"] == {"cluster": "eu-1", "level": "cluster"}
    assert asked(fleet, f'thanos_shipper_upload_failures_total{{job="{SIDECAR_JOB}"}}') == [0]


PROMETHEUS_VOLUME = "prometheus-kube-prometheus-stack-prometheus-db"


def made_block(folder: Path) -> Path:
    """As Prometheus cuts one after three hours, of some hours ago."""
    begin = (int(time.time()) - 3 * BLOCK) // BLOCK * BLOCK
    samples = [f"probe 1 {begin + offset}" for offset in range(0, 600, 30)]
    text, blocks = folder / "samples", folder / "blocks"
    text.write_text("\n".join(["# TYPE probe gauge", *samples, "# EOF", ""]))
    subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks)], check=True)
    (block,) = (each for each in blocks.iterdir() if (each / "meta.json").exists())
    return block
