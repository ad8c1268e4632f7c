# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory says to provider aws, checked before anything is asked of the cloud."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trivet.errors import InputError
from trivet.model.environment import Environment
from trivet.model.size import SIZES, size_named

# One family for all sizes, so that a resize changes neither architecture nor drivers; disks on EBS only, since a stop
# loses what is on an instance's own disks; 2 GiB for each CPU, close enough to the
# table for the rotation, which compares.
DEFAULT_INSTANCE_TYPES = {
    "6": "c6i.large",
    "12": "c6i.xlarge",
    "24": "c6i.2xlarge",
    "48": "c6i.4xlarge",
    "96": "c6i.8xlarge",
}
ENVIRONMENT_TAG = "trivet-environment"


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """The variables ``trivet_aws_*`` of an inventory.

    :param endpoint: URL of another EC2 API than Amazon's, empty for Amazon's.
    :param profile: of ~/.aws/config, empty for what the AWS SDK finds by itself.
    :param instance_types: EC2 instance type of a node by size.
    :param image, subnet, security_groups, key_name: of machines to be made; may be empty until one is.
    """

    environment: str
    region: str
    endpoint: str = ""
    profile: str = ""
    instance_types: dict[str, str] = field(default_factory=lambda: dict(DEFAULT_INSTANCE_TYPES))
    image: str = ""
    subnet: str = ""
    security_groups: tuple[str, ...] = ()
    key_name: str = ""

    @classmethod
    def of(cls, environment: Environment) -> AwsSettings:
        """Read and check an environment's variables.

        :raises InputError: naming the inventory and the variable.
        """
        texts = {
            key: _text(environment, f"trivet_aws_{key}")
            for key in ("region", "endpoint", "profile", "image", "subnet", "key_name")
        }
        if not texts["region"]:
            raise InputError(
                f"{environment.inventory}: trivet_aws_region is not set; provider aws needs the region of the "
                "instances, such as eu-central-1 (docs/how-to/provider-aws.md)"
            )
        return cls(
            environment=environment.name,
            instance_types=_instance_types(environment),
            security_groups=_security_groups(environment),
            **texts,
        )

    def instance_type(self, size: str) -> str:
        """EC2's name for a node of a size.

        :raises InputError: when the table of sizes or the inventory has none.
        """
        size_named(size)
        if size not in self.instance_types:
            known = ", ".join(self.instance_types)
            raise InputError(f"trivet_aws_instance_types has no instance type for size {size}; it has {known}")
        return self.instance_types[size]

    def connection(self) -> dict[str, Any]:
        """Variables of every playbook: where the cloud is. Credentials are the AWS SDK's business, never Trivet's."""
        return {
            "trivet_aws_region": self.region,
            "trivet_aws_endpoint": self.endpoint,
            "trivet_aws_profile": self.profile,
        }

    def machine(self, size: str) -> dict[str, Any]:
        """Variables of the playbook that makes a machine.

        :raises InputError: naming the variable that is missing.
        """
        needed = {
            "trivet_aws_image": self.image,
            "trivet_aws_subnet": self.subnet,
            "trivet_aws_security_groups": list(self.security_groups),
            "trivet_aws_key_name": self.key_name,
        }
        for key, value in needed.items():
            if not value:
                raise InputError(
                    f"{key} is not set; provider aws needs it to make a machine", "see docs/how-to/provider-aws.md"
                )
        return {**needed, "trivet_aws_instance_type": self.instance_type(size)}


def _text(environment: Environment, key: str) -> str:
    value = environment.variables.get(key)
    if value in (None, ""):
        return ""
    if not isinstance(value, str):
        raise InputError(f"{environment.inventory}: {key} is {value!r}; it takes text")
    if "{{" in value:
        raise InputError(
            f"{environment.inventory}: {key} is a template; write its value out, it is read by no playbook"
        )
    return value


def _instance_types(environment: Environment) -> dict[str, str]:
    key = "trivet_aws_instance_types"
    value = environment.variables.get(key)
    if value is None:
        return dict(DEFAULT_INSTANCE_TYPES)
    if not isinstance(value, dict) or not value:
        raise InputError(f'{environment.inventory}: {key} is {value!r}; it takes a map such as {{"6": c6i.large}}')
    types = {str(size): str(name) for size, name in value.items()}
    for size in types:
        if size not in SIZES:
            raise InputError(f"{environment.inventory}: {key} has size {size!r}; sizes are {', '.join(SIZES)}")
    return types


def _security_groups(environment: Environment) -> tuple[str, ...]:
    key = "trivet_aws_security_groups"
    value = environment.variables.get(key) or []
    if not isinstance(value, list) or not all(isinstance(group, str) for group in value):
        raise InputError(f"{environment.inventory}: {key} is {value!r}; it takes a list of security group ids")
    return tuple(value)
