"""The tools that the local fleet is made of: which there are, and how each is built.

A tool's version is pinned where Go wants it, in `tools/NAME/go.mod`, and its sums in the go.sum beside it.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from local import cache
from local.builds import Build, Pins, install, no_stamps
from local.progress import say

HERE = Path(__file__).parent
OLDEST_PULUMI = (3, 220)


def _common_version(version: str) -> dict[str, str]:
    return {"github.com/prometheus/common/version.Version": version.removeprefix("v")}


def _prometheus_release(version: str) -> str:
    """3.14.0 is v0.314.0 as a Go module."""
    _, minor, patch = version.split(".")
    return f"{minor[0]}.{int(minor[1:])}.{patch}"


def _kubernetes_stamps(pins: Pins) -> dict[str, str]:
    version = pins["k8s.io/kubernetes"]
    major, minor, _ = version.removeprefix("v").split(".")
    return {
        f"{package}.{variable}": value
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for variable, value in (("gitVersion", version), ("gitMajor", major), ("gitMinor", minor))
    }


def _helm_stamps(pins: Pins) -> dict[str, str]:
    """The Kubernetes that `helm template` and `helm lint` assume, as in a released helm."""
    minor = pins["k8s.io/client-go"].split(".")[1]
    return {
        "helm.sh/helm/v3/internal/version.version": pins["helm.sh/helm/v3"],
        **{
            f"helm.sh/helm/v3/pkg/{package}.{variable}": value
            for package in ("chartutil", "lint/rules")
            for variable, value in (("k8sVersionMajor", "1"), ("k8sVersionMinor", minor))
        },
    }


def _tool(
    name: str,
    module: str,
    programs: Mapping[str, str],
    *,
    tags: str = "",
    stamps: Callable[[Pins], dict[str, str]] = no_stamps,
    files: Mapping[str, tuple[str, str]] | None = None,
    stubs: Mapping[str, str] | None = None,
) -> Build:
    return Build(HERE / "tools" / name, module, programs, tags, stamps, files or {}, stubs or {})


def _commands(module: str, *names: str) -> dict[str, str]:
    return {name: f"{module}/cmd/{name}" for name in names}


_KUBERNETES = "k8s.io/kubernetes"
_PROMETHEUS = "github.com/prometheus/prometheus"
_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
_ALERTMANAGER = "github.com/prometheus/alertmanager"
_KUBE_STATE_METRICS = "k8s.io/kube-state-metrics/v2"
_HELM = "helm.sh/helm/v3"
_CADDY = "github.com/caddyserver/caddy/v2"
_ETCD = "go.etcd.io/etcd/server/v3"
_NODE_EXPORTER = "github.com/prometheus/node_exporter"
_THANOS = "github.com/thanos-io/thanos"
_CYCLONUS = "github.com/mattfenwick/cyclonus"
_ACTIONLINT = "github.com/rhysd/actionlint"
_APPS = "prometheus-fleet/apps"
_OPERATOR_CONFIG = "prometheus-fleet/tools/operator-config"
_PULUMI = "github.com/pulumi/pulumi/pkg/v3"
_PULUMI_SDK = "github.com/pulumi/pulumi/sdk/v3"

# In the order in which they are built: the longest first, because the next one's modules arrive meanwhile.
FLEET = (
    _tool(
        "kubernetes",
        _KUBERNETES,
        _commands(
            _KUBERNETES,
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
        ),
        stamps=_kubernetes_stamps,
    ),
    _tool(
        "prometheus",
        _PROMETHEUS,
        _commands(_PROMETHEUS, "prometheus", "promtool"),
        # Of the service discoveries only those that a cluster can use: the clouds' are most of the build.
        tags="remove_all_sd,enable_kubernetes_sd,enable_dns_sd",
        stamps=lambda pins: _common_version(_prometheus_release(pins[_PROMETHEUS])),
    ),
    _tool(
        "operator",
        _OPERATOR,
        _commands(_OPERATOR, "operator", "prometheus-config-reloader"),
        # The operator asks for the config reloader's image under its own version.
        stamps=lambda pins: _common_version(pins[_OPERATOR]),
    ),
    _tool(
        "kube-state-metrics",
        _KUBE_STATE_METRICS,
        {"kube-state-metrics": _KUBE_STATE_METRICS},
        stamps=lambda pins: _common_version(pins[_KUBE_STATE_METRICS]),
    ),
    _tool(
        "alertmanager",
        _ALERTMANAGER,
        _commands(_ALERTMANAGER, "alertmanager", "amtool"),
        stamps=lambda pins: _common_version(pins[_ALERTMANAGER]),
        # Only releases bring the compiled pages of its web interface, without which it serves its API alone.
        stubs={"ui/app/dist/README": "This Alertmanager is built from its Go module, which has no web interface.\n"},
    ),
    _tool("helm", _HELM, _commands(_HELM, "helm"), stamps=_helm_stamps),
    _tool(
        "caddy",
        _CADDY,
        _commands(_CADDY, "caddy"),
        stamps=lambda pins: {f"{_CADDY}.CustomVersion": pins[_CADDY]},
    ),
    _tool("etcd", _ETCD, {"etcd": _ETCD}),
    _tool(
        "node-exporter",
        _NODE_EXPORTER,
        {"node_exporter": _NODE_EXPORTER},
        stamps=lambda pins: _common_version(pins[_NODE_EXPORTER]),
    ),
    Build(HERE / "apps", _APPS, _commands(_APPS, "demo-app", "pause")),
    _tool(
        "thanos",
        _THANOS,
        _commands(_THANOS, "thanos"),
        # As its releases: it takes Prometheus's labels for slices, and without this they are texts.
        tags="slicelabels",
        stamps=lambda pins: _common_version(pins[_THANOS]),
    ),
)
ON_DEMAND = frozenset({"thanos"})
"""What most fleets do without, and so most runs do not build."""
PULUMI = (
    _tool(
        "pulumi",
        _PULUMI,
        _commands(_PULUMI, "pulumi"),
        stamps=lambda pins: {f"{_PULUMI_SDK}/go/common/version.Version": pins[_PULUMI]},
        files={
            "pulumi-language-python-exec": (_PULUMI_SDK, "python/cmd/pulumi-language-python-exec"),
            "pulumi-analyzer-policy-python": (_PULUMI_SDK, "python/dist/pulumi-analyzer-policy-python"),
        },
    ),
    _tool(
        "pulumi-language-python",
        _PULUMI_SDK,
        {"pulumi-language-python": f"{_PULUMI_SDK}/python/cmd/pulumi-language-python"},
    ),
)

JUDGES = (
    _tool("cyclonus", _CYCLONUS, _commands(_CYCLONUS, "cyclonus")),
    # Of this project: a cluster's own words on a Prometheus object, by the operator's and the API server's packages.
    Build(HERE / "tools" / "operator-config", _OPERATOR_CONFIG, {"operator-config": _OPERATOR_CONFIG}),
    _tool("actionlint", _ACTIONLINT, _commands(_ACTIONLINT, "actionlint")),
)
"""What only tests run."""


def ensure(tools: Iterable[str] | None = None) -> Path:
    """Build what is missing or damaged of the named tools (None: of all that every fleet needs); raises LocalError.

    Returns the folder that holds them under their names. Of tools not named it may hold none.
    """
    names = {name for build in FLEET for name in build.names}
    wanted = names - ON_DEMAND if tools is None else set(tools)
    if unknown := wanted - names:
        raise ValueError(f"no such tools: {', '.join(sorted(unknown))}")
    return install(FLEET, [build for build in FLEET if wanted.intersection(build.names)])


def ensure_on_demand(tools: Iterable[str]) -> None:
    """Build those of `tools` that `ensure` leaves out, into the folder that it returns; raises LocalError."""
    if wanted := ON_DEMAND.intersection(tools):
        ensure(wanted)


def judges() -> Path:
    """The folder of what only tests run; raises LocalError."""
    return install(JUDGES)


def version(tool: str) -> str:
    """The pinned version of the module that `tool` is built from, `v1.2.3`."""
    return next(build.version for build in FLEET if tool in build.names)


def pulumi_bin() -> Path | None:
    """The folder of a built pulumi and what it needs beside it; None where an official one on PATH is to be used.

    Says in one line which it is. Raises LocalError.
    """
    if _official_pulumi_serves():
        return None
    return install(PULUMI)


def _official_pulumi_serves() -> bool:
    elsewhere = [folder for folder in os.get_exec_path() if not Path(folder).is_relative_to(cache.root())]
    program = shutil.which("pulumi", path=os.pathsep.join(elsewhere))
    if program is None:
        say("no pulumi on PATH: the one built here is used")
        return False
    done = subprocess.run(
        [program, "version"],
        env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.match(r"v(\d+)\.(\d+)\.", done.stdout)
    if done.returncode or found is None:
        say(f"{program} does not tell its version: the one built here is used")
        return False
    if (int(found[1]), int(found[2])) < OLDEST_PULUMI:
        oldest = ".".join(map(str, OLDEST_PULUMI))
        say(f"{program} is {done.stdout.strip()}, older than {oldest}: the one built here is used")
        return False
    say(f"{program} {done.stdout.strip()} is used, and none is built")
    return True
