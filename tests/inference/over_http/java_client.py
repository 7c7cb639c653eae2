"""Java's own HTTP client, as a program that posts bodies."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("PostBodies.java")


def posted(url: str, *bodies: object) -> list[tuple[int, Any]]:
    """Status and JSON of the answers to each body, twice: sent with its length, and in chunks. Skips without a JDK."""
    if shutil.which("javac") is None:
        pytest.skip("needs a Java development kit from version 11 on (javac)")
    command = ["java", "-XX:TieredStopAtLevel=1", str(PROGRAM), url, *map(json.dumps, bodies)]
    lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=120).stdout.splitlines()
    return [(int(line[:3]), json.loads(line[4:])) for line in lines]
