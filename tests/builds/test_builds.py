# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build makes of a project, what it tells, and what it leaves: nothing but the release."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builds.conftest import Site
from tests.unit.build.applications import write_project
from trivet.build import BuildError, Release

pytestmark = pytest.mark.usefixtures("builders")

COMPOSER_PROJECT = """
name: shop
type: php:8.2
build: {flavor: composer}
dependencies: {php: {composer/composer: "^2.2"}}
"""
PATH_PACKAGE = json.dumps(
    {
        "name": "acme/shop",
        "require": {"acme/inner": "*"},
        "repositories": [
            {"type": "path", "url": "packages/inner", "options": {"symlink": False}},
            {"packagist.org": False},
        ],
    }
)


def members(release: Release) -> dict[str, tarfile.TarInfo]:
    return {member.name: member for member in _open(release).getmembers()}


def content(release: Release, name: str) -> str:
    stream = _open(release).extractfile(name)
    assert stream is not None
    return stream.read().decode()


def _open(release: Release) -> tarfile.TarFile:
    plain = subprocess.run(["zstd", "-dcq", str(release.archive)], check=True, capture_output=True).stdout
    return tarfile.open(fileobj=io.BytesIO(plain))


HOOK = """
hooks:
  build: |
    set -e
    id -un >who
    pwd >where
    printf '%s' "$HOME" >home
    touch "$HOME/writable" "$MAGENTO_CLOUD_CACHE_DIR/kept"
    env >environment
    cat /proc/self/uid_map >id-map
    ps -e -o comm= >processes
    mkdir -p deep/.git .git var
    touch deep/.git/x .git/x var/left
    echo said
    echo warned >&2
    sleep 1000 &
mounts:
  "/var": "shared:files/var"
"""


def test_a_hook_runs_as_a_plain_user_in_app(tmp_path: Path, site: Site) -> None:
    release = site.build(write_project(tmp_path / "project", more=HOOK, **{"php.ini": "memory_limit = 99M\n"}))
    assert content(release, "app/who").strip() == "app" and content(release, "app/where").strip() == "/app"
    assert not content(release, "app/home").startswith("/app")
    environment = dict(row.partition("=")[::2] for row in content(release, "app/environment").splitlines())
    assert environment["PLATFORM_TREE_ID"] == environment["MAGENTO_CLOUD_TREE_ID"] == release.tree
    # An id map of its own, and nothing that runs beside the build.
    inside, outside, _count = content(release, "app/id-map").split()
    assert inside == "0" and int(outside) >= 1_000_000
    assert set(content(release, "app/processes").split()) == {"tini", "sleep", "sh", "ps"}
    inside_release = members(release)
    assert "app/.magento.app.yaml" in inside_release and "app/deep" in inside_release
    assert not [name for name in inside_release if "/.git" in name or "/.magento/" in name]
    assert {member.uname for member in inside_release.values()} == {"root"}
    assert (site.settings.cache / site.settings.project / "shop" / "kept").exists()


def test_the_log_has_the_platforms_words_in_their_order(tmp_path: Path, site: Site) -> None:
    release = site.build(write_project(tmp_path / "project", more=HOOK))
    # Incus carries the two outputs of a program apart from each other.
    site.told[3:5] = sorted(site.told[3:5], reverse=True)
    assert site.told == [
        f"Building application 'shop' (runtime type: php:8.2, tree: {release.tree[:7]})",
        "  Generating runtime configuration.",
        "  Executing build hook...",
        "    said",
        "    W: warned",
        "  Executing pre-flight checks...",
        "    W: The mount '/var' has a path that overlaps with a non-empty folder.",
        "    W: What the repository or the build hook put there will not be seen at runtime.",
        "  Compressing application.",
        "  Beaming package to its final destination.",
    ]
    assert sorted(release.log.read_text().splitlines()) == sorted(site.told)


def test_a_tree_that_was_built_is_not_built_again(tmp_path: Path, site: Site) -> None:
    project = write_project(tmp_path / "project", more="hooks: {build: 'date +%N >made'}\n")
    first = site.build(project)
    site.told.clear()
    started = time.monotonic()
    assert site.build(project) == first
    assert site.told[1:] == ["  Reusing existing build for this tree ID"] and time.monotonic() - started < 2
    again = site.build(project, replace(site.settings, rebuild=True))
    # A node that has the first would not take another one of the same name.
    assert again.name != first.name and again.sha256 != first.sha256
    assert site.build(project) == again
    assert site.build(project, replace(site.settings, variables={"A": "1"})).name != first.name
    assert {release.name for release in site.store.list()} >= {first.name}


