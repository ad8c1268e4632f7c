# SPDX-License-Identifier: GPL-3.0-or-later
"""Provider aws through its playbooks and the modules of amazon.aws, against the EC2 API of moto's server."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from trivet.errors import InputError, TrivetError
from trivet.model import Environment, Node
from trivet.providers import aws, provider_for
from trivet.providers.aws import AwsProvider, unfit
from trivet.providers.aws_settings import DEFAULT_INSTANCE_TYPES, AwsSettings
from trivet.providers.reachable import new_node

REGION = "eu-central-1"
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file in which moto keeps every request that it gets."""
    path = tmp_path_factory.mktemp("moto") / "requests"
    with pytest.MonkeyPatch.context() as patch:
        # moto reads it when the recorder is first imported.
        patch.setenv("MOTO_RECORDER_FILEPATH", str(path))
        from moto.moto_api import recorder
    recorder.start_recording()
    yield path
    recorder.stop_recording()


@pytest.fixture(scope="module")
def endpoint(recording: Path) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def ec2(endpoint: str) -> Any:
    return boto3.client("ec2", region_name=REGION, endpoint_url=endpoint)


class Cloud:
    """An environment of three instances, and what was done to reach them."""

    def __init__(self, ec2: Any, environment: Environment) -> None:
        self.ec2 = ec2
        self.environment = environment
        self.waited: list[tuple[str, str]] = []
        self.said: list[str] = []

    def provider(self) -> AwsProvider:
        return AwsProvider(
            self.environment, self.said.append, lambda _environment, node: self.waited.append((node.name, node.address))
        )

    def instances(self, name: str) -> list[dict[str, Any]]:
        answer = self.ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": [name]}])
        return [one for reservation in answer["Reservations"] for one in reservation["Instances"]]

    def instance(self, name: str) -> tuple[str, str]:
        (one,) = self.instances(name)
        return one["State"]["Name"], one["InstanceType"]


@pytest.fixture
def cloud(ec2: Any, endpoint: str, request: pytest.FixtureRequest) -> Cloud:
    name = f"shop-{abs(hash(request.node.name)) % 10**6}"
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    image = ec2.describe_images(Filters=[{"Name": "root-device-type", "Values": ["ebs"]}])["Images"][0]["ImageId"]
    nodes = []
    for number in (1, 2, 3):
        tags = [{"Key": "Name", "Value": f"{name}-{number}"}, {"Key": "trivet-environment", "Value": name}]
        made = ec2.run_instances(
            ImageId=image,
            InstanceType="c6i.large",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )["Instances"][0]
        nodes.append(Node(f"{name}-{number}", number, made["PrivateIpAddress"]))
    variables = {
        "trivet_provider": "aws",
        "trivet_aws_region": REGION,
        "trivet_aws_endpoint": endpoint,
        "trivet_aws_image": image,
        "trivet_aws_subnet": subnet,
        "trivet_aws_security_groups": [group],
        "trivet_aws_key_name": "operator",
    }
    environment = Environment(
        name=name,
        inventory=Path(f"inventories/{name}"),
        nodes=tuple(nodes),
        gateways=("192.0.2.21", "192.0.2.22", "192.0.2.23"),
        size="6",
        domains=("shop.example",),
        variables=variables,
    )
    return Cloud(ec2, environment)


def asked(recording: Path) -> set[str]:
    """The actions of EC2 that modules of Ansible have asked for so far, as IAM names them."""
    actions = set()
    for line in recording.read_text().splitlines():
        request = json.loads(line)
        agent = next(value for name, value in request["headers"].items() if name.lower() == "user-agent")
        if "Ansible" in agent:
            body = urllib.parse.parse_qs(base64.b64decode(request["body"]).decode())
            actions.add(f"ec2:{body['Action'][0]}")
    return actions


def allowed() -> set[str]:
    """The actions in the policy of the runbook."""
    runbook = (Path(__file__).parents[3] / "docs" / "how-to" / "provider-aws.md").read_text()
    (policy,) = re.findall(r'```json\n(\{\n  "Version".*?)```', runbook, re.DOTALL)
    lists = [statement["Action"] for statement in json.loads(policy)["Statement"]]
    return {action for one in lists for action in ([one] if isinstance(one, str) else one)}


