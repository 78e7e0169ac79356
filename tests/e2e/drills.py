"""Faults of the live fleet, what they are to set off, and the document that says how long that took."""

import gzip
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from alarms import Alarms, Labels
from faults import cut_off, other_rules, prometheus_stopped, rule_error, slowed, stopped, wrong_password
from kubectl import PROMETHEUS, kubectl
from live import ROOT

from fleet.alerts import alert_groups
from fleet.compiler import compile_page
from fleet.gateway import match_query
from fleet.manifests import prometheus_rule
from fleet.names import FEDERATION_CREDENTIALS, Tier
from fleet.page import read_stack
from fleet.plan import Plan
from tests.places import Place

DOCUMENT = ROOT / "docs" / "drills.md"
ALERTS = Place(DOCUMENT, "alerts on the dev fleet")
LOSSES = Place(DOCUMENT, "samples on the dev fleet")

CUT_OFF_FOR = float(os.environ.get("FLEET_DRILLS_CUT_OFF_FOR", "0"))
MENDED_WITHIN = 120
"""Seconds from a repair to its effect: a pod's start and two scrapes, on a machine that has other things to do."""


@dataclass(frozen=True, eq=False)
class Drill:
    fault: str
    alert: str
    about: Labels
    at: str
    """The cluster whose Prometheus finds it out; the hub's Alertmanager has to hear of it."""
    within: float
    """Seconds from the fault until then."""
    make: Callable[[], AbstractContextManager[None]]
    lasts: float = 0
    """Seconds, where the alert alone does not end it."""
    ends_within: float = MENDED_WITHIN
    """Seconds from the repair until Alertmanager is told that it is over."""

    @property
    def labels(self) -> Labels:
        return {"alertname": self.alert, **self.about}

    @property
    def row(self) -> tuple[str, str, str]:
        """What of it stands in the document whatever is measured."""
        about = ",".join(f'{name}="{value}"' for name, value in self.about.items())
        return self.fault, f"`{self.alert}{{{about}}}`" if about else f"`{self.alert}`", self.at


@dataclass(frozen=True)
class Measured:
    """Seconds."""

    fires: float
    is_heard: float
    is_over: float
    """After the repair."""


@dataclass(frozen=True)
class Loss:
    fault: str
    lost: int
    """Samples that the hub will never have."""
    arrived: int
    """Those that it has of the same time."""
    seconds: float
    """From the fault until the newest samples were there again."""


def plan() -> Plan:
    return compile_page(read_stack("dev", ROOT, {}))


def _federation_alerts(of: Plan) -> Mapping[str, object]:
    (hub,) = of.tier(Tier.GLOBAL)
    (group,) = [each for each in alert_groups(of, hub) if each.name == "alerts-federation"]
    return prometheus_rule(hub, group)


def _budget_exceeded() -> AbstractContextManager[None]:
    """The child serves what it serves, were it next to nothing; it is the budget that shrinks under it."""
    small = replace(plan(), federation=tuple(replace(edge, budget=1) for edge in plan().federation))
    return other_rules("hub", _federation_alerts(small), _federation_alerts(plan()))


def _slowed_child() -> AbstractContextManager[None]:
    """So slow that a scrape takes nearly all of its time."""
    (edge,) = plan().federations_of("eu")
    asked = match_query(edge.matches)
    answer = gzip.compress(kubectl("eu", "get", "--raw", f"{PROMETHEUS}/federate?{asked}").encode())
    return slowed("eu", "hub", 8 * len(answer) / (0.92 * edge.timeout.total_seconds()))


EDGE_CUT_OFF = Drill(
    fault="edge shop-1 is cut off from the hub",
    alert="ClusterSilent",
    about={"cluster": "shop-1"},
    at="hub",
    # A series that nobody ends lives on for Prometheus's five minutes.
    within=5 * 60 + 90,
    make=lambda: cut_off("shop-1", "hub"),
    lasts=CUT_OFF_FOR,
)

