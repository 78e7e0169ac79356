"""What a match would cost, on an answer as `/federate` gives it; a live child is asked on the local fleet."""

import asyncio
from dataclasses import dataclass, field

from fleet.plan import Plan
from fleet.price import Price, price, verdict

ANSWER = """\
# TYPE kube_pod_info untyped
kube_pod_info{pod="a",cluster="eu-1"} 1 1700000000000
kube_pod_info{pod="ä",cluster="eu-1"} 1 1700000000000

"""


@dataclass
class Child:
    asked: list[str] = field(default_factory=list)

    async def federate(self, match: str) -> str:
        self.asked.append(match)
        return ANSWER


def test_series_are_counted_without_comments_and_bytes_with_everything() -> None:
    child = Child()
    assert asyncio.run(price(child, "kube_pod_info")) == Price(series=2, size=len(ANSWER.encode()))
    assert child.asked == ["kube_pod_info"]


def test_a_price_is_set_against_what_the_edge_carries_already(dev: Plan) -> None:
    assert list(verdict(dev, "eu-1", Price(series=200, size=9000))) == [
        "eu-1 serves 200 series for it, 9000 bytes per scrape",
        "eu-1 → eu: 2913 expected + 200 = 3113, within its budget of 4000",
    ]
    assert list(verdict(dev, "eu-1", Price(series=2000, size=1)))[1].endswith("= 4913, above its budget of 4000")
