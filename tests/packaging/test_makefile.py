"""The Makefile's commands stop where they must."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.conftest import ROOT, free_port
from tests.loadtest.stand_in import stand_in


def test_serve_serves_nothing_else_when_the_release_cannot_be_made(tmp_path: Path) -> None:
    """`-o setup`: the environment is there, it is the one that runs this test."""
    places = [f"{name}={tmp_path / name.lower()}" for name in ("DATA", "MODEL_REPOSITORY", "MARQUEE_HOME")]
    command = ["make", "-o", "setup", "serve", *places]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode != 0
    assert str(tmp_path / "data") in "".join(ended.stderr.split())  # long lines are folded
    assert "release.json" not in ended.stdout + ended.stderr, "the service was started all the same"


def test_load_in_open_mode_takes_its_variables_to_two_workers(tmp_path: Path) -> None:
    """`-o .venv/.dev`: the environment is there, it is the one that runs this test."""
    with stand_in() as server:
        told = {
            "MODE": "open", "HOST": server.url, "RATE": "50", "SHAPE": "spike", "PEAK": "2", "DURATION": "5s",
            "MIX": "sessions", "PEOPLE": "30", "BOUNDS": "failed_ratio<=0,spike.answered_per_s>=100",
            "LOAD_WORKERS": "2", "LOAD_PORT": str(free_port()), "REPORT": str(tmp_path),
        }  # fmt: skip
        command = ["make", "-o", ".venv/.dev", "load", *(f"{name}={value}" for name, value in told.items())]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
        people = {body["user_id"] for body in server.questions}
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {person for person in people if isinstance(person, int)} <= set(range(1, 31))
    offered = [line.split(",")[:2] for line in (tmp_path / "phases.csv").read_text(encoding="utf-8").splitlines()[1:]]
    assert offered == [["all", "300"], ["before", "100"], ["spike", "100"], ["after", "100"]]
    assert {"report.html", "locust.html", "locust_stats.csv"} <= {path.name for path in tmp_path.iterdir()}


def test_an_unknown_mode_of_load_is_refused() -> None:
    ended = subprocess.run(["make", "load", "MODE=ajar"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "load-ajar" in ended.stderr