RULE_FAILS = Drill(
    fault="a rule of leaf eu-1 ends in an error each time",
    alert="PrometheusRuleFailures",
    about={"cluster": "eu-1", "region": "eu"},
    at="eu-1",
    # A kubelet carries rules into a pod once a minute or so.
    within=180,
    make=lambda: rule_error("eu-1"),
    # It counts what has failed within five minutes.
    ends_within=5 * 60 + 90,
)

TOGETHER = (
    Drill(
        fault="Prometheus of leaf eu-2 is stopped",
        alert="ClusterSilent",
        about={"cluster": "eu-2", "region": "eu"},
        at="hub",
        within=120,
        make=lambda: prometheus_stopped("eu-2"),
    ),
    Drill(
        fault="the network between region eu and its leaf eu-1 is cut",
        alert="ClusterSilent",
        about={"cluster": "eu-1", "region": "eu"},
        at="hub",
        within=120,
        make=lambda: cut_off("eu", "eu-1"),
    ),
    Drill(
        fault="region eu exceeds its budget",
        alert="FederationSampleLimit",
        about={"region": "eu"},
        at="hub",
        # A kubelet carries rules into a pod once a minute or so.
        within=180,
        make=_budget_exceeded,
    ),
)
"""These do not meet."""

ONE_BY_ONE = (
    Drill(
        fault="the gateway of the hub hangs",
        alert="GatewayDown",
        about={},
        at="hub",
        within=90,
        make=lambda: stopped("hub", "gateway"),
    ),
    Drill(
        fault="region eu answers the hub slowly",
        alert="FederationScrapeDuration",
        about={"region": "eu"},
        at="hub",
        within=120,
        make=_slowed_child,
    ),
    Drill(
        fault="the hub has a wrong password for region eu",
        alert="FederationTargetDown",
        about={"region": "eu"},
        at="hub",
        within=180,
        make=lambda: wrong_password("hub", FEDERATION_CREDENTIALS, "eu"),
    ),
    Drill(
        fault="the gateway of region eu hangs",
        alert="FederationTargetDown",
        about={"region": "eu"},
        at="hub",
        within=90,
        make=lambda: stopped("eu", "gateway"),
    ),
)

DRILLS = (*TOGETHER, *ONE_BY_ONE, EDGE_CUT_OFF, RULE_FAILS)

EDGE_REFUSED = "edge shop-1 has a wrong password for the hub"
HUB_RESTARTED = "Prometheus of the hub ends and is started again"


def run(drill: Drill, alarms: Alarms) -> Measured:
    alarms.until("Alertmanager", drill.labels, fires=False, within=MENDED_WITHIN)
    began = time.monotonic()
    with drill.make():
        alarms.until(drill.at, drill.labels, fires=True, within=drill.within)
        fires = time.monotonic() - began
        alarms.until("Alertmanager", drill.labels, fires=True, within=drill.within - fires)
        is_heard = time.monotonic() - began
        # An outage of a given length is not over before.
        time.sleep(max(drill.lasts - is_heard, 0))
    is_over = alarms.until("Alertmanager", drill.labels, fires=False, within=drill.ends_within)
    return Measured(fires, is_heard, is_over)


def alerts_table(measured: Mapping[Drill, Measured]) -> str:
    head = [
        "| fault | alert | at | fires after | Alertmanager has it after | over after the repair |",
        "|---|---|---|---|---|---|",
    ]
    times = {drill: (each.fires, each.is_heard, each.is_over) for drill, each in measured.items()}
    rows = [[*drill.row, *(f"{each:.0f} s" for each in times[drill])] for drill in DRILLS]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def losses_table(losses: list[Loss]) -> str:
    head = ["| fault | lost for good | arrived | whole again after |", "|---|---|---|---|"]
    return "\n".join(
        [*head, *(f"| {each.fault} | {each.lost} | {each.arrived} | {each.seconds:.0f} s |" for each in losses)]
    )
