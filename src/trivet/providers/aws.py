# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of Amazon EC2, by playbooks of the collection that use the modules of ``amazon.aws``.

Every playbook looks at the instance itself before it acts and again afterwards, because of what
``amazon.aws.ec2_instance`` does (10.1.2, read in its source):

- given another instance type it stops an instance that runs, without asking (its issue 469, pull request 2298);
- when it has waited in vain it warns and succeeds;
- it does not wait for an instance that someone else is stopping;
- asked to stop what it does not find, it launches a new instance;
- it finds an instance by name, subnet and image, so that a newer image makes a second machine of the same name.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from trivet.ansible import PlaybookEvent, run_on_controller
from trivet.errors import InputError, PlaybookError, TrivetError
from trivet.model.environment import Environment, Node
from trivet.model.size import Size, size_named
from trivet.paths import has_collection
from trivet.providers.aws_settings import ENVIRONMENT_TAG, AwsSettings
from trivet.providers.progress import Tell, silent
from trivet.providers.reachable import WaitForSsh, new_node, wait_for_ssh

COLLECTION = "amazon.aws"
TIMEOUT_SECONDS = 1800
ALIVE = ("pending", "running", "stopping", "stopped")

# What the AWS SDK or EC2 says, and what an operator does about it.
ADVICE = {
    "Unable to locate credentials": "aws configure, or set trivet_aws_profile: see docs/how-to/provider-aws.md",
    "could not be found": "set trivet_aws_profile to a profile of ~/.aws/config",
    "AuthFailure": "aws sts get-caller-identity shows whose credentials these are",
    "ExpiredToken": "log in to AWS again; aws sts get-caller-identity must answer",
    "UnauthorizedOperation": "give the credentials the policy in docs/how-to/provider-aws.md",
    "InsufficientInstanceCapacity": "try again later, or resize back: EC2 has no such machine free in the zone now",
    "OperationNotPermitted": "look for stop or termination protection: aws ec2 describe-instance-attribute",
}

Instance = Mapping[str, Any]


