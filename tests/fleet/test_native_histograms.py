"""A real Prometheus that scrapes a service twice: with its classic histogram, and with that made a native one."""

import contextlib
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile import Child
from parent import eventually

from fleet.compiler import compile_page
from fleet.page import read_page
from fleet.rules import rule_groups
from local.api_server import free_ports
from local.prometheus import instant, prometheus

PAGE = {
    "intervals": {"scrape": "1s", "rules": "1s"},
    "clusters": {"hub": {"tier": "global", "context": "hub"}, "eu-1": {"tier": "leaf", "context": "eu-1"}},
}
PACE = {"0.01": 1, "0.05": 2, "0.1": 3, "0.25": 4, "0.5": 5, "1.0": 6, "2.5": 7, "10.0": 8, "+Inf": 9}
"""Thousands of answers in a second that took so long at most."""
SHARED = PACE.keys() - {"0.01", "10.0"}


def served(request: BaseHTTPRequestHandler) -> None:
    thousands = int(time.time() % 1_000_000 * 1000)
    lines = ["# TYPE http_request_duration_seconds histogram"]
    lines += [f'http_request_duration_seconds_bucket{{le="{le}"}} {pace * thousands}' for le, pace in PACE.items()]
    lines += [f"http_request_duration_seconds_{part} {PACE['+Inf'] * thousands}" for part in ("sum", "count")]
    request.send_response(200)
    request.send_header("Content-Type", "text/plain; version=0.0.4")
    request.end_headers()
    request.wfile.write("\n".join([*lines, ""]).encode())


@pytest.mark.cluster
def test_a_service_has_the_same_durations_whether_its_histogram_is_classic_or_native(tmp_path: Path) -> None:
    leaf = compile_page(read_page(PAGE, {})).clusters["eu-1"]
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": [each.spec() for each in rule_groups(leaf)]}))
    (port,) = free_ports(1)
    with Child(served).serving() as child:

        def job(service: str, **settings: object) -> dict[str, Any]:
            target = {"targets": [child.address], "labels": {"namespace": "shop", "service": service}}
            return {"job_name": service, "static_configs": [target], **settings}

        config = {
            "global": {"scrape_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [job("classic"), job("native", convert_classic_histograms_to_nhcb=True)],
        }
        with prometheus(tmp_path / "leaf", port, config=config):

            def recorded(service: str) -> dict[str, float]:
                name = "cluster:service_http_request_duration_seconds_bucket:rate5m"
                return {labels["le"]: value for labels, value in instant(port, f'{name}{{service="{service}"}}')}

            def both() -> bool:
                with contextlib.suppress(OSError):
                    return all(recorded(each).keys() == SHARED for each in ("classic", "native"))
                return False

            eventually(both, "every bucket is recorded of both", seconds=30)
            assert instant(port, 'http_request_duration_seconds_bucket{service="native"}') == []
            found = {each: recorded(each) for each in ("classic", "native")}
    for each in found.values():
        assert {le: value / each["+Inf"] for le, value in each.items()} == pytest.approx(
            {le: PACE[le] / 9 for le in SHARED}
        )
