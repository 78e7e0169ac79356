"""The fleet as resources. These only create what `fleet/` decided."""

from components.authorities import Authorities
from components.child_stacks import ChildStacks
from components.credential import Credential, exported_credentials
from components.edge_agent import EdgeAgent, EdgeAgentArgs
from components.gateway import (
    AlertReceiver,
    FederationTarget,
    Gateway,
    GatewayArgs,
    alert_receivers_above,
    receivers_above,
)
from components.global_prometheus import GlobalPrometheus, GlobalPrometheusArgs
from components.leaf_cluster import LeafCluster, LeafClusterArgs
from components.objects import monitoring_namespace
from components.protection import Protection
from components.provider import cluster_provider
from components.regional_aggregator import RegionalAggregator, RegionalAggregatorArgs
from components.remote_write import DestinationCredential, RemoteWriteReceiver, destination_receivers
from components.rotation_gate import refuse_gaps
from components.stack_config import kubeconfigs, read_plan
from components.thanos_store import ThanosStore, ThanosStoreArgs
from components.waves import Waves

__all__ = [
    "AlertReceiver",
    "Authorities",
    "ChildStacks",
    "Credential",
    "DestinationCredential",
    "EdgeAgent",
    "EdgeAgentArgs",
    "FederationTarget",
    "Gateway",
    "GatewayArgs",
    "GlobalPrometheus",
    "GlobalPrometheusArgs",
    "LeafCluster",
    "LeafClusterArgs",
    "Protection",
    "RegionalAggregator",
    "RegionalAggregatorArgs",
    "RemoteWriteReceiver",
    "ThanosStore",
    "ThanosStoreArgs",
    "Waves",
    "alert_receivers_above",
    "cluster_provider",
    "destination_receivers",
    "exported_credentials",
    "kubeconfigs",
    "monitoring_namespace",
    "read_plan",
    "receivers_above",
    "refuse_gaps",
]
