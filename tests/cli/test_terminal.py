"""Standard output that fails, is slow, or knows no Unicode."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from aigate.cli.terminal import Outlet, outlets, show


def test_a_slow_reader_of_a_pipe_that_does_not_block_gets_all() -> None:
    """Some programs hand their children such a pipe; a long record must not be cut."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    data = bytes(range(256)) * 4096
    got = bytearray()

    def take() -> None:
        while chunk := os.read(read, 65_536):
            got.extend(chunk)
            time.sleep(0.001)

    reader = threading.Thread(target=take)
    reader.start()
    outlet, at = Outlet(write), 0
    while at < len(data):
        at += outlet.write(data[at:])
    os.close(write)
    reader.join(10)
    os.close(read)
    assert bytes(got) == data
    assert outlet.lost == ""


def test_a_reader_that_is_gone_has_lost_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    outlet = Outlet(write)
    assert outlet.write(b"abc") == 3
    assert outlet.write(b"def") == 3
    os.close(write)
    assert isinstance(outlet.trouble, BrokenPipeError)
    assert outlet.lost == ""


def test_a_full_disk_has() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        outlet = Outlet(full.fileno())
        assert outlet.write(b"abc") == 3
    assert outlet.lost == "No space left on device"


def test_without_an_output_nothing_is_lost_until_something_is_said() -> None:
    outlet = Outlet(None)
    assert (outlet.lost, outlet.isatty()) == ("", False)
    assert outlet.write(b"abc") == 3
    assert outlet.lost == "Bad file descriptor"


def test_what_a_test_put_in_the_place_of_an_output_stays(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with outlets() as out:
        assert sys.stdout is before
        assert out is None
        show("said")
    assert capsys.readouterr().out == "said\n"


def test_the_streams_are_put_back(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with outlets() as out:
        assert out is not None
        assert sys.stdout is not before[0]
        sys.stdout.write("said")
        sys.stderr.write("complained")
    assert (sys.stdout, sys.stderr) == before
    assert capfd.readouterr() == ("said", "complained")


def test_cells_are_cleaned_and_padded(capsys: pytest.CaptureFixture[str]) -> None:
    show("a\x1b[31m", "b\nc", "d  e", widths=(8, 3), indent="> ")
    show()
    assert capsys.readouterr().out == "> a�[31m    b c  d e\n\n"
