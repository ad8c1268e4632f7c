# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that watches on a node, as far as it can be tried without one; and the relay of late packets."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.unit.chaos.fake_lab import FakeClock, FakeGround
from trivet.chaos import relay, watcher
from trivet.chaos.delay import delay_begins, delay_ends, delay_obstacle

HEADER = "# pxname,svname,status\n"


def test_only_what_was_up_is_taken_out() -> None:
    before = {"web/a": "UP", "web/b": "DOWN", "search/a": "UP"}
    now = {"web/a": "DOWN", "web/b": "DOWN", "search/a": "UP"}
    assert list(watcher.taken_out(before, now)) == ["web/a DOWN"]
    assert list(watcher.taken_out(before, {"haproxy": watcher.GONE})) == ["haproxy does not answer"]
    assert list(watcher.taken_out({"haproxy": watcher.GONE}, {"haproxy": watcher.GONE})) == []
    assert list(watcher.taken_out({"haproxy": watcher.GONE}, before)) == []


def test_the_states_are_those_of_the_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "admin.sock")
    assert watcher.proxy_states(path) == {"haproxy": watcher.GONE}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(f"{HEADER}web,a,UP\nweb,b,UP 1/2\nweb,c,DOWN\n\n".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        assert watcher.proxy_states(path) == {"web/a": "UP", "web/b": "UP", "web/c": "DOWN"}
        thread.join()


def test_the_journal_is_followed_through_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("old\n")
    tail = watcher.Tail(path)
    assert tail.lines() == []
    with path.open("a") as journal:
        journal.write("one\ntw")
    assert tail.lines() == ["one"]
    with path.open("a") as journal:
        journal.write("o\n")
    assert tail.lines() == ["two"]
    path.rename(tmp_path / "events.1.jsonl")
    assert tail.lines() == []
    path.write_text("three\n")
    assert tail.lines() == ["three"]


def test_the_healers_words() -> None:
    assert watcher.healer_text('{"kind": "noticed", "text": "nginx is gone"}') == "noticed: nginx is gone"
    assert watcher.healer_text("torn") is None and watcher.healer_text("[]") is None


def test_addresses_of_lo_do_not_count() -> None:
    assert "127.0.0.1" not in watcher.held_addresses()


def test_the_watcher_ends_with_its_standard_input(tmp_path: Path) -> None:
    source = Path(watcher.__file__).read_text(encoding="utf-8")
    words = ["lab-1", "60", str(tmp_path / "admin.sock"), str(tmp_path / "events.jsonl")]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", source, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.poll() is None
    process.stdin.close()
    assert process.wait(timeout=20) == 0


def test_a_frame_comes_back_late_and_in_order() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    for word in (b"one", b"two"):
        theirs.send(word)
    began = time.monotonic()
    thread = threading.Thread(target=relay.relay, args=(ours.fileno(), 0.2, began + 1.5))
    thread.start()
    assert [theirs.recv(100), theirs.recv(100)] == [b"one", b"two"]
    assert time.monotonic() - began >= 0.2
    thread.join()
    for end in (ours, theirs):
        end.close()


def test_a_delay_is_set_up_and_taken_back() -> None:
    ground = FakeGround(FakeClock())
    assert delay_obstacle(ground) is None
    ground.done.clear()
    delay_begins(ground, "lab-2", 200)
    words = ground.done[-1].split()
    assert words[1:4] == ["-I", "-S", relay.__file__]
    assert words[4:] == ["trivet9", "veth-lab-2", "02:00:00:00:00:02", "late-trivet9", "trivet_chaos_lab", "200", "300"]
    ground.done.clear()
    delay_ends(ground, "lab-2")
    assert ground.done == [
        "nft delete table netdev trivet_chaos_lab",
        "ip link delete late-trivet9",
        "bridge fdb delete 02:00:00:00:00:02 dev veth-lab-2 master",
    ]
