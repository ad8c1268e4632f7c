# SPDX-License-Identifier: GPL-3.0-or-later
"""Real pushes to a real machine, which builds and deploys to three nodes before a branch moves."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import time

from tests.failures.commands import incus
from tests.push.clones import Clone

MARK = "pub/assets/push.txt"


def shown(clone: Clone) -> set[str]:
    """What the gateways answer for the file that the tests change; every proxy may ask any node."""
    found = set()
    for address in clone.lab.gateways * 5:
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("GET", "/assets/push.txt", headers={"Host": "shop.example"})
        answer = connection.getresponse()
        found.add(answer.read().decode() if answer.status == 200 else str(answer.status))
        connection.close()
    return found


def changed(clone: Clone, text: str) -> str:
    (clone.folder / MARK).write_text(text, encoding="utf-8")
    return clone.commit()


def test_a_push_is_live_on_every_node_when_it_ends(clone: Clone) -> None:
    text = f"live {time.time()}"
    commit = changed(clone, text)
    code, told = clone.push()
    assert code == 0, told
    assert shown(clone) == {text}
    assert clone.there() == commit
    order = [
        "Validating submodules",
        "Validating configuration files",
        "Processing activity: lab pushed to Production",
        "Building application 'store'",
        "Redeploying environment",
        "Executing deploy hook for application store",
        "Opening application store",
        "Environment configuration",
        "Environment routes",
        f"serves {commit[:7]}",
    ]
    places = [told.index(words) for words in order]
    assert places == sorted(places), told


def test_an_empty_commit_deploys_again_and_builds_nothing(clone: Clone) -> None:
    commit = clone.commit("--allow-empty")
    code, told = clone.push()
    assert code == 0, told
    assert "Reusing existing build for this tree ID" in told
    assert "Executing deploy hook" in told
    assert clone.there() == commit


def refused(clone: Clone, *words: str) -> str:
    """A push that must be refused, say these words and change nothing; what was told."""
    before, page = clone.there(), shown(clone)
    code, told = clone.push()
    assert code == 1, told
    for word in words:
        assert word in told, told
    assert "Push refused: nothing was changed" in told
    assert clone.there() == before
    assert shown(clone) == page
    return told


def test_a_failed_build_fails_the_push(clone: Clone) -> None:
    (clone.folder / "src" / "Broken.php").write_text("<?php broken(\n", encoding="utf-8")
    clone.commit()
    refused(clone, "E: Error building project: The build hook failed with status code", "PHP Parse error")


def test_wrong_files_are_told_at_once_with_their_lines(clone: Clone) -> None:
    file = clone.folder / ".magento.app.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("type: php:8.2", "type: php:8.2\ntype: php:8.1"), "utf-8")
    clone.commit()
    told = refused(clone, "E: Error parsing configuration files:", ".magento.app.yaml:")
    assert "Building application" not in told


def test_a_link_to_a_secret_of_the_machine_is_refused(clone: Clone) -> None:
    (clone.folder / "php.ini").symlink_to("/etc/trivet/vault-password")
    clone.commit()
    refused(clone, "php.ini is a link that leads out of the repository")


def test_an_unknown_branch_is_told_the_mapping(clone: Clone) -> None:
    code, told = clone.push("production:feature")
    assert code == 1
    assert f"feature goes to no environment; production goes to {clone.lab.name}" in told


def test_the_branch_of_an_environment_is_not_deleted(clone: Clone) -> None:
    before = clone.there()
    code, told = clone.push(":production")
    assert code == 1
    assert "cannot be deleted" in told
    assert clone.there() == before


def test_two_pushes_at_once_are_one_after_the_other(clone: Clone) -> None:
    other = Clone(clone.lab, clone.folder.parent / "other")
    shutil.copytree(clone.folder, other.folder)
    first = changed(clone, "first")
    changed(other, "second")
    begun = clone.begin()
    time.sleep(4)
    code, told = other.push()
    begun.communicate(timeout=900)
    assert begun.returncode == 0
    assert code == 1
    assert "Waiting for push" in told and "begun at" in told and "by lab" in told
    assert f"lab pushed {first[:7]} to production meanwhile" in told
    assert clone.there() == first
    assert shown(clone) == {"first"}


def test_a_push_waits_for_another_change(clone: Clone) -> None:
    commit = changed(clone, "waited")
    change = subprocess.Popen(["trivet", "exclusive", clone.lab.name, "--", "sleep", "30"])
    time.sleep(10)
    code, told = clone.push()
    assert change.wait(timeout=60) == 0
    assert code == 0, told
    assert "Waiting for " in told and "(running sleep)" in told
    assert clone.there() == commit


def test_a_push_is_cancelled_while_it_is_built(clone: Clone) -> None:
    before, page = clone.there(), shown(clone)
    (clone.folder / ".magento.app.yaml").write_text(
        (clone.folder / ".magento.app.yaml")
        .read_text(encoding="utf-8")
        .replace("php bin/store build", "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 2; done"),
        encoding="utf-8",
    )
    clone.commit()
    push = clone.begin()
    assert push.stdout is not None
    while "Executing build hook" not in push.stdout.readline():
        assert push.poll() is None
    os.killpg(push.pid, signal.SIGKILL)
    push.wait()
    deadline = time.monotonic() + 60
    grid = f"{clone.lab.name}-grid"
    while "running" in incus("exec", grid, "--", "trivet", "activity", "list", "--json"):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert clone.there() == before
    assert shown(clone) == page
    assert incus("exec", grid, "--", "incus", "list", "--format", "csv").strip() == ""


def test_the_account_does_nothing_but_git(clone: Clone) -> None:
    for asked in ([], ["id"], ["git-receive-pack '../../../etc'"], ["git-upload-pack 'shop.git'; id"]):
        done = subprocess.run(
            [*clone.ssh, f"git@{clone.address}", *asked],
            capture_output=True,
            text=True,
            timeout=30,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 1
        assert done.stdout == ""
        assert "`git push` and `git fetch` alone" in done.stderr
    forwarded = subprocess.run(
        [*clone.ssh, "-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22", f"git@{clone.address}"],
        capture_output=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    assert forwarded.returncode != 0


def test_the_account_reads_no_secret(clone: Clone) -> None:
    grid = f"{clone.lab.name}-grid"
    for path in ("vault-password", f"inventories/{clone.lab.name}/hosts.json", "ssh/id_ed25519"):
        script = f"su -s /bin/sh git -c 'cat /etc/trivet/{path}' 2>&1 || :"
        assert "Permission denied" in incus("exec", grid, "--", "sh", "-c", script)
    assert "password is required" in incus(
        "exec", grid, "--", "sh", "-c", "su -s /bin/sh git -c 'sudo -n id' 2>&1 || :"
    )


def test_a_push_that_is_too_large_is_one_clear_error(clone: Clone) -> None:
    before = clone.there()
    with (clone.folder / "large").open("wb") as stream:
        for _ in range(530):
            stream.write(os.urandom(2**20))
    clone.commit()
    code, told = clone.push()
    assert code == 1
    assert "pack exceeds maximum allowed size" in told
    assert clone.there() == before


def test_the_controller_asks_the_grid_machine_what_was_pushed(clone: Clone) -> None:
    listed = subprocess.run(
        ["trivet", "activity", "list", clone.lab.name, "--json"], check=True, capture_output=True, text=True
    ).stdout
    newest = json.loads(listed)["activities"][0]
    told = subprocess.run(
        ["trivet", "activity", "log", clone.lab.name, newest["id"]], check=True, capture_output=True, text=True
    ).stdout
    assert newest["verdict"].startswith(told.splitlines()[-1])
    newest_told = subprocess.run(
        ["trivet", "activity", "log", clone.lab.name], check=True, capture_output=True, text=True
    ).stdout
    assert newest_told == told
