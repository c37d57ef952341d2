"""The manifests that people start from name commands, variables and ports that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from coffee_core.cli import plugins
from coffee_core.cli.describe import unknown_variables
from coffee_core.cli.main import OWN
from coffee_core.cli.show import OWN_SETTINGS

FOLDER = Path(__file__).parents[2] / "docs" / "deployment"
MANIFESTS = sorted((FOLDER / "kubernetes").glob("*.yaml"))


def documents() -> list[dict[str, Any]]:
    return [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())]


def pods() -> list[dict[str, Any]]:
    return [each["spec"]["template"]["spec"] for each in documents() if each["kind"] in {"Job", "Deployment"}]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in documents() if each["kind"] == kind}


def test_each_command_is_one_of_ours() -> None:
    known = {*plugins.command_names(), *OWN}
    commands = [container["command"] for pod in pods() for container in pod["containers"]]
    assert len(commands) == 5
    assert all(command[0] == "coffee" and command[1] in known for command in commands)


def test_each_variable_is_a_setting() -> None:
    told = {name: value for each in of_kind("ConfigMap").values() for name, value in each["data"].items()}
    containers = [container for pod in pods() for container in pod["containers"]]
    told |= {one["name"]: one["value"] for container in containers for one in container.get("env", [])}
    kinds = [kind for _, kind in plugins.settings_classes(OWN_SETTINGS)]
    readme = (FOLDER / "README.md").read_text()
    named = {word.split("=")[0] for word in readme.split("--from-literal=")[1:]}
    assert len(named) == 7
    assert unknown_variables(kinds, told | dict.fromkeys(named, "x")) == []


def test_migrations_are_a_job_that_gives_up() -> None:
    (job,) = of_kind("Job").values()
    assert job["spec"]["backoffLimit"] == 3
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("name", ["coffee-gateway", "coffee-modules", "coffee-data"])
def test_each_service_is_probed_drains_and_is_not_taken_away_at_once(name: str) -> None:
    spec = of_kind("Deployment")[name]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    port = container["ports"][0]["containerPort"]
    for probe in ("startup", "liveness", "readiness"):
        asked = container[f"{probe}Probe"]["httpGet"]
        assert asked["port"] == port
        assert asked["path"] == {"startup": "/health/startup", "liveness": "/health/live"}.get(probe, "/health/ready")
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = int(of_kind("ConfigMap")["coffee"]["data"]["COFFEE_GATEWAY_DRAIN_SECONDS"]) if "gateway" in name else 10
    assert pod["terminationGracePeriodSeconds"] > wait + drain + 5
    assert of_kind("Service")[name]["spec"]["ports"][0]["targetPort"] == port
    assert of_kind("PodDisruptionBudget")[name]["spec"]["selector"] == spec["selector"]
    assert spec["replicas"] > 1
