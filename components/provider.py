import pulumi
import pulumi_kubernetes as k8s

from fleet.kubeconfig import read_kubeconfig
from fleet.plan import ClusterPlan


def cluster_provider(cluster: ClusterPlan, config: pulumi.Config) -> k8s.Provider:
    """The provider of one cluster. Raises FleetError where its kubeconfig cannot be read."""
    if cluster.kubeconfig_secret is not None:
        kubeconfig = config.require_secret(cluster.kubeconfig_secret)
    else:
        # A provider's kubeconfig lies in state, in clear unless it is a secret.
        kubeconfig = pulumi.Output.secret(read_kubeconfig(cluster).text)
    return k8s.Provider(
        cluster.name,
        kubeconfig=kubeconfig,
        context=cluster.context,
        # The provider otherwise compares kubeconfigs, and a renewed token would replace every object.
        cluster_identifier=cluster.name,
        # Data is updated in place: a replaced Secret is a gap for whoever has it mounted.
        enable_secret_mutable=True,
        enable_config_map_mutable=True,
    )
