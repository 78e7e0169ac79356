"""Pull requests as people open them: a page before, what they do to it, and a repository in which both are."""

import asyncio
import copy
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fleet.review.preview import preview
from fleet.review.report import Report

Page = dict[str, Any]
STACK = "dev"
"""The policy pack has settings for it: short intervals, and no volumes."""


def node_port(number: int) -> Page:
    return {"type": "NodePort", "host": f"192.0.2.{number}", "port": 30443}


PAGE: Page = {
    "chart": {"source": "./chart"},
    "protect": False,
    "dashboards": False,
    "values": {"prometheusOperator": {"admissionWebhooks": {"enabled": False}, "tls": {"enabled": False}}},
    "clusters": {
        "hub": {"tier": "global", "context": "hub", "gateway": node_port(1)},
        "eu": {"tier": "regional", "region": "eu", "context": "eu", "gateway": node_port(2)},
        "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1", "gateway": node_port(3)},
        "eu-2": {"tier": "leaf", "region": "eu", "context": "eu-2", "gateway": node_port(4), "replicas": 2},
        "shop-1": {"tier": "edge", "context": "shop-1"},
    },
}


@dataclass(frozen=True)
class Repository:
    root: Path

    def write(self, page: Page | None, stack: str = STACK) -> None:
        """None takes the page away."""
        file = self.root / f"Pulumi.{stack}.yaml"
        if page is None:
            file.unlink()
        else:
            document = {"config": {"prometheus-fleet:fleet": page}}
            file.write_text(yaml.safe_dump(document, sort_keys=False, width=1000))

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=x")

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def preview(self, base: str = "main", stack: str = STACK) -> Report:
        return asyncio.run(preview(stack, base, self.root, f"{stack}.details.md"))


def repository(root: Path, files: Mapping[str, Path], page: Page = PAGE, stack: str = STACK) -> Repository:
    """With `page` committed on branch main, and `files`: folders under the names that they have there."""
    made = Repository(root)
    root.mkdir()
    made.git("init", "--quiet", "--initial-branch=main")
    for name, folder in files.items():
        subprocess.run(["cp", "--recursive", str(folder), str(root / name)], check=True)
    made.write(page, stack)
    made.commit()
    return made


Edit = Callable[[Page], object]


def edited(edit: Edit, page: Page = PAGE) -> Page:
    changed = copy.deepcopy(page)
    edit(changed)
    return changed


def comparable(text: str) -> str:
    """Without what differs from run to run."""
    return re.sub(r"`[0-9a-f]{10}`", "`COMMIT`", text)


def _new_leaf(page: Page) -> None:
    page["clusters"]["eu-3"] = {"tier": "leaf", "region": "eu", "context": "eu-3", "gateway": node_port(5)}


def _removed_leaf(page: Page) -> None:
    del page["clusters"]["eu-2"]


def _chart_version(page: Page) -> None:
    page["chart"]["source"] = "./newer-chart"


def _new_match(page: Page) -> None:
    match = '{__name__="kube_pod_info",namespace="payments"}'
    page["federate"] = [{"match": match, "reason": "which pods of payments run where", "series": 60}]


def _rotated_keys(page: Page) -> None:
    page["keys"] = {"edges": {"eu-federates-eu-1": {"generation": 2}}}


def _two_generations(page: Page) -> None:
    page["keys"] = {"generation": 3}


def _opened_port(page: Page) -> None:
    page["clusters"]["eu-1"]["values"] = {"prometheus": {"service": {"type": "NodePort"}}}


def _password(page: Page) -> None:
    page["clusters"]["eu-1"]["values"] = {"alertmanager": {"config": {"global": {"smtp_auth_password": "hunter2"}}}}


def _tier_moved(page: Page) -> None:
    page["clusters"]["eu-2"] = {"tier": "edge", "context": "eu-2"}


def _kept_metrics(page: Page) -> None:
    page["keep"] = ["sales_total"]


def _budget_raised(page: Page) -> None:
    page["clusters"]["eu-1"] |= {"budget": 6000, "retention": "2d"}


def _resources(page: Page) -> None:
    for name in ("eu-1", "eu-2"):
        page["clusters"][name]["resources"] = {"requests": {"memory": "2Gi"}}


EDITS: Mapping[str, Edit] = {
    "new-leaf": _new_leaf,
    "removed-leaf": _removed_leaf,
    "chart-version": _chart_version,
    "new-match": _new_match,
    "rotated-key": _rotated_keys,
    "two-generations-at-once": _two_generations,
    "opened-port": _opened_port,
    "password-in-clear": _password,
    "tier-moved": _tier_moved,
    "kept-metrics": _kept_metrics,
    "budget-raised": _budget_raised,
    "more-memory": _resources,
}
REFUSED = {"two-generations-at-once", "opened-port", "password-in-clear"}
