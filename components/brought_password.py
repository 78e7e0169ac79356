"""Where a password is read that somebody brings."""

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from components.stack_config import told_plainly
from fleet.names import PROJECT
from fleet.page import Password
from fleet.passwords import password_in_config, password_in_secret
from fleet.plan import Call


def brought_password(call: Call, brought: Password, parent: pulumi.Resource) -> pulumi.Output[str]:
    """Secret; `parent` is on the provider of the cluster whose Secret is read."""

    def of_config(text: str) -> str:
        with told_plainly():
            return password_in_config(call, brought, text)

    def of_secret(data: Mapping[str, str] | None) -> str:
        with told_plainly():
            return password_in_secret(call, brought, data)

    if brought.config is not None:
        return pulumi.Config(PROJECT).require_secret(brought.config).apply(of_config)
    # What `kubectl apply` leaves in an object's annotations is the whole object.
    opts = pulumi.ResourceOptions(parent=parent, additional_secret_outputs=["metadata"])
    found = k8s.core.v1.Secret.get(f"{call.id}.password", f"{brought.namespace}/{brought.secret}", opts)
    return pulumi.Output.secret(found.data).apply(of_secret)