def test_the_policy_of_the_runbook_is_what_the_modules_ask_for(cloud: Cloud, recording: Path) -> None:
    provider = cloud.provider()
    name = f"{cloud.environment.name}-web-1"
    node = new_node(cloud.environment, name, provider.create(name, "6"))
    provider.stop(node)
    provider.resize(node, "12")
    provider.start(node)
    provider.delete(node)
    # RunInstances takes the tags with it, for which IAM wants CreateTags.
    assert asked(recording) | {"ec2:CreateTags"} == allowed()


def test_one_of_three_is_stopped_resized_and_started_and_no_other(cloud: Cloud) -> None:
    provider = cloud.provider()
    first, second, third = cloud.environment.nodes
    provider.check(second)
    provider.stop(second)
    assert cloud.instance(second.name) == ("stopped", "c6i.large")
    provider.stop(second)
    provider.resize(second, "12")
    assert cloud.instance(second.name) == ("stopped", "c6i.xlarge")
    provider.start(second)
    assert cloud.instance(second.name) == ("running", "c6i.xlarge")
    provider.start(second)
    # It has the type: left alone, although it runs.
    provider.resize(second, "12")
    assert cloud.instance(second.name) == ("running", "c6i.xlarge")
    assert cloud.waited == [(second.name, second.address)] * 2
    for untouched in (first, third):
        assert cloud.instance(untouched.name) == ("running", "c6i.large")


def test_a_running_instance_is_not_resized(cloud: Cloud) -> None:
    node = cloud.environment.nodes[0]
    with pytest.raises(
        TrivetError, match=rf"resize of {node.name} \(i-.*the instance is running and of type c6i.large"
    ):
        cloud.provider().resize(node, "24")
    assert cloud.instance(node.name) == ("running", "c6i.large")


def test_a_web_node_is_made_once_and_removed_once(cloud: Cloud) -> None:
    provider = cloud.provider()
    name = f"{cloud.environment.name}-web-1"
    address = provider.create(name, "6")
    (made,) = cloud.instances(name)
    assert made["PrivateIpAddress"] == address
    assert made["KeyName"] == "operator"
    assert made["MetadataOptions"]["HttpTokens"] == "required"
    assert {"Key": "trivet-environment", "Value": cloud.environment.name} in made["Tags"]
    cloud.ec2.stop_instances(InstanceIds=[made["InstanceId"]])
    assert provider.create(name, "6") == address
    assert [one["InstanceId"] for one in cloud.instances(name)] == [made["InstanceId"]]
    assert cloud.instance(name) == ("running", "c6i.large")
    assert cloud.waited == [(name, address)] * 2
    with pytest.raises(TrivetError, match="is there already: i-"):
        provider.create(name, "12")
    node = new_node(cloud.environment, name, address)
    provider.delete(node)
    assert cloud.instance(name)[0] == "terminated"
    provider.delete(node)
    assert all(cloud.instance(node.name)[0] == "running" for node in cloud.environment.nodes)


def test_what_is_not_the_node_is_not_touched(cloud: Cloud) -> None:
    node = cloud.environment.nodes[0]
    stranger = replace(node, address="198.51.100.1")
    for act in (cloud.provider().check, cloud.provider().stop, cloud.provider().delete):
        with pytest.raises(InputError, match=f"is not {node.name}: its address is {node.address}.*198.51.100.1"):
            act(stranger)
    assert cloud.instance(node.name)[0] == "running"


def test_an_instance_of_another_environment_is_not_terminated(cloud: Cloud) -> None:
    node = cloud.environment.nodes[0]
    (instance,) = cloud.instances(node.name)
    cloud.ec2.delete_tags(Resources=[instance["InstanceId"]], Tags=[{"Key": "trivet-environment"}])
    named = replace(node, variables={"trivet_aws_instance_id": instance["InstanceId"]})
    with pytest.raises(InputError, match=f"it has no tag trivet-environment={cloud.environment.name}"):
        cloud.provider().delete(named)
    assert cloud.instance(node.name)[0] == "running"
    cloud.provider().check(named)


