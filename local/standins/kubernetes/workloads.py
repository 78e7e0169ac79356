"""What a running helm waits for: shown while it waits, explained when it fails."""

from typing import Final

from local.standins.host import Host, StandInError
from local.standins.kubernetes import helm
from local.standins.kubernetes.await_ready import RULES, NeverReadyError
from local.standins.kubernetes.client import Client
from local.standins.kubernetes.diagnosis import diagnose
from local.standins.properties import JsonObject, pluck_list, pluck_str

KINDS: Final = {"Deployment", "StatefulSet", "DaemonSet", "Job", "Pod"}
KEEP_EVERY: Final = 4
"""Looks between two diagnoses of what helm takes away again when it gives up."""


class Workloads:
    def __init__(self, host: Host, client: Client, urn: str, namespace: str, release: str, *, vanishing: bool) -> None:
        self.host = host
        self.client = client
        self.urn = urn
        self.namespace = namespace
        self.release = release
        self.vanishing = vanishing
        self._revision: helm.Revision | None = None
        self._objects: list[helm.ManifestObject] = []
        self._looks = 0
        self._kept: list[str] = []

    async def show(self) -> None:
        """Tells the engine what is not ready yet."""
        try:
            waiting = await self._waiting()
        except StandInError:
            return
        if not waiting:
            await self.host.progress(self.urn, f"helm works on the release {self.release}")
            return
        (live, missing), *others = waiting
        more = f", and {len(others)} more" if others else ""
        what = f"{pluck_str(live, 'kind')} {pluck_str(live, 'metadata', 'name')} ({missing}){more}"
        await self.host.progress(self.urn, f"waiting for {what}")
        self._looks += 1
        if self.vanishing and self._looks % KEEP_EVERY == 1:
            self._kept = await self._diagnose(waiting) or self._kept

    async def explain(self) -> list[str]:
        """Lines for the error; what was seen last where helm has taken everything away again."""
        try:
            return await self._diagnose(await self._waiting()) or self._kept
        except StandInError as error:
            return [*self._kept, f"more could not be found out: {error}"]

    async def _diagnose(self, waiting: list[tuple[JsonObject, str]]) -> list[str]:
        lines: list[str] = []
        for live, missing in waiting:
            lines.append(f"{pluck_str(live, 'kind')} {pluck_str(live, 'metadata', 'name')}: {missing}")
            lines += await diagnose(self.client, live)
        return lines

    async def _waiting(self) -> list[tuple[JsonObject, str]]:
        """The workloads that are not ready, each with what it lacks."""
        records = helm.Releases(self.client)
        last = await records.last(self.namespace, self.release)
        if last and (self._revision is None or last.secret != self._revision.secret):
            record = await records.record(self.namespace, last)
            hooks = [pluck_str(hook, "manifest") for hook in pluck_list(record, "hooks")]
            objects = helm.manifest_objects("\n---\n".join([*hooks, pluck_str(record, "manifest")]))
            self._objects = [item for item in objects if item.kind in KINDS]
            self._revision = last
        waiting: list[tuple[JsonObject, str]] = []
        for item in self._objects:
            resource = await self.client.resource(item.api_version, item.kind)
            live = await self.client.find(resource.path(item.namespace or self.namespace, item.name))
            rule = RULES.get(f"{item.api_version}/{item.kind}")
            if live is None or rule is None:
                continue
            try:
                missing = rule(live)
            except NeverReadyError as error:
                missing = str(error)
            if missing:
                waiting.append((live, missing))
        return waiting
