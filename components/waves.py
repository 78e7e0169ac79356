"""Waves: a release of a later wave is not touched until the clusters of all earlier ones are healthy."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pulumi
from pulumi_kubernetes.helm.v3 import Release

from fleet.absence import absence
from fleet.duration import format_duration
from fleet.plan import ClusterPlan, Plan


class Waves:
    """Holds releases back: `before` is what one depends on, `joined` tells of one that was made.

    Tiers are made in the order in which they need each other, waves go as the page says. So a release may wait for one
    that the program makes after it, and what is waited for are Outputs that are there before any release.
    """

    def __init__(self, plan: Plan, kubeconfigs: Mapping[str, pulumi.Input[str]]) -> None:
        self._plan = plan
        self._kubeconfigs = kubeconfigs
        self._waves = sorted({cluster.wave for cluster in plan.clusters.values()})
        earlier = [cluster for cluster in plan.clusters.values() if cluster.wave < self._waves[-1]]
        # What an update does without, which it has said, keeps no wave waiting.
        clusters = [cluster for cluster in earlier if cluster.name not in absence().kept]
        self._healthy = {cluster.name: _deferred() for cluster in clusters}
        self._gates = {
            wave: pulumi.Output.all(*(self._healthy[name][0] for name in before)).apply(partial(_last, wave))
            for wave in self._waves[1:]
            # A preview waits for nobody.
            if (before := [cluster.name for cluster in clusters if cluster.wave < wave])
            or not pulumi.runtime.is_dry_run()
        }

    def before(self, cluster: ClusterPlan) -> Sequence[pulumi.Output[Release]]:
        """Nothing in the first wave; else a release of the waves before, once all of theirs are healthy."""
        return [self._gates[cluster.wave]] if cluster.wave in self._gates else []

    def joined(self, cluster: ClusterPlan, release: Release) -> None:
        if cluster.name in self._healthy:
            _, resolve = self._healthy[cluster.name]
            resolve(self._once_healthy(cluster, release))

    def _once_healthy(self, cluster: ClusterPlan, release: Release) -> pulumi.Output[Release]:
        if pulumi.runtime.is_dry_run():
            return release.urn.apply(lambda _: release)

        async def wait(kubeconfig: str) -> Release:
            await self._wait(cluster, release, kubeconfig)
            return release

        # Its status is only known of a release that was deployed.
        return pulumi.Output.all(self._kubeconfigs[cluster.name], release.status).apply(lambda found: wait(found[0]))

    async def _wait(self, cluster: ClusterPlan, release: Release, kubeconfig: str) -> None:
        # These take half a second to load, which a fleet of one wave does not have to spend.
        from fleet.health import Observer, Unhealthy, until_healthy  # noqa: PLC0415

        following = next(wave for wave in self._waves if wave > cluster.wave)

        def say(what: str) -> None:
            pulumi.log.info(f"wave {following} waits for {cluster.name}: {what}", release)

        try:
            await until_healthy(Observer(cluster, kubeconfig).look, self._plan.waves, say)
        except Unhealthy as error:
            raise pulumi.RunError(self._explain(cluster, following, error)) from None

    def _explain(self, cluster: ClusterPlan, following: int, last_seen: Exception) -> str:
        context = f"--context {cluster.context} " if cluster.context is not None else ""
        kubectl = f"kubectl {context}--namespace {cluster.namespace}"
        return (
            f"wave {following} does not begin: {cluster.name} is not healthy after "
            f"{format_duration(self._plan.waves.timeout)}: {last_seen}\n"
            f"The releases of wave {following} and later are as they were. See `{kubectl} get pods` and the logs of "
            "those that are not Ready, mend the cluster or the page, and run `pulumi up` again: it goes on from here."
        )


def _deferred() -> tuple[pulumi.Output[Release], Callable[[pulumi.Output[Release]], None]]:
    return pulumi.deferred_output()


def _last(wave: int, releases: Sequence[Release]) -> Release:
    if not releases:
        raise pulumi.RunError(
            f"wave {wave} does not begin: none of the clusters of the waves before it can be reached, so nothing has "
            "shown that the change is good"
        )
    return releases[-1]
