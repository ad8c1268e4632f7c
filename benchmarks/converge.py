#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""First converge of three bare nodes ÷ bare apt-get of the same packages, second converge, memory of the idle cluster.

    .venv/bin/python benchmarks/converge.py

Makes and removes a lab of its own, twice, on this machine; about 15 minutes on two cores. Prints JSON. The ratio is the
figure; the seconds are this machine's.
"""

from __future__ import annotations

import json
import os
import time

from trivet.ansible import ensure_secrets, load_environment, run_playbook
from trivet.lab import Lab
from trivet.model import Environment
from trivet.remote import Nodes
from trivet.results import Kind, leave, machine

NAME = "bench"
IDLE_SECONDS = 60


def fresh_lab() -> Environment:
    """Three bare nodes like production's."""
    Lab(NAME).down()
    Lab(NAME).up(load_environment("production"))
    environment = load_environment(NAME)
    ensure_secrets(environment)
    return environment


def manual_packages(nodes: Nodes) -> set[str]:
    """What was asked for by name on the first node."""
    return set(nodes.run(nodes.environment.nodes[0], ["apt-mark", "showmanual"]).output.split())


def converge_seconds(environment: Environment) -> tuple[float, int]:
    """Seconds and changes of one converge."""
    started = time.monotonic()
    result = run_playbook(environment, "site.yml")
    return time.monotonic() - started, result.changed


def idle_memory_mib() -> dict[str, int]:
    """Memory in use by each node, the page cache left out, as the node itself sees it."""
    environment = load_environment(NAME)
    with Nodes(environment) as nodes:
        script = "awk '/MemTotal/ {t=$2} /MemAvailable/ {a=$2} END {print int((t-a)/1024)}' /proc/meminfo"
        answers = nodes.run_on(environment.nodes, ["sh", "-c", script])
    return {answer.node: int(answer.output) for answer in answers}


def apt_seconds(environment: Environment, packages: set[str]) -> float:
    """Seconds of a bare apt-get of the packages on all nodes at once; no service is started, as in a converge."""
    script = (
        "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; "
        "apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive "
        "apt-get install -y -q --no-install-recommends " + " ".join(sorted(packages)) + " >/dev/null"
    )
    with Nodes(environment) as nodes:
        started = time.monotonic()
        answers = nodes.run_on(environment.nodes, ["sh", "-c", script], timeout=1800)
        seconds = time.monotonic() - started
    failed = [answer.error for answer in answers if answer.code != 0]
    if failed:
        raise SystemExit(f"apt-get failed: {failed[0]}")
    return seconds


def main() -> None:
    """Measure and print."""
    environment = fresh_lab()
    with Nodes(environment) as nodes:
        before = manual_packages(nodes)
    first, _ = converge_seconds(environment)
    second, changed = converge_seconds(environment)
    time.sleep(IDLE_SECONDS)
    memory = idle_memory_mib()
    with Nodes(environment) as nodes:
        packages = manual_packages(nodes) - before - {"opensearch"}
    environment = fresh_lab()
    bare = apt_seconds(environment, packages)
    Lab(NAME).down()
    figures = {
        "packages": len(packages),
        "bare_apt_seconds": round(bare, 1),
        "first_converge_seconds": round(first, 1),
        "ratio": round(first / bare, 2),
        "second_converge_seconds": round(second, 1),
        "second_converge_changed": changed,
        "idle_memory_mib": memory,
        "idle_memory_total_mib": sum(memory.values()),
        "load_average": os.getloadavg(),
    }
    leave(Kind.CONVERGE, figures)
    print(json.dumps({"machine": machine(), **figures}, indent=2))


if __name__ == "__main__":
    main()
