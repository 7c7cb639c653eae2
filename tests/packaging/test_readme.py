"""The README says what is true: its settings are the service's, its commands exist, its calls are answered."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from bento.settings import settings_table
from tests.conftest import ROOT, Service

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_every_setting_is_listed() -> None:
    listed = README.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    assert listed.strip() == settings_table().strip()


def test_every_make_command_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    named = {target for block in blocks("bash") for target in re.findall(r"\bmake ([a-z-]+)", block)}
    assert {"serve", "test"} <= named
    assert named - targets == set()


def test_make_alone_lists_every_command() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "serve", "test", "test-all", "load", "bench"):
        assert f"make {target} " in shown


@pytest.mark.parametrize("module", ["training", "export", "bento", "bento.inference"])
def test_every_command_line_explains_itself(module: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Usage" in shown.stdout


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_the_curl_command_is_answered(service: Service) -> None:
    command = next(block for block in blocks("bash") if block.startswith("curl"))
    command = command.replace("localhost:3000", f"127.0.0.1:{service.port}")
    answer = json.loads(subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout)
    assert len(answer["recommendations"]) == 5


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_the_grpc_call_is_answered(service: Service) -> None:
    script = blocks("python")[0].replace("127.0.0.1:8001", f"127.0.0.1:{service.grpc_port}")
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "(1, 384)"
