import pulumi
import pulumi_random

from fleet.plan import Discovery, Edge


class Credential(pulumi.ComponentResource):
    """The user name and password of one edge of the fleet: a stolen one opens that edge and no other.

    All that one parent discovers in its own cluster counts as one edge here.
    """

    edge: Edge | Discovery
    username: str
    password: pulumi.Output[str]
    bcrypt_hash: pulumi.Output[str]
    """Kept in state with the password, so that it is the same on every run."""

    def __init__(self, edge: Edge | Discovery, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prometheus-fleet:index:Credential", edge.id, None, opts)
        # bcrypt hashes the first 72 bytes only; 32 letters and digits hold 190 bits and need no quoting anywhere.
        generated = pulumi_random.RandomPassword(
            edge.id, length=32, special=False, opts=pulumi.ResourceOptions(parent=self)
        )
        self.edge = edge
        self.username = edge.caller
        self.password = pulumi.Output.secret(generated.result)
        self.bcrypt_hash = pulumi.Output.secret(generated.bcrypt_hash)
        self.register_outputs({"username": self.username})
