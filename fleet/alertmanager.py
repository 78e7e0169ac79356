"""The Alertmanager beside the global Prometheus, as chart values: who hears of what, and what is muted by what."""

from fleet import headers, pods
from fleet.page import Alerting, UrlSecret

Config = dict[str, object]

_NOBODY = "null"
_WEBHOOK = "webhook"
_DEAD_MANS_SWITCH = "dead-mans-switch"


def alertmanager(alerting: Alerting) -> Config:
    """The chart's `alertmanager`."""
    used = [each.secret for each in (alerting.webhook, alerting.dead_mans_switch) if each is not None]
    spec: Config = {
        # It asks nothing of its API server.
        "automountServiceAccountToken": False,
        "securityContext": pods.POD,
        "web": headers.web(),
        # The operator confines an AlertmanagerConfig to alerts with its own `namespace`, a label that alerts of the
        # fleet do not have: with this, those beside Alertmanager itself hear of all.
        "alertmanagerConfigMatcherStrategy": {"type": "OnNamespaceExceptForAlertmanagerNamespace"},
        **({"secrets": [*dict.fromkeys(used)]} if used else {}),
    }
    account = {"automountServiceAccountToken": False}
    return {"enabled": True, "config": _config(alerting), "alertmanagerSpec": spec, "serviceAccount": account}


def _config(alerting: Alerting) -> Config:
    return {
        "route": {
            "receiver": _NOBODY if alerting.webhook is None else _WEBHOOK,
            "group_by": ["cluster", "region", "alertname"],
            "routes": [_watchdog(alerting), {"matchers": ['severity="none"'], "receiver": _NOBODY}],
        },
        "receivers": [
            {"name": _NOBODY},
            *_webhook(_WEBHOOK, alerting.webhook, send_resolved=True),
            *_webhook(_DEAD_MANS_SWITCH, alerting.dead_mans_switch, send_resolved=False),
        ],
        "inhibit_rules": [
            _muted_by_maintenance('cluster!=""', "cluster"),
            # A regional cluster's own: it has no label `cluster`.
            _muted_by_maintenance('cluster=""', "region"),
        ],
    }


def _watchdog(alerting: Alerting) -> Config:
    route: Config = {"matchers": ['alertname="Watchdog"']}
    if alerting.dead_mans_switch is None:
        return {**route, "receiver": _NOBODY}
    often = {"group_wait": "0s", "group_interval": "1m", "repeat_interval": "1m"}
    return {**route, "receiver": _DEAD_MANS_SWITCH, **often}


def _webhook(name: str, url: UrlSecret | None, *, send_resolved: bool) -> list[Config]:
    if url is None:
        return []
    path = f"/etc/alertmanager/secrets/{url.secret}/{url.key}"
    return [{"name": name, "webhook_configs": [{"url_file": path, "send_resolved": send_resolved}]}]


def _muted_by_maintenance(whose: str, label: str) -> Config:
    return {
        "source_matchers": ['alertname="ClusterInMaintenance"', whose],
        "target_matchers": ['alertname!="ClusterInMaintenance"', f'{label}!=""'],
        "equal": [label],
    }