def test_equal_builds_give_equal_archives(tmp_path: Path, site: Site) -> None:
    project = write_project(tmp_path / "project", more="hooks: {build: 'seq 5 >made; mkdir -p z a; touch z/1 a/1'}\n")
    first = site.build(project)
    again = site.build(project, replace(site.settings, rebuild=True))
    assert (again.name, again.sha256) == (first.name, first.sha256)


def test_the_flavor_composer_installs_and_the_list_of_parts_tells(tmp_path: Path, site: Site) -> None:
    project = write_project(
        tmp_path / "project",
        COMPOSER_PROJECT,
        **{
            "composer.json": PATH_PACKAGE,
            "packages__inner__composer.json": '{"name": "acme/inner", "version": "1.2.3"}',
        },
    )
    release = site.build(project)
    assert "app/vendor/autoload.php" in members(release)
    assert "  Found a `composer.json`, installing dependencies." in site.told
    assert any(line.startswith("    composer/composer 2.") for line in site.told)
    parts = [item["purl"] for item in json.loads(release.parts.read_text())["components"]]
    assert "pkg:composer/acme/inner@1.2.3" in parts and any("/php8.2-cli@" in purl for purl in parts)


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("echo before; exit 3", "The build hook failed with status code 3. Aborted build."),
        ("cp /usr/bin/id tool; chmod u+s tool", "/app/tool would run with the rights of its owner"),
        ("ln -s /etc/passwd here", "/app/here is a link to /etc/passwd, which is not part of the release"),
        ("ln -s ../../etc here", "/app/here is a link to ../../etc, which leads out of the application"),
        ("mkfifo pipe", "/app/pipe is neither a file nor a folder nor a link"),
        ("truncate -s 1G big", "/app/big has 1073741824 bytes; a file of a release may have 1073741823"),
        ("printf %s \"$KEY\" >config.php", "/app/config.php has the value of a secret"),
    ],
)  # fmt: skip
def test_a_broken_build_is_told_and_changes_nothing(tmp_path: Path, site: Site, hook: str, said: str) -> None:
    project = write_project(tmp_path / "project", more=f"hooks:\n  build: |\n    {hook}\n")
    started = time.monotonic()
    with pytest.raises(BuildError) as error:
        site.build(project, replace(site.settings, secrets={"KEY": "very-secret-key"}))
    assert said in error.value.message and time.monotonic() - started < 30
    assert site.told[-1] == f"E: Error building project: {error.value.message}"
    assert site.store.list() == () and {path.name for path in site.store.directory.iterdir()} == {".lock", "failed"}
    (kept,) = (site.store.directory / "failed").iterdir()
    assert kept.read_text().splitlines() == site.told and str(kept) in (error.value.next_command or "")


def test_a_secret_is_there_and_told_nowhere(tmp_path: Path, site: Site) -> None:
    hook = 'hooks:\n  build: |\n    test "${#KEY}" = 15 && echo "it is $KEY" && echo "$KEY" >&2\n'
    release = site.build(
        write_project(tmp_path / "project", more=hook), replace(site.settings, secrets={"KEY": "very-secret-key"})
    )
    assert {"    it is ***", "    W: ***"} <= set(site.told)
    files = [path.read_bytes() for path in release.directory.iterdir()]
    assert files and not any(b"very-secret-key" in content for content in files)


def test_a_hook_that_does_not_end_is_ended(tmp_path: Path, site: Site) -> None:
    project = write_project(tmp_path / "project", more="hooks: {build: 'echo begun; sleep 1000'}\n")
    with pytest.raises(BuildError, match="did not end within 2 s"):
        site.build(project, replace(site.settings, hook_seconds=2))


def test_a_builder_reaches_nothing_of_this_machine_but_names(tmp_path: Path, site: Site, repository: str) -> None:
    hook = (
        "hooks:\n  build: |\n"
        "    getent hosts localhost; curl -sS -o /dev/null --max-time 5 http://10.86.0.1:22; echo host=$?\n"
        f"    curl -sS -o /dev/null --max-time 5 {repository}; echo repository=$?\n"
        "    ip route get 10.86.1.11 >/dev/null; curl -sS --max-time 5 http://10.86.1.11; echo grid=$?\n"
    )
    site.build(write_project(tmp_path / "project", more=hook), replace(site.settings, network=True))
    told = {line.strip() for line in site.told}
    assert "host=7" in told and "grid=7" in told and "repository=0" in told


