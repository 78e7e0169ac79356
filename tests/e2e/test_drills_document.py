"""docs/drills.md tells of the drills that there are; how long each took is what one run has measured."""

from drills import ALERTS, DRILLS, EDGE_CUT_OFF, EDGE_REFUSED, HUB_RESTARTED, LOSSES, Drill
from live import ROOT

from fleet.alerts import RUNBOOKS, alerts


def rows(table: str) -> list[list[str]]:
    _, _, *lines = table.splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_drill_is_told_with_its_alert_and_where_it_fires() -> None:
    assert [tuple(row[:3]) for row in rows(ALERTS.text())] == [drill.row for drill in DRILLS]


def test_it_is_told_what_is_lost_for_good_and_what_is_not() -> None:
    told = {fault: int(lost) for fault, lost, *_ in rows(LOSSES.text())}
    assert told.keys() == {EDGE_CUT_OFF.fault, EDGE_REFUSED, HUB_RESTARTED}
    assert {fault for fault, lost in told.items() if lost} == {EDGE_REFUSED}


def test_every_drill_is_for_an_alert_that_exists_and_has_a_runbook() -> None:
    def is_known(drill: Drill) -> bool:
        return drill.alert in {each.alert for file in alerts().values() for each in file}

    assert all(map(is_known, DRILLS))
    assert all((ROOT / RUNBOOKS / f"{drill.alert}.md").exists() for drill in DRILLS)
