"""What runs, held against what the page would deploy, object by object."""

from fleet.drift.drift import ClusterDrift, FieldDrift, ObjectDrift
from fleet.drift.fleet_drift import fleet_drift

__all__ = ["ClusterDrift", "FieldDrift", "ObjectDrift", "fleet_drift"]