def test_an_instance_that_is_not_there_or_twice_there_is_refused(cloud: Cloud) -> None:
    first, second, _ = cloud.environment.nodes
    with pytest.raises(InputError, match="check gone: there is no instance with the tags Name=gone"):
        cloud.provider().check(replace(first, name="gone"))
    with pytest.raises(InputError, match="there is no instance i-0123456789abcdef0 in eu-central-1"):
        cloud.provider().check(replace(first, variables={"trivet_aws_instance_id": "i-0123456789abcdef0"}))
    (instance,) = cloud.instances(second.name)
    cloud.ec2.create_tags(Resources=[instance["InstanceId"]], Tags=[{"Key": "Name", "Value": first.name}])
    with pytest.raises(InputError, match=f"2 instances have the tags of {first.name}"):
        cloud.provider().check(first)


def test_a_type_outside_the_map_is_refused(cloud: Cloud) -> None:
    cloud.environment.variables["trivet_aws_instance_types"] = {"6": "m6i.large"}  # type: ignore[index]
    node = cloud.environment.nodes[0]
    with pytest.raises(InputError, match=r"its type c6i[.]large is not in trivet_aws_instance_types"):
        cloud.provider().check(node)
    with pytest.raises(InputError, match="has no instance type for size 12; it has 6"):
        cloud.provider().resize(node, "12")


def test_missing_credentials_are_said_with_what_to_do(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TrivetError, match="Unable to locate credentials") as raised:
        cloud.provider().check(cloud.environment.nodes[0])
    assert "aws configure" in str(raised.value.next_command)


FIT = {
    "root_device_type": "ebs",
    "instance_type": "c6i.large",
    "network_interfaces": [{"association": {"public_ip": "203.0.113.7", "ip_owner_id": "123456789012"}}],
}
LENT = [{"association": {"public_ip": "203.0.113.7", "ip_owner_id": "amazon"}}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"root_device_type": "instance-store"}, "its root disk is an instance store"),
        ({"instance_lifecycle": "spot"}, "it is a spot instance"),
        ({"instance_type": "t4g.large"}, "its type t4g.large is not in trivet_aws_instance_types"),
        ({"network_interfaces": LENT}, "SSH goes to 203.0.113.7, which is no Elastic IP"),
    ],
)
def test_what_would_not_come_back_is_unfit(change: dict[str, Any], reason: str | None) -> None:
    node = Node("node-1", 1, "10.0.0.1", {"ansible_host": "203.0.113.7"})
    reasons = unfit(FIT | change, node, DEFAULT_INSTANCE_TYPES)
    assert len(reasons) == (reason is not None)
    assert reason is None or reasons[0].startswith(reason)


def shop(variables: dict[str, Any]) -> Environment:
    return Environment(
        name="shop",
        inventory=Path("inventories/shop"),
        nodes=(Node("node-1", 1, "192.0.2.1"),),
        gateways=("192.0.2.21",),
        size="6",
        domains=("shop.example",),
        variables={"trivet_provider": "aws", **variables},
    )


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({}, "trivet_aws_region is not set"),
        ({"trivet_aws_region": "{{ region }}"}, "trivet_aws_region is a template"),
        ({"trivet_aws_region": 1}, "trivet_aws_region is 1; it takes text"),
        ({"trivet_aws_region": REGION, "trivet_aws_instance_types": "c6i.large"}, "it takes a map"),
        ({"trivet_aws_region": REGION, "trivet_aws_instance_types": {"7": "c6i.large"}}, "has size '7'"),
        ({"trivet_aws_region": REGION, "trivet_aws_security_groups": "sg-1"}, "a list of security group ids"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_asked(variables: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match="inventories/shop: ") as raised:
        provider_for(shop(variables))
    assert complaint in raised.value.message


def test_an_instance_that_could_not_be_made_is_refused_before(cloud: Cloud) -> None:
    provider = cloud.provider()
    provider.check_create("web-1", "6")
    with pytest.raises(InputError, match="but EC2 gives a new instance another one"):
        provider.check_create("node-1", "6", "10.0.0.1")
    del cloud.environment.variables["trivet_aws_image"]  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="trivet_aws_image is not set"):
        cloud.provider().check_create("web-1", "6")
    assert cloud.instances("web-1") == []


def test_a_machine_is_not_made_without_an_image() -> None:
    settings = AwsSettings(environment="shop", region=REGION)
    with pytest.raises(InputError, match="trivet_aws_image is not set"):
        settings.machine("6")


def test_a_missing_collection_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "COLLECTION", "amazon.nowhere")
    with pytest.raises(InputError, match="needs the collection amazon") as raised:
        AwsProvider(shop({}))
    assert raised.value.next_command == "pip install ansible"
