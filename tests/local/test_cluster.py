"""Real clusters, in a network namespace of the tests' own: a live fleet on the same machine is not met."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from isolation import own_network

from local import cgroups, images, leftovers, toolchain
from local.cluster import Cluster
from local.clusters import LocalFleet
from local.errors import LocalError

ROOT = Path(__file__).parent.parent.parent
NAMES = ("one", "two")
APP = "docker.io/prometheus-fleet/demo-app:dev"
NODE_EXPORTER = "quay.io/prometheus/node-exporter:dev"


def test_who_is_not_root_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LocalError, match="run this as root"):
        LocalFleet(tmp_path, tmp_path).up(["one"])


def machine(fleet: LocalFleet) -> dict[str, list[str]]:
    """What it may leave on the machine, where others may run as well."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    directory = cgroups.fleet_directory(fleet.root)
    return {
        "mounts": [line for line in mounts if str(fleet.root) in line],
        "interfaces": sorted(link["ifname"] for link in json.loads(_output("ip", "-json", "link", "show"))),
        "routes": _output("ip", "route", "show", "table", "all").splitlines(),
        "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{directory}")),
        "ports": sorted(_listening()),
        "settings": [
            Path("/proc/sys", name).read_text() for name in ("vm/overcommit_memory", "kernel/panic", "kernel/hostname")
        ],
    }


