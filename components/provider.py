import pulumi
import pulumi_kubernetes as k8s

from fleet.plan import ClusterPlan


def cluster_provider(cluster: ClusterPlan, kubeconfig: pulumi.Input[str]) -> k8s.Provider:
    """The provider of one cluster; `kubeconfig` is the contents, not a path."""
    return k8s.Provider(
        cluster.name,
        # A provider's kubeconfig lies in state, in clear unless it is a secret.
        kubeconfig=pulumi.Output.secret(kubeconfig),
        context=cluster.context,
        # The provider otherwise compares kubeconfigs, and a renewed token would replace every object.
        cluster_identifier=cluster.name,
        # Data is updated in place: a replaced Secret is a gap for whoever has it mounted.
        enable_secret_mutable=True,
        enable_config_map_mutable=True,
    )
