import re
import threading
import time

import pytest

from local import progress


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_a_step_is_one_line_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.step("tune [the] radio") as current:
        current.detail = "3 stations"
    (line,) = lines(capsys)
    assert re.fullmatch(r" +\d+\.\d s  tune \[the\] radio: 3 stations", line)


def test_a_failing_step_says_so_and_lets_the_error_through(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), progress.step("tune the radio"):
        raise KeyboardInterrupt
    assert [line.split("s  ")[1] for line in lines(capsys)] == ["tune the radio: failed"]


def test_a_long_step_without_a_terminal_is_announced(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LONG", 0.01)
    announced = threading.Event()
    original = progress.say

    def say(text: str) -> None:
        original(text)
        announced.set()

    monkeypatch.setattr(progress, "say", say)
    with progress.step("tune the radio"):
        assert announced.wait(10)
    first, last = lines(capsys)
    assert first.split() == ["...", "tune", "the", "radio"]
    assert last.endswith(" s  tune the radio")


@pytest.mark.parametrize("terminal", [False, True])
def test_steps_of_many_threads_do_not_mix(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)

    def work(number: int) -> None:
        with progress.step(f"step {number}"):
            time.sleep(0.01)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    printed = [found[1] for line in lines(capsys) if (found := re.search(r"\d s  (step \d)$", line))]
    assert sorted(printed) == [f"step {number}" for number in range(8)]
