"""The scripts in docs/pods.md, checked by ShellCheck, and its JobSet, checked by its schema."""

import os
import re
import shutil
import subprocess
import sysconfig
import textwrap
import time
from pathlib import Path

import pytest
import yaml

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "pods.md").read_text(encoding="utf-8")
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"^(?: {4,}.*\n)+", PAGE, re.MULTILINE)]
HEARTBEAT_FILE = "/tmp/heartbeat"  # in the container


def blocks(start):
    return [block for block in BLOCKS if block.startswith(start)]


@pytest.mark.parametrize("script", blocks("#!/bin/bash"), ids=lambda script: script.split("\n")[1])
def test_scripts_have_no_faults(script):
    shellcheck = shutil.which("shellcheck", path=sysconfig.get_path("scripts"))
    if shellcheck is None:
        pytest.skip("ShellCheck is not installed: pip install -e '.[test]'")
    run = subprocess.run(
        [shellcheck, "-"],
        check=False,
        input=script,
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stdout


@pytest.fixture
def jobset():
    (text,) = blocks("apiVersion: jobset")
    return yaml.safe_load(text)


def test_the_jobset_has_the_fields_of_its_schema(jobset):
    models = pytest.importorskip(
        "kubeflow_trainer_api.models",
        reason="the schema of JobSets is not installed: pip install -e '.[test]'",
    )
    (group,) = jobset["spec"]["replicatedJobs"]
    for container in group["template"]["spec"]["template"]["spec"]["containers"]:
        # Where Kubernetes has a quantity, this schema has an object without fields.
        limits = container["resources"]["limits"]
        assert all(isinstance(limits[name], int) for name in limits)
        container["resources"]["limits"] = dict.fromkeys(limits, {})
    known = models.JobsetV1alpha2JobSet.model_validate(jobset)
    # A field that the schema does not know is dropped without an error.
    assert known.model_dump(by_alias=True, exclude_unset=True) == jobset
    action = models.JobsetV1alpha2FailurePolicyRule.model_fields["action"]
    (rule,) = jobset["spec"]["failurePolicy"]["rules"]
    assert rule["action"] in re.findall(r"\w+", action.description)


def test_the_jobset_restarts_everything_but_errors_of_the_command(jobset):
    (group,) = jobset["spec"]["replicatedJobs"]
    job = group["template"]["spec"]
    (rule,) = job["podFailurePolicy"]["rules"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [1, 79])
    assert rule["onExitCodes"]["containerName"] == container["name"]
    assert job["completions"] == job["parallelism"] and pod["restartPolicy"] == "Never"
    command = " ".join(container["args"])
    address = f"{jobset['metadata']['name']}-{group['name']}-0-0.{jobset['metadata']['name']}"
    assert f"--coordinator={address}:" in command
    assert f"--process_count={job['completions']} " in command
    assert command.endswith(f" --heartbeat_file={HEARTBEAT_FILE}")
    claims = {volume["name"] for volume in pod.get("volumes", [])}
    assert {mount["name"] for mount in container.get("volumeMounts", [])} == claims


@pytest.mark.parametrize("age", [0, 300, 1200, None], ids="{} s".format)
def test_the_probe_of_the_jobset(jobset, tmp_path, age):
    (group,) = jobset["spec"]["replicatedJobs"]
    (container,) = group["template"]["spec"]["template"]["spec"]["containers"]
    file, command = tmp_path / "heartbeat", container["livenessProbe"]["exec"]["command"]
    if age is not None:
        file.touch()
        os.utime(file, (time.time() - age,) * 2)
    here = [part.replace(HEARTBEAT_FILE, str(file)) for part in command]
    assert here != command
    alive = subprocess.run(here, check=False, stderr=subprocess.DEVNULL).returncode == 0
    assert alive == (age in (0, 300))
