"""How a cluster's Prometheus is reached, wherever its kubeconfig lies."""

from collections.abc import Callable, Mapping
from typing import cast

import yaml

from fleet.kubeconfig import read_kubeconfig
from fleet.plan import ClusterPlan
from fleet.prometheus import Prometheus, Unreachable

SecretKubeconfig = Callable[[ClusterPlan], str]
"""Contents of one that is a Pulumi secret. Raises Unreachable where this process does not read it."""


async def connected(cluster: ClusterPlan, secret: SecretKubeconfig) -> Prometheus | Unreachable:
    """Or why it is not. Raises FleetError where the file of its kubeconfig cannot be read."""
    try:
        if cluster.kubeconfig_secret is not None:
            return await connect(cluster, secret(cluster))
        path = read_kubeconfig(cluster).path
        return await Prometheus.connect(cluster.name, cluster.namespace, path, cluster.context)
    except Unreachable as error:
        return error


async def connect(cluster: ClusterPlan, kubeconfig: str) -> Prometheus:
    """`kubeconfig` is the contents. Raises Unreachable."""
    try:
        contents = cast("object", yaml.load(kubeconfig, Loader=yaml.CSafeLoader))
    except yaml.YAMLError:
        contents = None
    if not isinstance(contents, Mapping):
        # What exactly is wrong would be told with a piece of what may be a key.
        raise Unreachable(f"the kubeconfig of {cluster.name} is not one")
    contents = cast("Mapping[str, object]", contents)
    return await Prometheus.connect(cluster.name, cluster.namespace, contents, cluster.context)
