# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent asks of the search cluster, with a server of this machine in its place."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from trivet.agent.commands import build_parser
from trivet.node.errors import AgentError
from trivet.services.files.contract import BRICK_PORTS
from trivet.services.search import command as search

CONFIG: dict[str, Any] = {
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
    """Answers every health and every search with a status, knows its indices, and says what it was asked."""

    def __init__(self) -> None:
        self.health = (200, {"timed_out": False})
        self.search = 200
        self.indices: dict[str, Any] = {}
        self.made: dict[str, Any] = {}
        self.documents = 0
        self.asked: list[tuple[str, str]] = []

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        self.asked.append((method, path))
        index, _, rest = path.strip("/").partition("/")
        if "health" in path:
            return self.health
        if rest.startswith("_search"):
            return self.search, {}
        if rest.startswith("_doc"):
            self.documents += 1
            return 201, {"result": "created"}
        if index.startswith("_"):
            return 200, {}
        if method == "PUT":
            if index in self.indices:
                return 400, {"error": "resource_already_exists_exception"}
            self.indices[index] = self.made[index] = json.loads(body)
        elif self.indices.pop(index, None) is None:
            return 404, {"status": 404}
        return 200, {"acknowledged": True}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A search engine on a free port of this machine."""
    made = Engine()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            status, said = made.answer(self.command, self.path, self.rfile.read(length))
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = answer

        def log_message(self, *_words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    # The bricks' ports are within the range of free ones, and no other service may have one of them.
    while BRICK_PORTS.default <= server.server_port <= (BRICK_PORTS.last or 0):
        server.server_close()
        server = HTTPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setitem(CONFIG, "settings", {"search_http_port": server.server_port})
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
    monkeypatch.setitem(CONFIG, "settings", {"search_http_port": 9})
    with pytest.raises(AgentError, match="no search node answers"):
        run("allocation", "all", "--wait", "6")


def test_an_engine_searches_its_own_copy_of_an_index_of_ours_which_goes_again(engine: Engine) -> None:
    said = run("warm")
    searches = [path for method, path in engine.asked if method == "POST"]
    assert searches == ["/trivet-warm/_search?preference=_local"] * said["searches"]
    assert said["searches"] == search.WARM_SEARCHES and said["placed"]
    assert said["first_ms"] > 0 and said["last_ms"] > 0
    assert engine.documents == 3
    settings = engine.made["trivet-warm"]["settings"]["index"]
    # On every node, also while the copies of other indices stay where they are; and in nobody's list of indices.
    assert settings["auto_expand_replicas"] == "0-all"
    assert settings["routing.allocation.enable"] == "all"
    assert settings["hidden"] is True
    assert not engine.indices


def test_what_a_killed_run_has_left_is_made_anew(engine: Engine) -> None:
    engine.indices["trivet-warm"] = {}
    run("warm")
    assert engine.documents == 3
    assert not engine.indices


def test_a_copy_that_is_late_is_told_and_no_reason_not_to_search(engine: Engine) -> None:
    engine.health = (408, {"timed_out": True})
    said = run("warm")
    assert not said["placed"]
    assert said["searches"] == search.WARM_SEARCHES


def test_a_search_that_fails_is_an_error_and_leaves_nothing(engine: Engine) -> None:
    engine.search = 503
    with pytest.raises(AgentError, match=r"a search on 127\.0\.0\.1: 503"):
        run("warm")
    assert not engine.indices
