# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that is gone is noticed, and never waited for without an end."""

from __future__ import annotations

import os

import pytest

from trivet.api.push import ClientGone, Output
from trivet.push import client
from trivet.push.client import Client


def test_a_long_line_arrives_whole() -> None:
    reader, writer = os.pipe()
    Client(writer).write("x" * 20000)
    assert os.read(reader, 65536) == b"x" * 20000 + b"\n"


def test_nobody_at_the_other_end() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        Client(writer).write("x")


def test_a_reader_that_reads_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.05)
    _reader, writer = os.pipe()
    with pytest.raises(TimeoutError):
        Client(writer).write("x" * 200_000)


def test_the_connection_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_comes_from_server", lambda: True)
    _reader, writer = os.pipe()
    connected = Client(writer)
    connected.write("x")
    monkeypatch.setattr(client, "_comes_from_server", lambda: False)
    with pytest.raises(ConnectionError):
        connected.write("y")


def test_a_lost_client_breaks_off_what_can_be_broken_off_and_nothing_else() -> None:
    told: list[str] = []

    def write(line: str) -> None:
        if line == "gone":
            raise BrokenPipeError
        told.append(line)

    output = Output(write)
    output("one")
    with pytest.raises(ClientGone):
        output("gone")
    output("two")
    output = Output(write, committed=True)
    output("gone")
    output("three")
    assert told == ["one"]
