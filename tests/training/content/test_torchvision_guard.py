"""Tests of the guard that makes torchvision importable beside a CPU build of torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from training.content.torchvision_guard import guard_torchvision


def test_libraries_import_in_a_fresh_process_after_the_guard() -> None:
    program = (
        "from training.content.torchvision_guard import guard_torchvision; guard_torchvision();"
        "import torchvision, sentence_transformers; torchvision.models.resnet50; print('imported')"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.stdout.strip() == "imported", finished.stderr


def test_importing_the_guard_alone_imports_no_torchvision() -> None:
    program = "import sys, training.content.torchvision_guard; assert 'torchvision' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_guard_can_be_called_again() -> None:
    assert guard_torchvision() == guard_torchvision()


def test_guarded_operators_have_a_schema() -> None:
    guard_torchvision()
    with pytest.raises(RuntimeError, match=r"Declaration: torchvision::nms\(Tensor dets"):
        torch.ops.torchvision.nms("no tensor")
