"""The components of a local cluster: what runs, with which settings.

Settings differ from the defaults where five clusters share a small machine: what repeats, repeats rarely.
"""

from collections.abc import Mapping
from typing import Any

from local import pki
from local.init import STATE, TOOLS, Component

API_PORT = 6443
PROXY_HEALTH_PORT = 10256
POD_SUBNET = "10.244.0.0/24"
SANDBOX_IMAGE = "docker.io/prometheus-fleet/pause:1"

_PKI = STATE / "pki"
_CONFIG = STATE / "config"
_CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
_ETCD_URL = "http://127.0.0.1:2379"

# Those that a cluster of one node without storage has work for. Without node-lifecycle nobody lifts the taint that
# a new node is given, so it is given none.
_CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
)


def servers(address: str) -> list[Component]:
    """What needs nothing but its files to start."""
    return [
        _component(
            "etcd",
            {
                "data-dir": "/var/lib/etcd",
                "listen-client-urls": _ETCD_URL,
                "advertise-client-urls": _ETCD_URL,
                "unsafe-no-fsync": "true",  # the state is thrown away with the cluster
                "backend-batch-interval": "1s",
                "heartbeat-interval": "250",
                "election-timeout": "1250",
                "log-level": "warn",
            },
        ),
        _component(
            "kube-apiserver",
            {
                "advertise-address": address,
                "secure-port": str(API_PORT),
                "etcd-servers": _ETCD_URL,
                "service-cluster-ip-range": str(pki.SERVICE_SUBNET),
                "tls-cert-file": f"{_PKI}/apiserver.crt",
                "tls-private-key-file": f"{_PKI}/apiserver.key",
                "client-ca-file": f"{_PKI}/ca.crt",
                "service-account-issuer": "https://kubernetes.default.svc",
                "service-account-key-file": f"{_PKI}/sa.pub",
                "service-account-signing-key-file": f"{_PKI}/sa.key",
                "authorization-mode": "Node,RBAC",
                "enable-admission-plugins": "NodeRestriction",
                "disable-admission-plugins": "TaintNodesByCondition",
                "allow-privileged": "true",
                "kubelet-certificate-authority": f"{_PKI}/ca.crt",
                "kubelet-client-certificate": f"{_PKI}/apiserver-kubelet-client.crt",
                "kubelet-client-key": f"{_PKI}/apiserver-kubelet-client.key",
                "kubelet-preferred-address-types": "InternalIP",
                "profiling": "false",
                # Each of the watch cache's hundred resources wakes up every second, whether anybody watches or not.
                "watch-cache": "false",
                "enable-priority-and-fairness": "false",
                "etcd-count-metric-poll-period": "0",
                "etcd-db-metric-poll-interval": "0",
                # Leases that tell API servers from each other; there is one.
                "feature-gates": "APIServerIdentity=false,UnknownVersionInteroperabilityProxy=false",
            },
            environment={"GOMAXPROCS": "2", "GOGC": "50"},  # more than half of a cluster's memory is here
        ),
        _component("containerd", {"config": f"{_CONFIG}/containerd.toml"}, program="containerd"),
    ]


def clients(name: str, address: str) -> list[Component]:
    """What needs the API server: they give up, or wait longer than need be, where it does not answer yet."""
    return [
        _component(
            "kube-controller-manager",
            {
                "kubeconfig": f"{_CONFIG}/kube-controller-manager.yaml",
                "service-account-private-key-file": f"{_PKI}/sa.key",
                "root-ca-file": f"{_PKI}/ca.crt",
                "use-service-account-credentials": "true",
                "controllers": ",".join(_CONTROLLERS),
                "leader-elect": "false",
                "profiling": "false",
            },
        ),
        _component(
            "kube-scheduler",
            {
                "kubeconfig": f"{_CONFIG}/kube-scheduler.yaml",
                "leader-elect": "false",
                "profiling": "false",
            },
        ),
        _component(
            "kube-proxy",
            {
                "kubeconfig": f"{_CONFIG}/kube-proxy.yaml",
                "hostname-override": name,
                "cluster-cidr": POD_SUBNET,
                "conntrack-max-per-core": "0",  # the limit is the whole machine's
                "healthz-bind-address": f"{address}:{PROXY_HEALTH_PORT}",
            },
        ),
        _component(
            "kubelet",
            {
                "config": f"{_CONFIG}/kubelet.yaml",
                "kubeconfig": f"{_CONFIG}/kubelet.kubeconfig.yaml",
                "hostname-override": name,
                "node-ip": address,
            },
        ),
    ]


def kubelet_configuration(cgroup: str) -> dict[str, Any]:
    """`cgroup` must be the cluster's own: several kubelets on one kernel delete each other's pods otherwise."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{_CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        "tlsCertFile": f"{_PKI}/kubelet-server.crt",
        "tlsPrivateKeyFile": f"{_PKI}/kubelet-server.key",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{_PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        # There is no DNS server: a lookup fails at once. Without an address, each pod reports that at every sync.
        "clusterDNS": ["127.0.0.1"],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        # The disk and the memory are the machine's: no node may evict pods because of the others.
        "enforceNodeAllocatable": [],
        "evictionHard": {
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "syncFrequency": "10s",  # how soon a changed Secret reaches its pods
        "nodeStatusUpdateFrequency": "30s",
        "nodeLeaseDurationSeconds": 120,
        "containerLogMonitorInterval": "5m",
    }


def containerd_configuration() -> str:
    """Images are imported and never pulled, the sandbox's own too.

    Without the right to raise its priority against the OOM killer, runc fails on what kubelet asks for, with
    "can't get final child's PID from pipe": so `restrict_oom_score_adj`.
    """
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart", "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{_CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{SANDBOX_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stats_collect_period = 60
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{_CONFIG}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


def pod_network() -> dict[str, Any]:
    """Routed pods: on a bridge, a Service's answers from the same node would bypass connection tracking."""
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/ipam",
                    "ranges": [[{"subnet": POD_SUBNET}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _component(
    name: str,
    flags: Mapping[str, str],
    *,
    environment: Mapping[str, str] | None = None,
    program: str | None = None,
) -> Component:
    return {
        "name": name,
        "command": [program or f"{TOOLS}/{name}", *(f"--{flag}={value}" for flag, value in flags.items())],
        # One thread for Go code: with more, each timer that fires also wakes threads that look for work.
        "environment": {"GOMAXPROCS": "1", **(environment or {})},
    }
