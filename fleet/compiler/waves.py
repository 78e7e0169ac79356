"""Waves: only what would wait for nothing is wrong; numbers may have gaps. No update waits for another stack."""

from collections.abc import Iterator, Mapping

from pydantic.alias_generators import to_camel

from fleet.errors import Problem, at
from fleet.page import Page


def wave_problems(page: Page, stacks: Mapping[str, str]) -> Iterator[Problem]:
    members: dict[str | None, list[str]] = {}
    for name in page.clusters:
        members.setdefault(stacks.get(name), []).append(name)
    where = "" if len(members) == 1 else " of its stack"
    waits = False
    for names in members.values():
        waves = {page.clusters[name].wave for name in names}
        waits = waits or len(waves) > 1
        if len(waves) == 1 and waves != {1}:
            yield at(["clusters", names[0], "wave"], f"has no effect: every cluster{where} is in wave {min(waves)}", 1)
    if not waits:
        for field in sorted(page.waves.model_fields_set):
            yield at(["waves", to_camel(field)], f"has no effect: every cluster{where} is in the same wave")
