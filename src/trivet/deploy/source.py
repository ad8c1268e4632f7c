# SPDX-License-Identifier: GPL-3.0-or-later
"""What is deployed: a folder, a commit, or a release that was built; as a checked project and a release of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trivet.build import BuildSettings, Release, Store, Tree, build, tree_of_commit, tree_of_directory
from trivet.errors import InputError
from trivet.model import Environment
from trivet.paths import releases_directory
from trivet.project import Project, check
from trivet.project.application import Application
from trivet.project.check import CLUSTER_FILES, PREFIXES
from trivet.project.own import FILE as OWN_FILE

Say = Callable[[str], None]
"""Takes a line of the log."""


PROJECT = "project"
"""Folder of a release with the files of its project, as its last build or deploy had them."""
DEPLOY = "trivet deploy ENV DIR"
SETTINGS = (".magento.env.yaml", OWN_FILE, *(f"{prefix}/{name}.yaml" for prefix in PREFIXES for name in CLUSTER_FILES))


def release_store() -> Store:
    """Where this machine keeps releases."""
    return Store(releases_directory())


@dataclass(frozen=True, slots=True)
class Source:
    """A folder, or a commit of a repository.

    :param directory: the folder, or the repository.
    :param ref: the commit; empty for the folder as it is.
    :param application: which of the project's; empty when it has one only.
    :param release: a release that was built: it goes live as it is, with the files that its last deploy kept.
    """

    directory: Path
    ref: str = ""
    application: str = ""
    release: Release | None = None

    @classmethod
    def named(cls, words: str, application: str = "") -> Source:
        """What an operator names: a folder, or a commit of the repository that this is called in.

        :raises InputError: it is neither.
        """
        if Path(words).is_dir():
            return cls(Path(words), application=application)
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", f"{words}^{{commit}}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise InputError(f"{words} is neither a folder nor a commit of the repository here", "trivet deploy --help")
        return cls(Path(), ref=done.stdout.strip(), application=application)

    @classmethod
    def built(cls, name: str) -> Source:
        """A release of this machine.

        :raises BuildError: there is none of that name, or it is damaged.
        :raises InputError: it is of an earlier Trivet, which kept no files of its project.
        """
        release = release_store().get(name)
        directory = release.directory / PROJECT
        if not directory.is_dir():
            raise InputError(f"{name} has no files of its project: an earlier Trivet built it", DEPLOY)
        return cls(directory, application=release.application, release=release)

    @contextmanager
    def opened(self, environment: Environment, say: Say) -> Iterator[Opened]:
        """The project with its files, checked.

        :raises InputError: the files are wrong; every error is said before.
        """
        with self._tree() as tree:
            say("Validating configuration files")
            project = check(tree.directory, environment=environment.name, domains=environment.domains)
            for finding in project.warnings:
                say(f"W: {finding.told}")
            if not project.ok:
                say("E: Error parsing configuration files:")
                for finding in project.errors:
                    say(f"   - {finding.told}")
                raise InputError(
                    "Invalid configuration files, aborting build", f"trivet project check {self.directory}"
                )
            yield Opened(tree, project, self._chosen(environment, project), self.release)

    @contextmanager
    def _tree(self) -> Iterator[Tree]:
        if not self.ref:
            yield tree_of_directory(self.directory)
            return
        with tree_of_commit(self.directory, self.ref) as tree:
            yield tree

    def _chosen(self, environment: Environment, project: Project) -> Application:
        named = self.application or (environment.application.name if environment.application else "")
        for application in project.applications:
            if application.name == named or (len(project.applications) == 1 and not self.application):
                return application
        names = ", ".join(item.name for item in project.applications)
        raise InputError(
            f"the project has the applications {names}; {environment.name} serves one", "name it by --application NAME"
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """A checked project with its files.

    :param built: its release, where it is given and not built.
    """

    tree: Tree
    project: Project
    application: Application
    built: Release | None = None

    def release(self, environment: Environment, settings: BuildSettings, say: Say) -> Release:
        """Build its release, or take the one that was built of the same.

        :raises BuildError: it cannot be built.
        """
        if self.built is not None:
            return self.built
        return build(self.tree, self.application, store=release_store(), settings=settings, output=say)

    def keep(self, release: Release) -> None:
        """Keep the project's files beside its release."""
        if self.built is None:
            keep_project(self.tree, self.project, release)


def keep_project(tree: Tree, project: Project, release: Release) -> None:
    """Keep a project's files beside its release: by them it goes live again without the repository."""
    inside = [name for item in project.applications for name in (item.file, _beside(item.file, "php.ini"))]
    staged, kept = release.directory / f".{PROJECT}", release.directory / PROJECT
    shutil.rmtree(staged, ignore_errors=True)
    for name in (*SETTINGS, *inside):
        source = tree.directory / name
        if source.is_file():
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, staged / name)
    shutil.rmtree(kept, ignore_errors=True)
    staged.rename(kept)


def _beside(file: str, name: str) -> str:
    return str(Path(file).with_name(name))
