import os

from fleet_policies import PACK_NAME, POLICIES
from fleet_policies.config import initial_config
from pulumi_policy import PolicyPack

PolicyPack(
    name=PACK_NAME,
    policies=[policy.pulumi() for policy in POLICIES],
    initial_config=initial_config(os.environ.get("PULUMI_PROJECT", ""), os.environ.get("PULUMI_STACK", "")),
)
