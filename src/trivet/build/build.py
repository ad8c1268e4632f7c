# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds a release: the steps of a build in the platform's order and words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trivet.build.archive import Packed, Rules, pack, sha256_of
from trivet.build.builder import INSIDE, builder
from trivet.build.cache import cache_of
from trivet.build.credentials import check_credentials
from trivet.build.dependencies import install_dependencies, install_packages
from trivet.build.log import Log
from trivet.build.preflight import check_result
from trivet.build.recipe import Needs, needs_of
from trivet.build.sbom import DEBIAN_QUERY, READ, list_of
from trivet.build.secrets import Secrets
from trivet.build.settings import BuildSettings
from trivet.build.store import ARCHIVE, FORMAT, ID_DIGITS, LOG, PARTS, Release, Store
from trivet.build.tree import Contents, Tree
from trivet.build.variables import environment_of, exports, ini_of
from trivet.build.work import ENVIRONMENT, Work
from trivet.errors import BuildError, TrivetError
from trivet.project.application import Application

UNCOMMITTED_TOLD = 3
HOOK = f"{INSIDE}/build-hook"


def release_name(tree_id: str, application: Application, settings: BuildSettings) -> str:
    """Name of the release that a build makes: it tells all that goes into it.

    Args:
        tree_id: Git's id of the application's files.
        application: What its file says.
        settings: Those that change what is built.

    Raises:
        BuildError: The application asks for a runtime or an extension that is not to be had.
    """
    needs = needs_of(application, settings)
    parts = [
        tree_id,
        settings.project,
        application.to_dict(),
        f"{application.runtime}:{application.version}",
        needs.image.digest,
        dict(sorted(settings.variables.items())),
        _slow_digest(settings.secrets),
    ]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{application.name}-{digest[:ID_DIGITS]}"


def _slow_digest(secrets: Mapping[str, str]) -> str:
    """A name of a release is public: whoever guesses a secret is not to find out cheaply that he guessed right."""
    if not secrets:
        return ""
    text = json.dumps(dict(sorted(secrets.items()))).encode()
    return hashlib.scrypt(text, salt=b"trivet release", n=2**14, r=8, p=1, dklen=16).hex()


def build(
    tree: Tree,
    application: Application,
    *,
    store: Store,
    settings: BuildSettings,
    output: Callable[[str], None],
) -> Release:
    """Build a release, or take the one that was built of the same.

    Args:
        tree: The project's files.
        application: What its file says.
        store: Where the release goes.
        settings: What the build is given.
        output: Is told each line of the log at once.

    Raises:
        BuildError: It could not be built; the store has what it had, and the log under ``failed``.
        InputError: The tree has no such folder.
        GridError: This machine cannot make containers.
    """
    contents = tree.contents(application.root)
    name = store.newest(release_name(contents.id, application, settings))

    def waiting() -> None:
        output(f"Waiting for another build of application '{application.name}' to end.")

    with cache_of(settings, application.name, waiting) as cache, store.staged(name) as folder:
        log = Log(folder / LOG, output, Secrets(settings.secrets))
        version = f"{application.runtime}:{application.version}"
        log.line(f"Building application '{application.name}' (runtime type: {version}, tree: {contents.id[:7]})")
        _tell_uncommitted(contents, log)
        if store.has(name) and not settings.rebuild:
            log.step("Reusing existing build for this tree ID")
            log.close()
            return store.get(name)
        with _logged(log, store, folder, name):
            manifest = _built(tree, contents, application, settings, name, folder, cache, log, store)
        release = store.publish(folder, manifest["release"], manifest)
        if release.name != name:
            store.supersede(name, release.name)
        return release


@contextmanager
def _logged(log: Log, store: Store, folder: Path, name: str) -> Iterator[None]:
    """The log of a build that fails is kept, and what is raised names it."""
    try:
        yield
    except BuildError as error:
        log.line(f"E: Error building project: {error.message}")
        log.close()
        kept = store.keep_log(folder, name)
        raise BuildError(error.message, error.next_command or f"less {kept}") from error
    except TrivetError as error:
        log.line(f"E: {error.message}")
        raise
    finally:
        log.close()


