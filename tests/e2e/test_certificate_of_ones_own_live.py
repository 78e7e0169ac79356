"""A gateway whose certificate somebody else keeps in a Secret, on real clusters in a network of their own."""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from kubectl import eventually
from two_clusters import TwoClusters, two_clusters

from fleet.gateway import KeyPair
from fleet.outputs import query_path
from tests.local.certificates import Authority

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

AUTHORITY = Authority.new("of one's own")
INTERVALS = {"scrape": "5s", "rules": "5s", "federation": {"floor": "5s", "regional": "6s", "global": "6s"}}
CARRIED = 120
"""Seconds until a kubelet has carried a changed Secret into the pod."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoClusters]:
    with two_clusters(tmp_path_factory.mktemp("own")) as fleet:
        tls = {"mode": "existing", "secret": "own-certificate", "ca": AUTHORITY.pem}
        fleet.write(fleet.page({}, {"tls": tls}, intervals=INTERVALS))
        done = fleet.up()
        assert done.returncode == 0, done.stdout + done.stderr
        yield fleet


def keep(fleet: TwoClusters, pair: KeyPair, folder: Path) -> None:
    """As whoever renews it does."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "own-certificate", "namespace": "monitoring"},
        "stringData": {"tls.crt": pair.certificate, "tls.key": pair.key},
    }
    file = folder / "secret.yaml"
    file.write_text(yaml.safe_dump(secret))
    fleet.kubectl("eu-1", "apply", f"--filename={file}")


def shown(fleet: TwoClusters) -> int:
    """Serial number of what the gateway shows; its chain is verified as a caller does."""
    address = fleet.clusters["eu-1"].node.address
    context = ssl.create_default_context(cadata=AUTHORITY.pem)
    with (
        socket.create_connection((address, 30443), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=address) as connection,
    ):
        certificate = connection.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate).serial_number


def serial(pair: KeyPair) -> int:
    return x509.load_pem_x509_certificate(pair.certificate.encode()).serial_number


def starts(fleet: TwoClusters) -> dict[str, tuple[int, str]]:
    """Restarts and pod of each container beside the leaf's Prometheus."""
    found = fleet.kubectl(
        "eu-1", "get", "pods", "--namespace=monitoring", "--selector=app.kubernetes.io/name=prometheus"
    )
    (pod,) = found["items"]
    uid = pod["metadata"]["uid"]
    return {each["name"]: (each["restartCount"], uid) for each in pod["status"].get("containerStatuses", [])}


def test_a_certificate_of_ones_own_is_shown_and_renewed_without_a_restart(fleet: TwoClusters, tmp_path: Path) -> None:
    address = fleet.clusters["eu-1"].node.address
    first, second = (AUTHORITY.signed("eu-1", addresses=[address]) for _ in range(2))
    keep(fleet, first, tmp_path)

    def is_shown(pair: KeyPair) -> None:
        try:
            assert shown(fleet) == serial(pair)
        except OSError as error:
            raise AssertionError(f"no handshake: {error}") from None

    def is_federated() -> None:
        query = "api/v1/query?query=up%7Bjob%3D%22federate-eu-1%22%7D"
        command = ["kubectl", "--kubeconfig", str(fleet.clusters["hub"].kubeconfig), "get", "--raw"]
        done = subprocess.run([*command, f"{query_path('monitoring')}/{query}"], capture_output=True, check=False)
        answer = json.loads(done.stdout or "{}")
        assert [each["value"][1] for each in answer.get("data", {}).get("result", [])] == ["1"]

    eventually(lambda: is_shown(first), within=CARRIED)
    eventually(is_federated, within=CARRIED)
    before = starts(fleet)
    keep(fleet, second, tmp_path)
    eventually(lambda: is_shown(second), within=CARRIED)
    is_federated()
    assert starts(fleet) == before
