# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything but the runner breaks during a rotation: it halts, says what and what next, and one command goes on."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.failures.commands import Run, healthy, incus, measure, on, record, sizes
from trivet.api import Environment
from trivet.chaos.ground import LabGround
from trivet.lab import LabState
from trivet.probe import ProbeReport
from trivet.services.contract import Terms

BIG, SMALL = "12", "6"
NETWORK_LOST_SECONDS = 60
ROOM_MIB = 100
HEALTHY_SECONDS = 300


@pytest.fixture
def size(lab: LabState) -> str:
    """A size that the lab does not have now."""
    return SMALL if LabState.load(lab.name).size == BIG else BIG


def check(report: ProbeReport, lab: LabState, size: str, scenario: str) -> None:
    """What holds at the end of every scenario in which two nodes stayed up."""
    record(scenario, report)
    assert report.total.failures == 0, report.failures
    check_end(report, lab, size)


def check_end(report: ProbeReport, lab: LabState, size: str) -> None:
    """What holds at the end of every scenario."""
    assert report.orders.verified and report.orders.found == report.orders.acknowledged > 0
    assert healthy(lab.name)
    target = LabState.load(lab.name).node_size(size)
    assert sizes(lab.name) == {(target.cpus, target.memory_mib)}
    assert Environment.load(lab.name).rotations().status()["state"] in ("done", "rolled back")


def halted(run: Run, *words: str) -> None:
    """The run ended at a gate, and its error has the words and names the next command."""
    assert run.ended() == 2, run.events[-5:]
    for word in (*words, "rotation"):
        assert word in run.error, run.error


def wait_until_two_serve(env: str) -> None:
    """Wait until nothing is broken any more. The node in hand is still drained, so healthy it cannot be."""
    deadline = time.monotonic() + HEALTHY_SECONDS
    while subprocess.run(["trivet", "status", env], capture_output=True, timeout=120).returncode not in (0, 1):
        assert time.monotonic() < deadline, f"{env} is still broken: trivet status {env}"
        time.sleep(2)


def test_a_machine_a_provider_and_a_service_that_fail(
    environment: Environment, lab: LabState, size: str, tmp_path: Path
) -> None:
    """Three faults in one rotation, one at each node; each is mended by hand, and resumed."""

    def work() -> None:
        run = Run("upscale", lab.name, "--size", size, "--yes")
        does_not_boot(run)
        run = Run("rotation", "resume", lab.name, environment={"PATH": failing_provider(tmp_path)})
        fails_half_way(run)
        run = Run("rotation", "resume", lab.name)
        does_not_come_back(run)
        run = Run("rotation", "resume", lab.name)
        assert run.ended() == 0, run.error

    def does_not_boot(run: Run) -> None:
        node = run.until("step begins", step="stop")["node"]
        incus("config", "set", node, "raw.lxc=lxc.mount.entry = /nonexistent mnt none bind 0 0")
        halted(run, node, "resize")
        incus("config", "unset", node, "raw.lxc")

    def fails_half_way(run: Run) -> None:
        node = run.until("step begins", step="hand over")["node"]
        halted(run, node, "resize", "quota exceeded")

    def does_not_come_back(run: Run) -> None:
        node = run.until("step begins", step="drain")["node"]
        on(node, "systemctl mask php8.2-fpm")
        halted(run, node, "php")
        assert "start" in run.error or "gate" in run.error
        on(node, "systemctl unmask php8.2-fpm")

    report = measure(environment, work)
    check(report, lab, size, "a machine does not boot; the provider fails half-way; a service does not start")


def failing_provider(folder: Path) -> str:
    """A PATH on which Incus stops machines, but the second time that it is asked it resizes none."""
    real = shutil.which("incus")
    program, mark = folder / "incus", folder / "asked"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *limits.cpu=*)\n'
        f'  if [ -e {mark} ]; then echo "Error: quota exceeded" >&2; exit 1; fi\n'
        f"  touch {mark};;\n"
        "esac\n"
        f'exec {real} "$@"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return f"{folder}:{os.environ['PATH']}"


def test_a_state_transfer_a_full_disk_and_a_lost_network(environment: Environment, lab: LabState, size: str) -> None:
    """Three more in one rotation: the first needs nobody, the two others are resumed."""
    transfers: list[str] = []

    def work() -> None:
        run = Run("upscale", lab.name, "--size", size, "--yes")
        needs_a_whole_transfer(run)
        has_no_room(run)
        run = Run("rotation", "resume", lab.name)
        loses_its_network(run)

    def needs_a_whole_transfer(run: Run) -> None:
        node = run.until("step begins", step="start")["node"]
        on(node, "rm -f /var/lib/mysql/grastate.dat /var/lib/mysql/gvwstate.dat /var/lib/mysql/galera.cache")
        run.until("step ends", node=node, step="soak")
        transfers.append(on(node, "journalctl -b --no-pager"))

    def has_no_room(run: Run) -> None:
        node = run.until("step begins", step="start")["node"]
        LabGround(lab, Terms()).limit_disk(node, ROOM_MIB)
        assert "quota exceeded" in on(node, "dd if=/dev/zero of=/ballast bs=1M count=4096 2>&1; true")
        halted(run, node, "start", "quota exceeded")
        LabGround(lab, Terms()).limit_disk(node, None)
        on(node, "rm -f /ballast")

    def loses_its_network(run: Run) -> None:
        run.until("step ends", step="soak")
        node = run.until("step begins", step="stop")["node"]
        with_network_lost(lab, NETWORK_LOST_SECONDS)
        if run.ended() != 0:
            assert node in run.error and "rotation" in run.error, run.error
            run = Run("rotation", "resume", lab.name)
            assert run.ended() == 0, run.error

    report = measure(environment, work)
    assert "mariabackup SST completed on joiner" in transfers[0]
    check(report, lab, size, "SST instead of IST; disk full; the runner loses its network for 60 s")


def with_network_lost(lab: LabState, seconds: float) -> None:
    """Drop every packet of SSH from this machine to the nodes; what customers use is not touched."""
    rules = f"""table inet trivet_failures {{
        chain output {{
            type filter hook output priority 0
            ip daddr {lab.subnet} tcp dport 22 drop
        }}
    }}"""
    subprocess.run(["nft", rules], check=True, timeout=10)
    try:
        time.sleep(seconds)
    finally:
        subprocess.run(["nft", "delete table inet trivet_failures"], check=True, timeout=10)


def test_another_node_dies_during_the_rotation(environment: Environment, lab: LabState, size: str) -> None:
    """The rotation halts, naming the dead node; when that is back, all is rolled back.

    One of three is left, which Galera does not count as a majority: the node in hand cannot join, and stays drained.
    """
    before = LabState.load(lab.name).size

    def work() -> None:
        run = Run("upscale", lab.name, "--size", size, "--yes")
        node = run.until("step begins", step="start")["node"]
        dead = next(other.name for other in lab.nodes if other.name != node)
        incus("stop", "--force", dead)
        halted(run, dead)
        verdict = subprocess.run(["trivet", "status", lab.name], capture_output=True, text=True, timeout=120)
        assert verdict.returncode == 2 and dead in verdict.stdout
        assert "stays drained" in run.error, run.error
        incus("start", dead)
        wait_until_two_serve(lab.name)
        run = Run("rotation", "rollback", lab.name, "--yes")
        assert run.ended() == 0, run.error

    report = measure(environment, work)
    # While one node was out and another dead, one alone was left: what failed then is told, not forgiven.
    record("another node dies during the rotation, then rollback", report)
    check_end(report, lab, before)
