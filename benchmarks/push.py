#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`git push` of one changed file to the live answer of all three nodes, and of an unchanged tree, to its end.

    .venv/bin/python benchmarks/push.py [LAB]

LAB is a converged lab with a grid machine (`trivet lab up LAB --grid`), by default ``bench-push``, which is made when
missing and left standing. Pushes the demo shop. Prints JSON.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trivet.ansible import ensure_secrets, load_environment
from trivet.api import converge
from trivet.lab import Lab, LabState
from trivet.paths import collection_root
from trivet.results import Kind, leave, machine

RUNS = 5
MARK = "pub/assets/push.txt"
STREAK = 5
"""So many answers of an address one after the other have to be new: its proxy may ask any node."""


class Shop:
    """A clone of the demo shop that can be pushed to the lab.

    Args:
        folder: Of the clone.
    """

    def __init__(self, folder: Path, lab: LabState) -> None:
        self._folder = folder
        self._lab = lab
        assert lab.builder is not None, f"{lab.name} has no grid machine: trivet lab up {lab.name} --grid"
        shutil.copytree(collection_root() / "demo" / "store", folder)
        self._git("init", "--quiet", "-b", "production")
        self._git("remote", "add", "lab", f"git@{lab.builder.address}:shop.git")
        self._commit("the shop")

    def change(self, text: str) -> None:
        """Commit one changed file."""
        (self._folder / MARK).write_text(text, encoding="utf-8")
        self._commit("one file")

    def change_nothing(self) -> None:
        """Commit the same tree."""
        self._commit("nothing", "--allow-empty")

    def push(self) -> subprocess.Popen[bytes]:
        """Begin a push."""
        ssh = self._lab.ssh_key.parent
        words = f"ssh -i {ssh / 'push_ed25519'} -o UserKnownHostsFile={ssh / 'known_hosts'} -o IdentitiesOnly=yes"
        command = ["git", "push", "--quiet", "--force", "lab", "production"]
        return subprocess.Popen(command, cwd=self._folder, env={**os.environ, "GIT_SSH_COMMAND": words})

    def _commit(self, message: str, *more: str) -> None:
        self._git("add", "--all")
        self._git("-c", "user.name=bench", "-c", "user.email=bench@example.org", "commit", "-qm", message, *more)

    def _git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self._folder, check=True)


def answers(address: str, domain: str, text: str) -> bool:
    """Whether an address answers with a text."""
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/" + MARK.removeprefix("pub/"), headers={"Host": domain})
        return connection.getresponse().read().decode() == text
    except OSError:
        return False
    finally:
        connection.close()


def live_seconds(lab: LabState, domain: str, text: str, began: float, push: subprocess.Popen[bytes]) -> float:
    """Seconds until every gateway address answers with a text, and goes on to.

    Raises:
        SystemExit: The push ended, and they do not.
    """
    ended = 0.0
    while True:
        now = time.monotonic()
        if all(answers(address, domain, text) for _ in range(STREAK) for address in lab.gateways):
            return now - began
        if push.poll() is not None:
            ended = ended or now
            if now - ended > 5:
                raise SystemExit(f"the push ended with {push.returncode}, and the change is not live")
        time.sleep(0.05)


def must_end(push: subprocess.Popen[bytes]) -> None:
    """Wait for a push that must succeed."""
    if push.wait() != 0:
        raise SystemExit(f"the push ended with {push.returncode}")


@contextmanager
def ready(name: str) -> Iterator[tuple[LabState, str, Shop]]:
    """The lab with the demo shop pushed to it once, so that the builder's image is there."""
    Lab(name).up(load_environment("production"), grid=True)
    environment = load_environment(name)
    if ensure_secrets(environment):
        converge(load_environment(name))
    lab = LabState.load(name)
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as folder:
        shop = Shop(Path(folder) / "shop", lab)
        must_end(shop.push())
        yield lab, environment.domain, shop


def main() -> None:
    """Measure and print."""
    changed, whole, unchanged = [], [], []
    with ready(sys.argv[1] if len(sys.argv) > 1 else "bench-push") as (lab, domain, shop):
        for number in range(RUNS):
            text = f"{number} at {time.time()}"
            shop.change(text)
            began = time.monotonic()
            push = shop.push()
            changed.append(live_seconds(lab, domain, text, began, push))
            must_end(push)
            whole.append(time.monotonic() - began)
        for _ in range(RUNS):
            shop.change_nothing()
            began = time.monotonic()
            must_end(shop.push())
            unchanged.append(time.monotonic() - began)
    figures = {
        "runs": RUNS,
        "one_file_live_seconds": round(statistics.median(changed), 1),
        "one_file_live_worst_seconds": round(max(changed), 1),
        "one_file_push_seconds": round(statistics.median(whole), 1),
        "unchanged_push_seconds": round(statistics.median(unchanged), 1),
        "unchanged_push_worst_seconds": round(max(unchanged), 1),
        "load_average": os.getloadavg(),
    }
    leave(Kind.PUSH, figures)
    print(json.dumps({"machine": machine(), **figures}, indent=2))


if __name__ == "__main__":
    main()
