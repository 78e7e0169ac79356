"""Policies for every Pulumi program that deploys Prometheus, this one or another: they read resources alone."""

from fleet_policies import delivery, federation, security, topology
from fleet_policies.policy import FleetPolicy

PACK_NAME = "prometheus-fleet"

POLICIES: tuple[FleetPolicy, ...] = (
    *federation.POLICIES,
    *security.POLICIES,
    *delivery.POLICIES,
    *topology.POLICIES,
)
