# SPDX-License-Identifier: GPL-3.0-or-later
"""The event journal, the pause, and the alerts."""

from __future__ import annotations

import argparse
import http.server
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from trivet.agent import events, flags, pause
from trivet.agent.alerts import Alerts, alert_of, alerts_from
from trivet.agent.events import EventJournal
from trivet.agent.repair import News, Notice
from trivet.node.errors import AgentError
from trivet.node.symptom import START, Remedy, Symptom

CONFIG = {"name": "n1"}


def kinds(journal: EventJournal, since: float = 0.0) -> list[str]:
    return [event["kind"] for event in journal.read(since)]


def test_events_are_read_as_they_were_written(tmp_path: Path) -> None:
    journal = EventJournal(tmp_path / "events")
    assert kinds(journal) == []
    first = journal.append("n1", "noticed", service="web")
    second = journal.append("n1", "repaired", seconds=1.5)
    assert list(journal.read()) == [first, second]
    assert (first["node"], first["service"]) == ("n1", "web")
    assert kinds(journal, since=second["at"]) == []


def test_a_torn_line_costs_one_event_only(tmp_path: Path) -> None:
    journal = EventJournal(tmp_path)
    journal.append("n1", "one")
    with (tmp_path / "events.jsonl").open("a") as stream:
        stream.write('{"at": 17, "no')
    journal.append("n1", "two")
    assert kinds(journal) == ["one", "two"]


def test_the_journal_stays_within_its_size_and_keeps_the_newest(tmp_path: Path) -> None:
    journal = EventJournal(tmp_path, largest=2000, kept=2)
    for number in range(200):
        journal.append("n1", f"event {number}")
    files = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert files == ["events.1.jsonl", "events.2.jsonl", "events.jsonl"]
    assert all(path.stat().st_size < 2200 for path in tmp_path.glob("*.jsonl"))
    found = kinds(journal)
    assert found == [f"event {number}" for number in range(200 - len(found), 200)]
    assert len(found) > 40


def test_several_writers_do_not_mix_their_lines(tmp_path: Path) -> None:
    def write(name: str) -> None:
        for _ in range(50):
            EventJournal(tmp_path, largest=3000, kept=9).append("n1", name)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kinds(EventJournal(tmp_path, kept=9))) == ["a"] * 50 + ["b"] * 50 + ["c"] * 50


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pause, "PAUSE_DIRECTORY", tmp_path / "pause")
    monkeypatch.setattr(flags, "PAUSE_DIRECTORY", tmp_path / "pause")
    for module in (pause, events):
        monkeypatch.setattr(module, "EVENTS_DIRECTORY", tmp_path / "events")
    return tmp_path


def test_a_pause_is_a_flag_with_an_owner_and_an_end_and_is_recorded(folders: Path) -> None:
    answer = pause.run_pause(argparse.Namespace(owner="alice", expires=60.0), CONFIG)
    assert answer["paused"]["owner"] == "alice"
    listed = flags.look_pauses(CONFIG)
    assert [(flag.kind, flag.subject, flag.owner) for flag in listed] == [("pause", "agent", "alice")]
    assert pause.run_resume(argparse.Namespace(owner="bob"), CONFIG) == {"resumed": True}
    assert pause.run_resume(argparse.Namespace(owner="bob"), CONFIG) == {"resumed": False}
    assert flags.undo_pause("agent", CONFIG) == "was gone already"
    told = events.run_events(argparse.Namespace(since=0.0), CONFIG)
    assert [(event["kind"], event["by"]) for event in told["events"]] == [("paused", "alice"), ("resumed", "bob")]
    assert (folders / "events" / "events.jsonl").exists()


def test_a_pause_without_an_end_is_refused(folders: Path) -> None:
    del folders
    with pytest.raises(AgentError):
        pause.run_pause(argparse.Namespace(owner="alice", expires=0.0), CONFIG)


# ---------------------------------------------------------------- alerts

SYMPTOM = Symptom(
    service="web",
    subject="nginx",
    problem="down",
    reason="nginx does not run (unit failed)",
    looks=2,
    remedy=Remedy(START, ("nginx",)),
)


def notice(news: News, symptom: Symptom = SYMPTOM) -> Notice:
    return Notice(news, symptom, 1000.0, 3, alert=True)


def test_an_alert_says_whether_a_human_is_needed() -> None:
    told = alert_of("shop", "n1", notice(News.NOTICED))
    assert (told["incident"], told["state"], told["human_needed"]) == ("shop/n1/web/nginx/down", "noticed", False)
    assert alert_of("shop", "n1", notice(News.GAVE_UP))["human_needed"]
    resolved = alert_of("shop", "n1", notice(News.RESOLVED))
    assert (resolved["incident"], resolved["human_needed"]) == (told["incident"], False)
    hopeless = Symptom(service="database", subject="galera", problem="x", reason="y", looks=1, cluster_wide=True)
    alert = alert_of("shop", "n2", notice(News.NOTICED, hopeless))
    assert alert["human_needed"] and alert["incident"] == "shop/cluster/database/galera/x"


class Receiver(http.server.BaseHTTPRequestHandler):
    """A webhook."""

    received: list[Any] = []  # noqa: RUF012
    status = 204

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append((self.path, json.loads(body)))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


def test_alerts_go_to_a_program_and_to_a_webhook(tmp_path: Path) -> None:
    target = tmp_path / "alert.json"
    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        webhook = f"http://127.0.0.1:{server.server_port}/hook?to=me"
        alerts = Alerts(("sh", "-c", f"cat > {target}"), webhook)
        assert alerts.send({"state": "noticed"}) == []
        Receiver.status = 500
        assert alerts.send({"state": "resolved"}) == ["127.0.0.1 answered 500"]
        server.shutdown()
    assert json.loads(target.read_text()) == {"state": "resolved"}
    assert Receiver.received == [("/hook?to=me", {"state": "noticed"}), ("/hook?to=me", {"state": "resolved"})]


def test_an_alert_that_cannot_be_sent_is_told_and_harms_nothing() -> None:
    problems = Alerts(("/no/such/program",), "http://127.0.0.1:1/").send({})
    assert len(problems) == 2
    assert len(Alerts(("false",)).send({})) == 1
    assert Alerts().send({}) == []


def test_settings_of_alerts_are_checked() -> None:
    assert alerts_from({}) == Alerts()
    assert alerts_from({"alert_command": ["/bin/x", 1], "alert_webhook": "https://a/"}) == Alerts(
        ("/bin/x", "1"), "https://a/"
    )
    with pytest.raises(ValueError, match="list"):
        alerts_from({"alert_command": "/bin/x"})
    with pytest.raises(ValueError, match="HTTP"):
        alerts_from({"alert_webhook": "file:///etc/passwd"})