def _listening() -> Iterator[str]:
    listen = "0A"
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/thread-self/net", table).read_text().splitlines()[1:]:
            _, address, _, state, *_ = line.split()
            if state == listen:
                yield address


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def kubectl(cluster: Cluster, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        ["kubectl", "--kubeconfig", str(cluster.kubeconfig), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def programs(fleet: LocalFleet) -> dict[str, dict[int, str]]:
    """Names of those that stay, by node and pid: PID 1, its parent, its children. What these run comes and goes."""
    found = {process.pid: process for process in leftovers.find(fleet.root) if process.node}
    staying: dict[str, dict[int, str]] = {}
    for pid, process in found.items():
        try:
            before, _, after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue  # gone since it was found
        parent = found.get(int(after.split()[1]))
        if process.node and (parent is None or parent.is_init or process.is_init):
            staying.setdefault(process.node, {})[pid] = before.partition("(")[2]
    return staying


def pid_of(fleet: LocalFleet, node: str, program: str) -> int:
    return next(pid for pid, name in programs(fleet)[node].items() if name == program[:15])


def fetch(url: str) -> str:
    """The answer; kube-proxy takes up to a second to open a new Service."""
    with httpx.Client(transport=httpx.HTTPTransport(retries=5), trust_env=False) as client:
        return client.get(url).raise_for_status().text


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[LocalFleet]:
    with own_network():
        fleet = LocalFleet(tmp_path / ".local", toolchain.ensure())
        yield fleet
        fleet.down()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    with own_network():
        fleet = LocalFleet(tmp_path_factory.mktemp("fleet") / ".local", toolchain.ensure())
        try:
            fleet.up(NAMES)
            yield fleet
        finally:
            fleet.down()


@pytest.fixture(scope="module")
def clusters(fleet: LocalFleet) -> list[Cluster]:
    return fleet.up(NAMES)


@pytest.fixture(scope="module")
def workload(fleet: LocalFleet, clusters: list[Cluster]) -> Cluster:
    """A cluster with the pods below, all Ready."""
    cluster = clusters[0]
    cluster.import_images(images.archive([APP, NODE_EXPORTER], fleet.tools))
    kubectl(cluster, "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
    kubectl(cluster, "apply", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": PODS}))
    kubectl(cluster, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    return cluster


def _pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


PODS = [
    _pod(
        "app",
        containers=[
            {
                "name": "app",
                "image": APP,
                "readinessProbe": {"httpGet": {"path": "/metrics", "port": 8080}, "periodSeconds": 1},
            }
        ],
    ),
    _pod(
        "node",
        hostNetwork=True,
        hostPID=True,
        containers=[
            {
                "name": "node",
                "image": NODE_EXPORTER,
                "args": ["--path.rootfs=/host", "--path.procfs=/host/proc", "--path.sysfs=/host/sys"],
                "volumeMounts": [
                    {
                        "name": "host",
                        "mountPath": "/host",
                        "readOnly": True,
                        "mountPropagation": "HostToContainer",
                    }
                ],
            }
        ],
        volumes=[{"name": "host", "hostPath": {"path": "/"}}],
    ),
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "app"},
        "spec": {"type": "NodePort", "selector": {"app": "app"}, "ports": [{"port": 8080, "nodePort": 30080}]},
    },
]


@pytest.mark.cluster
@pytest.mark.timeout(300)
class TestRunning:
    def test_each_opens_with_its_own_kubeconfig(self, clusters: list[Cluster]) -> None:
        for cluster in clusters:
            (node,) = json.loads(kubectl(cluster, "get", "nodes", "--output=json"))["items"]
            assert node["metadata"]["name"] == cluster.node.name
            assert node["status"]["addresses"][0]["address"] == cluster.node.address
            assert stat.S_IMODE(cluster.kubeconfig.stat().st_mode) == 0o600

    def test_a_second_up_changes_nothing_and_is_quick(self, fleet: LocalFleet, clusters: list[Cluster]) -> None:
        before = programs(fleet)
        started = time.monotonic()
        fleet.up(NAMES)
        assert time.monotonic() - started < len(clusters)
        assert programs(fleet) == before

    def test_images_that_are_there_are_not_imported_again(self, fleet: LocalFleet, workload: Cluster) -> None:
        archive = images.archive([APP], fleet.tools)
        assert not workload.import_images(archive)
        assert APP in workload.run(["ctr", "--namespace", "k8s.io", "images", "list", "--quiet"]).splitlines()

    def test_a_node_port_is_reached_from_the_host_and_from_another_node(
        self, workload: Cluster, clusters: list[Cluster]
    ) -> None:
        url = f"http://{workload.node.address}:30080/metrics"
        assert "http_requests_total" in fetch(url)  # from the host's end of the bridge
        reader = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).status)"
        # The interpreter behind the virtual environment: a node has a /tmp of its own, where a checkout may lie.
        python = str(Path(sys.executable).resolve())
        assert clusters[1].run([python, "-I", "-S", "-c", reader, url]) == "200\n"

    def test_the_api_server_reads_logs_through_kubelet(self, workload: Cluster) -> None:
        assert "serving" in kubectl(workload, "logs", "app")

    def test_commands_run_in_pods(self, workload: Cluster) -> None:
        assert "node_exporter" in kubectl(workload, "exec", "node", "--", "/bin/node_exporter", "--version")

    def test_container_metrics_tell_container_image_and_namespace(self, workload: Cluster) -> None:
        wanted = ('container="app"', f'image="{APP}"', 'namespace="default"')
        deadline = time.monotonic() + 60
        while True:  # cAdvisor takes a sample of a new container within its housekeeping interval
            metrics = kubectl(workload, "get", "--raw", f"/api/v1/nodes/{workload.node.name}/proxy/metrics/cadvisor")
            usage = [line for line in metrics.splitlines() if line.startswith("container_cpu_usage_seconds_total{")]
            if any(all(label in line for label in wanted) for line in usage):
                return
            assert time.monotonic() < deadline, usage
            time.sleep(1)

    def test_a_mount_made_later_shows_in_a_pod_that_asked_for_propagation(self, workload: Cluster) -> None:
        workload.run(["mkdir", "-p", "/run/late"])
        workload.run(["mount", "-t", "tmpfs", "late", "/run/late"])
        assert 'mountpoint="/run/late"' in fetch(f"http://{workload.node.address}:9100/metrics")

    def test_kubelet_answers_only_who_may_ask(self, workload: Cluster) -> None:
        kubelet = f"https://{workload.node.address}:10250/metrics"
        stranger = httpx.get(kubelet, verify=False)  # noqa: S501  # who answers is not the question here
        token = kubectl(workload, "create", "token", "default").strip()
        anybody = httpx.get(kubelet, verify=False, headers={"Authorization": f"Bearer {token}"})  # noqa: S501
        assert (stranger.status_code, anybody.status_code) == (401, 403)


@pytest.mark.cluster
@pytest.mark.timeout(300)
class TestFaults:
    def test_a_cluster_whose_component_died_is_repaired_alone(self, fleet: LocalFleet, clusters: list[Cluster]) -> None:
        before = programs(fleet)
        kubectl(clusters[0], "create", "namespace", "kept")
        os.kill(pid_of(fleet, "one", "kube-scheduler"), signal.SIGKILL)
        fleet.up(NAMES)
        after = programs(fleet)
        assert not before["one"].keys() & after["one"].keys()
        assert before["two"] == after["two"]
        assert kubectl(clusters[0], "get", "namespace", "kept", "--output=name") == "namespace/kept\n"

    def test_a_cluster_not_asked_for_is_removed(self, empty: LocalFleet) -> None:
        _, two = empty.up(NAMES)
        empty.up(["one"])
        assert set(programs(empty)) == {"one"}
        assert not two.folder.exists()
        assert not two.kubeconfig.exists()

    def test_a_component_that_fails_is_named_with_its_log(self, empty: LocalFleet, tmp_path: Path) -> None:
        tools = tmp_path / "tools"
        tools.mkdir()
        for tool in empty.tools.iterdir():
            (tools / tool.name).symlink_to(tool)
        broken = tools / "kube-scheduler"
        broken.unlink()
        broken.write_text("#!/bin/sh\necho this flag is wrong >&2\nexit 3\n")
        broken.chmod(0o755)
        with pytest.raises(LocalError) as caught:
            LocalFleet(empty.root, tools).up(["one"])
        log = empty.root / "clusters/one/log/kube-scheduler.log"
        assert f"Cluster one ended while it started: kube-scheduler: exited with status 3. The end of {log}:" in str(
            caught.value
        )
        assert "this flag is wrong" in str(caught.value)

    def test_nothing_is_left_after_down(self, empty: LocalFleet) -> None:
        before = machine(empty)
        empty.up(["one"])
        empty.down()
        assert machine(empty) == before
        assert leftovers.find(empty.root) == []
        assert [path for path in empty.root.rglob("*") if path.is_file()] == []

    @pytest.mark.parametrize("seconds", [0.1, 0.5, 1.5, 4.0])
    def test_nothing_is_left_after_a_kill_during_start(self, empty: LocalFleet, seconds: float) -> None:
        before = machine(empty)
        program = (
            "from pathlib import Path; from local.clusters import LocalFleet; print('ready', flush=True);"
            f" LocalFleet(Path({str(empty.root)!r}), Path({str(empty.tools)!r})).up({NAMES})"
        )
        starting = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
        assert starting.stdout
        assert starting.stdout.readline() == b"ready\n"
        time.sleep(seconds)
        starting.kill()
        starting.communicate()
        empty.down()
        assert machine(empty) == before
        assert leftovers.find(empty.root) == []

    def test_what_a_killed_start_left_is_started_again(self, empty: LocalFleet) -> None:
        (empty.root / "clusters/one/pki.unfinished").mkdir(parents=True)
        (cluster,) = empty.up(["one"])
        os.kill(pid_of(empty, "one", "unshare"), signal.SIGKILL)
        cluster.kubeconfig.unlink()
        empty.up(["one"])
        assert kubectl(cluster, "get", "nodes", "--output=name") == "node/one\n"
