import pulumi

from fleet.plan import ClusterPlan


class Protection(pulumi.ComponentResource):
    """Depends on all that lies in a cluster's namespace, so that where it is protected, all of that is.

    The engine passes over a protected resource and what that depends on, and deletes the rest: a protected namespace
    alone would be kept, and without a preview everything in it would be gone.
    """

    def __init__(self, cluster: ClusterPlan, *inside: pulumi.ComponentResource | None) -> None:
        there = [each for each in inside if each is not None]
        opts = pulumi.ResourceOptions(depends_on=there, protect=cluster.protect)
        # Registers no outputs: where something inside failed, an update that goes on passes over this component, and
        # the engine ends the update at outputs of what it has passed over.
        super().__init__("prometheus-fleet:index:Protection", f"{cluster.name}-protection", None, opts)
