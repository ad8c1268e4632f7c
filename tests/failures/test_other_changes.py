# SPDX-License-Identifier: GPL-3.0-or-later
"""The other kinds of change by the same engine, under the same load: a restart, package updates, a new machine."""

from __future__ import annotations

import json

from tests.failures.commands import Run, healthy, incus, measure, on, record
from trivet.api import Environment
from trivet.lab import LabState
from trivet.probe import ProbeReport

PACKAGE = "trivet-failures-example"
REPOSITORY = "/srv/trivet-failures"


def check(report: ProbeReport, lab: LabState, scenario: str) -> None:
    record(scenario, report)
    assert report.total.failures == 0, report.failures
    assert report.orders.verified and report.orders.found == report.orders.acknowledged > 0
    assert healthy(lab.name)


def publish(node: str, version: str) -> None:
    """Put a package of a version into a repository that the node alone has."""
    on(
        node,
        f"""set -e
        mkdir -p {REPOSITORY}/build/DEBIAN
        printf '%s\\n' 'Package: {PACKAGE}' 'Version: {version}' 'Architecture: all' \\
          'Maintainer: Trivet <root@localhost>' 'Description: example' > {REPOSITORY}/build/DEBIAN/control
        dpkg-deb --build {REPOSITORY}/build {REPOSITORY}/{PACKAGE}_{version}_all.deb >/dev/null
        cd {REPOSITORY}
        for deb in *.deb; do
          dpkg-deb --field "$deb"
          echo "Filename: ./$deb"
          echo "Size: $(stat -c %s "$deb")"
          echo "SHA256: $(sha256sum "$deb" | cut -d' ' -f1)"
          echo
        done > Packages
        echo 'deb [trusted=yes] file:{REPOSITORY} ./' > /etc/apt/sources.list.d/trivet-failures.list""",
    )


def installed(node: str) -> str:
    return on(node, f"dpkg-query -W -f '${{Version}}' {PACKAGE}")


def test_packages_are_upgraded_while_the_node_is_out(environment: Environment, lab: LabState) -> None:
    node = lab.nodes[0].name
    publish(node, "1.0")
    on(node, f"apt-get update -q && apt-get install -y -q {PACKAGE}")
    publish(node, "2.0")

    def work() -> None:
        run = Run("patch", lab.name, "--node", node, "--yes")
        assert run.ended() == 0, run.error

    try:
        report = measure(environment, work)
        assert installed(node) == "2.0"
        check(report, lab, "packages of one node upgraded")
    finally:
        on(node, f"apt-get purge -y -q {PACKAGE}; rm -rf {REPOSITORY} /etc/apt/sources.list.d/trivet-failures.list")


def test_a_machine_is_replaced_by_a_new_one(environment: Environment, lab: LabState) -> None:
    node = lab.nodes[0].name
    on(node, "touch /root/of-the-old-machine")
    incus("stop", "--force", node)

    def work() -> None:
        run = Run("replace", lab.name, "--node", node, "--yes")
        assert run.ended(1800) == 0, run.error

    report = measure(environment, work)
    assert on(node, "test ! -e /root/of-the-old-machine && echo gone").strip() == "gone"
    check(report, lab, "a dead machine replaced by a new one")
    drained = [item for item in json.loads(on(node, "trivet-agent flags list"))["flags"] if item["kind"] == "drain"]
    assert drained == []