class AwsProvider:
    """Stops, resizes, starts, makes and terminates EC2 instances.

    :raises InputError: when the inventory lacks a setting, Python boto3, or Ansible the collection amazon.aws.
    """

    def __init__(self, environment: Environment, tell: Tell = silent, wait: WaitForSsh = wait_for_ssh) -> None:
        if importlib.util.find_spec("boto3") is None:
            raise InputError("provider aws needs boto3, which is not installed", "pip install 'trivet[aws]'")
        if not has_collection(COLLECTION):
            raise InputError(
                f"provider aws needs the collection {COLLECTION}, which is not installed beside Ansible",
                "pip install ansible",
            )
        self._environment = environment
        self._settings = AwsSettings.of(environment)
        self._tell = tell
        self._wait = wait
        self._ids: dict[str, str] = {}

    def check(self, node: Node) -> None:
        """Refuse an instance that is not there, is not the node, or would not survive being stopped."""
        instance = self._find("check", node.name, node)
        reasons = unfit(instance, node, self._settings.instance_types)
        if reasons:
            raise InputError(
                f"{node.name} ({instance['instance_id']}) cannot be resized: {'; '.join(reasons)}",
                self._describe(instance["instance_id"]),
            )

    def target(self, size: str) -> Size:
        """The table's size: the instance types of the inventory must have its CPUs."""
        self._settings.instance_type(size)
        return size_named(size)

    def stop(self, node: Node) -> None:
        """Shut the instance down by its operating system, and wait until EC2 says that it is stopped."""
        self._play("stop", node.name, "aws_stop.yml", self._identity(node, "stop"))

    def resize(self, node: Node, size: str) -> None:
        """Change the instance type of the stopped instance; one that has the type already is left alone."""
        variables = {"trivet_aws_instance_type": self._settings.instance_type(size)}
        self._play("resize", node.name, "aws_resize.yml", self._identity(node, "resize") | variables)

    def start(self, node: Node) -> None:
        """Start the instance, and wait until SSH answers."""
        self._play("start", node.name, "aws_start.yml", self._identity(node, "start"))
        self._tell(f"waiting for SSH on {node.name}")
        self._wait(self._environment, node)

    def record(self, size: str) -> None:
        """Nothing: the inventory is the operator's file, and the report says to set trivet_size there."""

    def create(self, name: str, size: str, address: str | None = None) -> str:
        """Launch an instance with the environment's tag, or start the one that has this name.

        :param address: of no effect: EC2 chooses one of the subnet.
        :returns: its private address.
        :raises TrivetError: also when the instance of this name has another type than the size's.
        """
        login = str(self._environment.variables.get("ansible_user", "root"))
        variables = self._settings.machine(size) | {"trivet_aws_name": name, "trivet_aws_root_login": login == "root"}
        instance = self._play("create", name, "aws_create.yml", self._tags() | variables)
        got = str(instance.get("private_ip_address") or "")
        if not got:
            raise TrivetError(
                f"{name} ({instance.get('instance_id')}) was made, but EC2 tells no private address of it",
                self._describe(str(instance.get("instance_id"))),
            )
        self._ids[name] = str(instance["instance_id"])
        self._tell(f"waiting for SSH on {name} ({got})")
        self._wait(self._environment, new_node(self._environment, name, got))
        return got

    def check_create(self, name: str, size: str, address: str | None = None) -> None:
        """Refuse an inventory that lacks what a new instance needs, and an address that is asked for.

        :raises InputError: naming the variable that is missing, or saying that EC2 chooses the address.
        """
        self._settings.machine(size)
        if address is not None:
            raise InputError(f"{name} must have the address {address}, but EC2 gives a new instance another one")

    def delete(self, node: Node) -> None:
        """Terminate the instance with the volumes that came with it. None by this name is as good.

        Only instances with the environment's tag are terminated: those that Trivet made, or that were tagged for it.
        """
        instance = self._lookup("delete", node.name, node)
        if instance is None:
            return
        self._refuse_another(instance, node)
        if (instance.get("tags") or {}).get(ENVIRONMENT_TAG) != self._environment.name:
            raise InputError(
                f"{node.name} ({instance['instance_id']}) is not terminated: it has no tag "
                f"{ENVIRONMENT_TAG}={self._environment.name}",
                f"aws ec2 terminate-instances --region {self._settings.region} "
                f"--instance-ids {instance['instance_id']}, if it is no longer needed",
            )
        self._play("delete", node.name, "aws_delete.yml", {"trivet_aws_instance_id": instance["instance_id"]})
        self._ids.pop(node.name, None)

    def _identity(self, node: Node, verb: str) -> dict[str, Any]:
        """The node's instance id, found and verified once; the playbooks look at the instance anew every time."""
        if node.name not in self._ids:
            self._find(verb, node.name, node)
        return {"trivet_aws_instance_id": self._ids[node.name]}

    def _find(self, verb: str, name: str, node: Node) -> Instance:
        instance = self._lookup(verb, name, node)
        if instance is None:
            named = node.variables.get("trivet_aws_instance_id")
            tags = f"with the tags Name={name} and {ENVIRONMENT_TAG}={self._environment.name}"
            raise InputError(
                f"{verb} {name}: there is no instance {named or tags} in {self._settings.region}",
                f"aws ec2 describe-instances --region {self._settings.region}; "
                "trivet_aws_instance_id of the host names one",
            )
        self._refuse_another(instance, node)
        self._ids[name] = str(instance["instance_id"])
        return instance

    def _lookup(self, verb: str, name: str, node: Node) -> Instance | None:
        """The one instance that the inventory means, or None."""
        named = str(node.variables.get("trivet_aws_instance_id") or "")
        wanted = (
            {"instance-id": named}
            if named
            else {"tag:Name": name, f"tag:{ENVIRONMENT_TAG}": self._settings.environment}
        )
        filters = {**wanted, "instance-state-name": list(ALIVE)}
        found = self._run(verb, name, "aws_find.yml", {"trivet_aws_filters": filters}).get("instances") or []
        if len(found) > 1:
            ids = ", ".join(str(instance["instance_id"]) for instance in found)
            raise InputError(
                f"{verb} {name}: {len(found)} instances have the tags of {name}: {ids}",
                f"set trivet_aws_instance_id of {name} in {self._environment.inventory}",
            )
        return found[0] if found else None

    def _refuse_another(self, instance: Instance, node: Node) -> None:
        addresses = [instance.get("private_ip_address"), instance.get("public_ip_address")]
        if node.address not in addresses:
            has = " and ".join(str(address) for address in addresses if address)
            raise InputError(
                f"{instance['instance_id']} is not {node.name}: its address is {has}, "
                f"the inventory's is {node.address}",
                self._describe(str(instance["instance_id"])),
            )

    def _tags(self) -> dict[str, Any]:
        return {"trivet_aws_tag": ENVIRONMENT_TAG, "trivet_aws_environment": self._settings.environment}

    def _play(self, verb: str, name: str, playbook: str, variables: Mapping[str, Any]) -> Instance:
        instance: Instance = self._run(verb, name, playbook, variables).get("instance") or {}
        return instance

    def _run(self, verb: str, name: str, playbook: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return run_on_controller(
                f"providers/{playbook}",
                {**self._settings.connection(), **variables},
                listener=self._told,
                timeout=TIMEOUT_SECONDS,
            )
        except PlaybookError as error:
            words = error.message.removeprefix("localhost: ")
            advice = next((advice for said, advice in ADVICE.items() if said in words), None)
            known = self._ids.get(name)
            raise TrivetError(
                f"{verb} of {name}{f' ({known})' if known else ''} failed at EC2: {words}",
                advice or (self._describe(known) if known else None),
            ) from error

    def _told(self, event: PlaybookEvent) -> None:
        if event.state == "begins" and event.task:
            self._tell(event.task)

    def _describe(self, instance_id: str) -> str:
        return f"aws ec2 describe-instances --region {self._settings.region} --instance-ids {instance_id}"


def unfit(instance: Instance, node: Node, instance_types: Mapping[str, str]) -> list[str]:
    """Why an instance would not come back from being stopped and resized as the node that it was.

    :param instance: as ``amazon.aws.ec2_instance_info`` tells it.
    """
    reasons = []
    if instance.get("root_device_type") != "ebs":
        reasons.append("its root disk is an instance store, which a stop would lose")
    if instance.get("instance_lifecycle") == "spot":
        reasons.append("it is a spot instance, which EC2 may not start again")
    if instance.get("instance_type") not in instance_types.values():
        reasons.append(
            f"its type {instance.get('instance_type')} is not in trivet_aws_instance_types "
            f"({', '.join(instance_types.values())}), so that the change might need other drivers"
        )
    if node.ssh_host in _passing_addresses(instance):
        reasons.append(
            f"SSH goes to {node.ssh_host}, which is no Elastic IP: EC2 takes it away at the stop; "
            "use the private address, or an Elastic IP"
        )
    return reasons


def _passing_addresses(instance: Instance) -> list[str]:
    """Public addresses that EC2 lent the instance until its next stop: their owner is ``amazon``."""
    associations = [interface.get("association") or {} for interface in instance.get("network_interfaces") or []]
    return [str(one.get("public_ip")) for one in associations if one.get("ip_owner_id") == "amazon"]