def _built(
    tree: Tree,
    contents: Contents,
    application: Application,
    settings: BuildSettings,
    name: str,
    folder: Path,
    cache: Path,
    log: Log,
    store: Store,
) -> dict[str, Any]:
    """Build into a folder; the manifest of what it has."""
    needs = needs_of(application, settings)
    for warning in needs.warnings:
        log.warning(warning)
    with builder(
        needs.image,
        label=f"{settings.project}/{application.name}",
        cache=cache,
        with_network=settings.network,
        memory_mib=settings.memory_mib,
        progress=log.step,
    ) as made:
        work = Work(made, application, settings, needs, contents, tree.folder(application.root), log)
        made.bring(work.folder, contents.files)
        environment = _configure(work)
        check_credentials(work, environment)
        install_dependencies(work)
        install_packages(work)
        _run_hook(work)
        packed = _packed(work, folder / ARCHIVE)
        debian = made.ask(DEBIAN_QUERY)
    log.step("Beaming package to its final destination.")
    archive = folder / ARCHIVE
    digest = sha256_of(archive)
    final = store.name_for(name, digest)
    (folder / PARTS).write_text(list_of(final, contents.id, packed.kept, debian), encoding="utf-8")
    return {
        "format": FORMAT,
        "release": final,
        "application": application.name,
        "tree": contents.id,
        "commit": None if contents.uncommitted else tree.commit,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "runtime": f"{application.runtime}:{application.version}",
        "built_with": {"image": needs.image.alias, "packages": _versions(debian, needs)},
        "files": packed.files,
        "bytes": packed.size_bytes,
        "archive": {"sha256": digest, "bytes": archive.stat().st_size},
    }


def _tell_uncommitted(contents: Contents, log: Log) -> None:
    if contents.uncommitted:
        some = ", ".join(contents.uncommitted[:UNCOMMITTED_TOLD])
        more = len(contents.uncommitted) - UNCOMMITTED_TOLD
        rest = f" and {more} more" if more > 0 else ""
        log.warning(f"Changes that are not committed are built, too: {some}{rest}")


def _configure(work: Work) -> dict[str, str]:
    """Write what PHP and the shell read at their start; the environment of the build."""
    work.log.step("Generating runtime configuration.")
    environment = environment_of(work.application, work.settings, work.contents.id)
    work.builder.write(ENVIRONMENT, exports(environment))
    if work.needs.php:
        folder = f"/etc/php/{work.needs.php}/cli/conf.d"
        work.builder.write(f"{folder}/98-application.ini", work.text_of("php.ini"))
        work.builder.write(f"{folder}/99-build.ini", ini_of(work.application, work.settings))
        for name in work.application.disabled_extensions:
            work.builder.ask(["phpdismod", "-v", work.needs.php, "-s", "cli", name], user=0)
    return environment


def _run_hook(work: Work) -> None:
    """Run the hook: one script, so that its last status is its own."""
    script = work.application.hooks.get("build", "")
    if not script:
        return
    work.log.step("Executing build hook...")
    work.builder.write(HOOK, script)
    status = work.run(["sh", HOOK])
    if status != 0:
        raise BuildError(f"The build hook failed with status code {status}. Aborted build.")


def _packed(work: Work, archive: Path) -> Packed:
    rules = Rules(
        secrets=Secrets(work.settings.secrets),
        mounts=[mount.path for mount in work.application.mounts],
        largest_bytes=work.settings.largest_bytes,
        largest_file_bytes=work.settings.largest_file_bytes,
        keep=READ,
    )
    # Whatever a hook left running would go on writing.
    work.builder.end_processes()
    check_result(work, rules)
    work.log.step("Compressing application.")
    with work.builder.handed_over() as stream:
        return pack(stream, archive, rules)


def _versions(debian: str, needs: Needs) -> dict[str, str]:
    """Versions of the packages that a release depends on most."""
    told = ("composer", "nodejs", "npm", f"php{needs.php}-cli")
    rows = (line.split() for line in debian.splitlines())
    return {name: version for name, version, _architecture in rows if name in told}
