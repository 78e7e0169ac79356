"""The `tls` plugin: which kind of resource a token means."""

from local.standins.host import Host
from local.standins.kinds import ResourceKind
from local.standins.servicer import Plugin


class TlsPlugin(Plugin):
    package = "tls"

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._kinds: dict[str, ResourceKind] = {}

    async def configure(self, variables: dict[str, str]) -> None:
        if "proxy" in variables:
            raise self.refuse("the setting proxy")

    def kind(self, token: str) -> ResourceKind:
        if not self._kinds:
            from local.standins.tls.resources import kinds  # noqa: PLC0415 - an idle plugin should not pay for it

            self._kinds = kinds(self.host)
        if token not in self._kinds:
            raise self.refuse(f"the resource type {token}")
        return self._kinds[token]
