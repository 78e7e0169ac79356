"""Policies for every Pulumi program that deploys Prometheus, this one or another: they read resources alone."""

from pulumi_policy import Policy

from fleet_policies.honor_labels import honor_labels

PACK_NAME = "prometheus-fleet"


def policies() -> list[Policy]:
    return [honor_labels]
