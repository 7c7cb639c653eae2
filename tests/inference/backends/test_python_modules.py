"""Models' modules come and go while other threads import theirs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bento.inference.backends.python_models.modules import forget_model_module, load_model_module


@pytest.fixture
def importing_elsewhere() -> Iterator[None]:
    """Another thread that puts modules into `sys.modules` and takes them out, as fast as it can."""
    enough = threading.Event()

    def come_and_go() -> None:
        while not enough.is_set():
            for number in range(100):
                sys.modules[f"marquee_elsewhere_{number}"] = ModuleType("elsewhere")
            for number in range(100):
                del sys.modules[f"marquee_elsewhere_{number}"]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=come_and_go)
    thread.start()
    yield
    enough.set()
    thread.join()
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("importing_elsewhere")
def test_model_is_forgotten_while_other_threads_import(tmp_path: Path) -> None:
    model_file = tmp_path / "model.py"
    model_file.write_text("ANSWER = 42\n")
    for _ in range(40):
        module = load_model_module(model_file, "passing")
        assert module.ANSWER == 42
        forget_model_module(module.__name__)
        assert module.__name__ not in sys.modules
