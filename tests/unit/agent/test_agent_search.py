# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent asks of the search cluster, with a server of this machine in its place."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from trivet.agent import search
from trivet.agent.commands import build_parser
from trivet.agent.errors import AgentError

CONFIG = {
    "name": "node-1",
    "id": 1,
    "environment": "test",
    "address": "127.0.0.1",
    "nodes": [{"name": "node-1", "id": 1, "address": "127.0.0.1"}],
    "gateways": [],
    "interface": "lo",
    "search_engine": "opensearch",
}


class Engine:
    """Answers every health with a status, and says what it was asked."""

    def __init__(self) -> None:
        self.health = (200, {"timed_out": False})
        self.asked: list[tuple[str, str]] = []


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A search engine on a free port of this machine."""
    made = Engine()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            made.asked.append((self.command, self.path))
            status, said = made.health if "health" in self.path else (200, {})
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = answer

        def log_message(self, *_words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setattr(search, "SEARCH_PORT", server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def run(*words: str) -> dict[str, Any]:
    args = build_parser("search").parse_args(["search", *words])
    said: dict[str, Any] = args.run(args, CONFIG)
    return said


@pytest.mark.parametrize(("status", "late"), [(200, False), (408, True), (200, True)])
def test_copies_that_are_late_are_told_and_no_error(status: int, late: bool, engine: Engine) -> None:
    engine.health = (status, {"timed_out": late})
    assert run("allocation", "all", "--wait", "6")["placed"] is not late
    setting, waiting = engine.asked
    assert setting == ("PUT", "/_cluster/settings")
    assert "wait_for_status=green" in waiting[1] and "timeout=6s" in waiting[1]


def test_nobody_waits_who_does_not_ask_for_it(engine: Engine) -> None:
    assert run("allocation", "all")["placed"] is None
    assert [path for _, path in engine.asked] == ["/_cluster/settings"]


def test_a_cluster_that_cannot_say_is_left_to_the_verdict(engine: Engine) -> None:
    engine.health = (503, {"error": "no master"})
    assert run("allocation", "all", "--wait", "6")["placed"] is False


def test_an_engine_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    # The discard port, where nothing listens.
    monkeypatch.setattr(search, "SEARCH_PORT", 9)
    with pytest.raises(AgentError, match="no search node answers"):
        run("allocation", "all", "--wait", "6")
