import io

import pytest

from medglot.core.progress import Progress, duration


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (750, "12:30"), (11100, "3:05:00")])
def test_durations_read_as_clocks(seconds, text):
    assert duration(seconds) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_count_total_and_note_on_one_line():
    stream = Terminal()
    with Progress("reading", 10, unit="files", stream=stream) as progress:
        progress.advance(4, "loss 1.25")
    assert "reading: 4 of 10 files" in stream.getvalue()
    assert "loss 1.25" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[2K")


def test_a_log_file_is_not_flooded():
    stream = io.StringIO()
    with Progress("reading", 1000, stream=stream) as progress:
        for _ in range(1000):
            progress.advance()
    assert stream.getvalue() == ""
