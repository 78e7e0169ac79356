from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.duration import format_duration, parse_duration


@given(st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=3650)))
def test_a_duration_survives_being_written(duration: timedelta) -> None:
    duration -= timedelta(microseconds=duration.microseconds % 1000)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("text", ["", "0s", "1", "s", "-1s", "1.5h", "1s1m", "1h 1m", None, 5])
def test_what_prometheus_would_refuse_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)
