"""The Alertmanager beside a Prometheus, as chart values: who hears of what, and what is muted by what."""

from fleet import headers, pods
from fleet.page import Alerting, Alertmanager, Storage, UrlSecret
from fleet.storage import KEPT, volume_claim

Config = dict[str, object]

_NOBODY = "null"
_WEBHOOK = "webhook"
_DEAD_MANS_SWITCH = "dead-mans-switch"


def alertmanager(page: Alertmanager) -> Config:
    """The chart's `alertmanager`."""
    hooks = (page.webhook, _pulse(page), *(route.webhook for route in page.routes))
    used = [each.secret for each in hooks if each is not None]
    spec: Config = {
        # It asks nothing of its API server.
        "automountServiceAccountToken": False,
        "securityContext": pods.POD,
        "web": headers.web(),
        # The operator confines an AlertmanagerConfig to alerts with its own `namespace`, a label that alerts of the
        # fleet do not have: with this, those beside Alertmanager itself hear of all.
        "alertmanagerConfigMatcherStrategy": {"type": "OnNamespaceExceptForAlertmanagerNamespace"},
        **({"secrets": [*dict.fromkeys(used)]} if used else {}),
        **_kept(page.storage),
    }
    account = {"automountServiceAccountToken": False}
    return {"enabled": True, "config": _config(page), "alertmanagerSpec": spec, "serviceAccount": account}


def _kept(storage: Storage | None) -> Config:
    if storage is None:
        return {}
    return {"storage": volume_claim(storage), "persistentVolumeClaimRetentionPolicy": KEPT}


def _pulse(page: Alertmanager) -> UrlSecret | None:
    """The fleet's own: with another cluster's, somebody would be called although the top is well."""
    return page.dead_mans_switch if isinstance(page, Alerting) else None


def _config(page: Alertmanager) -> Config:
    return {
        "route": {
            "receiver": _NOBODY if page.webhook is None else _WEBHOOK,
            "group_by": ["cluster", "region", "alertname"],
            "routes": [
                _watchdog(page),
                {"matchers": ['severity="none"'], "receiver": _NOBODY},
                *(
                    {"matchers": [*route.matchers], "receiver": _NOBODY if route.webhook is None else _route(number)}
                    for number, route in enumerate(page.routes)
                ),
            ],
        },
        "receivers": [
            {"name": _NOBODY},
            *_webhook(_WEBHOOK, page.webhook, send_resolved=True),
            *_webhook(_DEAD_MANS_SWITCH, _pulse(page), send_resolved=False),
            *(
                receiver
                for number, route in enumerate(page.routes)
                for receiver in _webhook(_route(number), route.webhook, send_resolved=True)
            ),
        ],
        "inhibit_rules": [
            _muted_by_maintenance('cluster!=""', "cluster"),
            # A regional cluster's own: it has no label `cluster`.
            _muted_by_maintenance('cluster=""', "region"),
            _muted_by_absence('cluster!=""', "cluster"),
            _muted_by_absence('cluster=""', "region"),
            {
                "source_matchers": ['severity="critical"'],
                "target_matchers": ['severity="warning"'],
                "equal": [*_WHAT_IT_IS_ABOUT],
            },
        ],
    }


def _watchdog(page: Alertmanager) -> Config:
    # The global cluster's own: that of another one says nothing about it, and that of nobody below looks like it.
    route: Config = {"matchers": ['alertname="Watchdog"', 'cluster=""', 'region=""']}
    if _pulse(page) is None:
        return {**route, "receiver": _NOBODY}
    often = {"group_wait": "0s", "group_interval": "1m", "repeat_interval": "1m"}
    return {**route, "receiver": _DEAD_MANS_SWITCH, **often}


def _webhook(name: str, url: UrlSecret | None, *, send_resolved: bool) -> list[Config]:
    if url is None:
        return []
    path = f"/etc/alertmanager/secrets/{url.secret}/{url.key}"
    return [{"name": name, "webhook_configs": [{"url_file": path, "send_resolved": send_resolved}]}]


def _route(number: int) -> str:
    return f"route-{number}"


def _muted_by_maintenance(whose: str, label: str) -> Config:
    return {
        "source_matchers": ['alertname="ClusterInMaintenance"', whose],
        "target_matchers": ['alertname!="ClusterInMaintenance"', f'{label}!=""'],
        "equal": [label],
    }


def _muted_by_absence(whose: str, label: str) -> Config:
    """What others say of a cluster of which nothing is known follows from that. What it says itself does not."""
    return {
        "source_matchers": [f'alertname=~"{_GONE}"', whose],
        "target_matchers": [
            f'alertname!~"{_GONE}|ClusterInMaintenance"',
            whose,
            f'{label}!=""',
            'level!~"cluster|regional"',
        ],
        "equal": [label],
    }


_GONE = "ClusterSilent|FederationTargetDown"
_WHAT_IT_IS_ABOUT = (
    *("alertname", "cluster", "region", "edge", "job", "instance", "name"),
    *("namespace", "service", "node", "pod", "persistentvolumeclaim", "rule_group", "remote_name", "url"),
)
"""Labels in which the warning and the critical form of one alert agree; one that neither has counts as equal."""