def test_without_network_there_is_none(tmp_path: Path, site: Site) -> None:
    release = site.build(write_project(tmp_path / "project", more="hooks: {build: 'ls /sys/class/net >devices'}\n"))
    assert content(release, "app/devices").split() == ["lo"]


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        ("", "wants credentials (401), and neither auth.json nor COMPOSER_AUTH has any for 198.18.77.2:8080"),
        ("wrong-key", "refused the credentials that COMPOSER_AUTH has for 198.18.77.2:8080 (401)"),
    ],
)
def test_a_repository_that_refuses_is_named_before_the_build(
    tmp_path: Path, site: Site, repository: str, auth: str, said: str
) -> None:
    entries = [{"type": "composer", "url": repository}, {"packagist.org": False}]
    project = write_project(
        tmp_path / "project", COMPOSER_PROJECT, **{"composer.json": json.dumps({"repositories": entries})}
    )
    given = {"http-basic": {"198.18.77.2:8080": {"username": "name", "password": auth}}}
    secrets = {"COMPOSER_AUTH": json.dumps(given)} if auth else {}
    with pytest.raises(BuildError) as error:
        site.build(project, replace(site.settings, network=True, secrets=secrets))
    assert f"the repository {repository} {said}" in error.value.message
    assert not any("installing dependencies" in line for line in site.told)


def test_a_repository_that_takes_the_key_is_used(tmp_path: Path, site: Site, repository: str) -> None:
    entries = [{"type": "composer", "url": repository}, {"packagist.org": False}]
    manifest = {"repositories": entries, "config": {"secure-http": False}}
    project = write_project(tmp_path / "project", COMPOSER_PROJECT, **{"composer.json": json.dumps(manifest)})
    given = {"http-basic": {"198.18.77.2:8080": {"username": "name", "password": "right-key"}}}
    release = site.build(project, replace(site.settings, network=True, secrets={"COMPOSER_AUTH": json.dumps(given)}))
    assert "app/vendor/autoload.php" in members(release)


def test_a_repository_that_is_not_reached_is_named(tmp_path: Path, site: Site, repository: str) -> None:
    gone = repository.replace("8080", "8081")
    entries = [{"type": "composer", "url": gone}, {"packagist.org": False}]
    project = write_project(
        tmp_path / "project", COMPOSER_PROJECT, **{"composer.json": json.dumps({"repositories": entries})}
    )
    with pytest.raises(BuildError, match=f"{gone} cannot be reached from the builder"):
        site.build(project, replace(site.settings, network=True))


def test_of_two_builds_of_a_tree_the_second_waits_and_takes_the_first(tmp_path: Path, site: Site) -> None:
    project = write_project(tmp_path / "project", more="hooks: {build: 'sleep 3; date +%N >made'}\n")
    other = Site(site.store, site.settings)
    made: list[Release] = []
    threads = [threading.Thread(target=lambda s=one: made.append(s.build(project))) for one in (site, other)]
    threads[0].start()
    time.sleep(1)
    threads[1].start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 2 and made[0].sha256 == made[1].sha256
    assert other.told[0] == "Waiting for another build of application 'shop' to end."
    assert other.told[-1] == "  Reusing existing build for this tree ID"


PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, {source!r}]
from tests.builds.conftest import Site
from trivet.build import BuildSettings, Store
place = Path({place!r})
site = Site(Store(place / "store"), BuildSettings(project=place.name, network=False, cache=place / "cache"))
site.build(place / "project")
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_build_that_is_broken_off(
    tmp_path: Path, site: Site, builders: Callable[[], list[str]], sent: signal.Signals
) -> None:
    project = write_project(tmp_path / "project", more="hooks: {build: 'sleep 1000'}\n")
    root = Path(__file__).parents[2]
    program = PROGRAM.format(root=str(root), source=str(root / "src"), place=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not builders():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1)
    os.kill(process.pid, sent)
    process.wait(30)
    assert bool(builders()) == (sent is signal.SIGKILL)
    write_project(project, more="hooks: {build: 'true'}\n")
    site.build(project)
    assert builders() == [] and len(site.store.list()) == 1
    assert not list(site.store.directory.glob(".building-*"))


def test_a_link_shows_the_build_no_file_of_this_machine(tmp_path: Path, site: Site) -> None:
    (tmp_path / "secret.ini").write_text("[private]\nuser_agent = of-this-machine\n")
    hook = "hooks: {build: 'rm php.ini; php -i >seen; cat /etc/php/*/cli/conf.d/* >>seen'}\n"
    project = write_project(tmp_path / "project", more=hook)
    (project / "php.ini").symlink_to(tmp_path / "secret.ini")
    assert "of-this-machine" not in content(site.build(project), "app/seen")


def test_a_tool_that_is_not_to_be_had_is_named(tmp_path: Path, site: Site) -> None:
    text = COMPOSER_PROJECT.replace("^2.2", "^1.10")
    with pytest.raises(BuildError) as error:
        site.build(write_project(tmp_path / "project", text))
    said = "dependencies.php: the installation of composer/composer:^1.10 failed with status code"
    assert said in error.value.message and "the build has no network" in error.value.message
