"""Waves: only what would wait for nothing is wrong; numbers may have gaps."""

from collections.abc import Iterator

from pydantic.alias_generators import to_camel

from fleet.errors import Problem, at
from fleet.page import Page


def wave_problems(page: Page) -> Iterator[Problem]:
    (first, cluster), *others = page.clusters.items()
    if any(other.wave != cluster.wave for _, other in others):
        return
    if cluster.wave > 1:
        yield at(["clusters", first, "wave"], f"has no effect: every cluster is in wave {cluster.wave}", 1)
    for field in sorted(page.waves.model_fields_set):
        yield at(["waves", to_camel(field)], "has no effect: every cluster is in the same wave")
