"""The Alertmanager beside a Prometheus, as chart values: who hears of what, and what is muted by what."""

import re
from collections.abc import Mapping

from fleet import headers, pods
from fleet.errors import FleetError, Problem
from fleet.names import ALERT_URLS, PROJECT
from fleet.page import Alerting, Alertmanager, Storage, UrlSecret
from fleet.storage import KEPT, volume_claim

Config = dict[str, object]

_NOBODY = "null"
_WEBHOOK = "webhook"
_DEAD_MANS_SWITCH = "dead-mans-switch"


def alertmanager(page: Alertmanager) -> Config:
    """The chart's `alertmanager`."""
    used = [url.secret or ALERT_URLS for url in _urls(page).values()]
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


def urls_in_config(page: Alertmanager | None) -> Mapping[str, str]:
    """Of each receiver whose URL stands in the stack's config, the key there."""
    urls = _urls(page or Alertmanager())
    return {receiver: url.config for receiver, url in urls.items() if url.config is not None}


def url_of(key: str, text: str) -> str:
    """`text`, which stands under `key` of the config. Raises FleetError, without repeating it, where it is no URL."""
    if not re.fullmatch(r"https?://[^\s/]+\S*", text):
        name = f"{PROJECT}:{key}"
        message = "does not hold a URL such as https://alerts.example.com/hook"
        raise FleetError([Problem(name, message, f"pulumi config set --secret {name}")])
    return text


def _urls(page: Alertmanager) -> Mapping[str, UrlSecret]:
    """By receiver."""
    # The fleet's own alone has a dead man's switch: with another cluster's, somebody would be called although the top
    # is well.
    pulse = page.dead_mans_switch if isinstance(page, Alerting) else None
    routes = {_route(number): route.webhook for number, route in enumerate(page.routes)}
    known = {_WEBHOOK: page.webhook, _DEAD_MANS_SWITCH: pulse, **routes}
    return {receiver: url for receiver, url in known.items() if url is not None}


def _kept(storage: Storage | None) -> Config:
    if storage is None:
        return {}
    return {"storage": volume_claim(storage), "persistentVolumeClaimRetentionPolicy": KEPT}


def _config(page: Alertmanager) -> Config:
    urls = _urls(page)
    return {
        "route": {
            "receiver": _WEBHOOK if _WEBHOOK in urls else _NOBODY,
            "group_by": ["cluster", "region", "alertname"],
            "routes": [
                _watchdog(is_posted=_DEAD_MANS_SWITCH in urls),
                {"matchers": ['severity="none"'], "receiver": _NOBODY},
                *(
                    {"matchers": [*route.matchers], "receiver": _NOBODY if route.webhook is None else _route(number)}
                    for number, route in enumerate(page.routes)
                ),
            ],
        },
        "receivers": [{"name": _NOBODY}, *(_receiver(name, url) for name, url in urls.items())],
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


def _watchdog(*, is_posted: bool) -> Config:
    # The global cluster's own: that of another one says nothing about it, and that of nobody below looks like it.
    route: Config = {"matchers": ['alertname="Watchdog"', 'cluster=""', 'region=""']}
    if not is_posted:
        return {**route, "receiver": _NOBODY}
    often = {"group_wait": "0s", "group_interval": "1m", "repeat_interval": "50s"}
    return {**route, "receiver": _DEAD_MANS_SWITCH, **often}


def _receiver(name: str, url: UrlSecret) -> Config:
    key = name if url.secret is None else url.key
    path = f"/etc/alertmanager/secrets/{url.secret or ALERT_URLS}/{key}"
    return {"name": name, "webhook_configs": [{"url_file": path, "send_resolved": name != _DEAD_MANS_SWITCH}]}


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
