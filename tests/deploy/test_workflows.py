"""The workflow of CI and the checks before a commit, as far as they can be tested without them."""

import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
DEPENDABOT = ROOT / ".github" / "dependabot.yml"
PRE_COMMIT = ROOT / ".pre-commit-config.yaml"
CHECK_JSONSCHEMA = Path(sys.executable).with_name("check-jsonschema")


def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
    return found


def steps() -> list[dict[str, Any]]:
    return [step for job in jobs().values() for step in job["steps"]]


def test_the_workflow_has_the_form_of_one() -> None:
    command = [str(CHECK_JSONSCHEMA), "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_each_action_is_pinned_to_a_commit_with_its_version_beside_it() -> None:
    """A tag can be moved to other code. Dependabot changes both."""
    used = re.findall(r"uses: (.+)", WORKFLOW.read_text("utf-8"))
    pinned = r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
    assert used
    assert [name for name in used if not re.fullmatch(pinned, name)] == []
    assert len({name.partition("@")[0] for name in used}) == len(set(used))
    command = [str(CHECK_JSONSCHEMA), "--builtin-schema", "vendor.dependabot", str(DEPENDABOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_job_keeps_the_token_in_its_checkout() -> None:
    checkouts = [step["with"] for step in steps() if "/checkout@" in step.get("uses", "")]
    assert len(checkouts) == len(jobs())
    assert [one for one in checkouts if one["persist-credentials"] is not False] == []


def test_each_command_of_make_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    called = {step["run"].split()[-1] for step in steps() if "make " in step.get("run", "")}
    assert called == {"lint", "demo", "docs", "release", "audit"}
    assert called <= targets


def test_it_runs_all_tests_as_they_are_run_here() -> None:
    assert "PYTHON=python .ci/run" in [step.get("run") for step in jobs()["test"]["steps"]]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_it_tests_each_python_that_the_package_names() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = re.findall(r"Python :: (3\.\d+)$", setup["metadata"]["classifiers"], re.MULTILINE)
    matrix = jobs()["test"]["strategy"]["matrix"]
    assert matrix["python"] == named
    assert [one["experimental"] for one in matrix["include"]] == [True]


def test_no_job_may_do_more_than_read() -> None:
    assert yaml.safe_load(WORKFLOW.read_text("utf-8"))["permissions"] == {"contents": "read"}
    assert [name for name, job in jobs().items() if "permissions" in job] == []


def test_what_is_checked_before_a_commit_is_there() -> None:
    """A hook with files that match none, or a command that is not installed, would do nothing."""
    files = subprocess.check_output(["git", "-C", str(ROOT), "ls-files"], text=True).split()
    [repository] = yaml.safe_load(PRE_COMMIT.read_text("utf-8"))["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        program, *arguments = hook["entry"].split()
        assert Path(sys.executable).with_name(Path(program).name).exists(), hook["id"]
        scripts = [one for one in arguments if one.endswith(".py")]
        assert [one for one in scripts if one not in files] == []
        assert [name for name in files if re.search(hook.get("files", ""), name)]
