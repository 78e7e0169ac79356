"""What pods of Thanos are told of the bucket, in each cluster where some of them read or write it."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_random

from components.authorities import made
from components.objects import create
from components.stack_config import told_plainly
from fleet import thanos
from fleet.bucket import bucket_in_config
from fleet.names import PROJECT
from fleet.page import ObjectStorage
from fleet.plan import ClusterPlan


@dataclass(frozen=True, slots=True)
class Objects:
    secrets: Sequence[pulumi.CustomResource]
    """Before any pod that reads them."""
    mark: pulumi.Output[str] | None
    """Changes with what they hold."""


def thanos_objects(
    name: str, cluster: ClusterPlan, bucket: ObjectStorage | None, opts: pulumi.ResourceOptions
) -> Objects:
    """None where somebody else keeps the Secret, or there is no bucket."""
    if bucket is None or bucket.config is None:
        return Objects((), None)
    config = _config(bucket.config)
    return Objects([create(name, thanos.objects_secret(cluster, config), opts)], _mark(name, config, opts))


def _config(key: str) -> pulumi.Output[str]:
    def checked(text: str) -> str:
        with told_plainly():
            return bucket_in_config(key, text)

    return pulumi.Config(PROJECT).require_secret(key).apply(checked)


def _mark(name: str, config: pulumi.Output[str], opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Changes with the configuration, and tells nobody who has not the salt whether a guess of it is right."""
    salt = made(pulumi_random.RandomPassword(f"{name}.salt", length=32, special=False, opts=opts).result)

    def digest(texts: Sequence[str]) -> str:
        key, text = texts
        return hmac.new(key.encode(), text.encode(), "sha256").hexdigest()[:12]

    return pulumi.Output.unsecret(pulumi.Output.all(salt, config).apply(digest))
