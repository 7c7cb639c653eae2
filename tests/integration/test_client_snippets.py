"""The programs of docs/clients.md, run as they stand there against the whole service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
WIDTH = 384
TOKENS = 7
"""[CLS] two friends cross the desert [SEP]"""


def programs(heading: str, language: str, service: Service) -> list[str]:
    """The code blocks under a heading, with the service's own address."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)
    assert blocks, f"docs/clients.md has no {language} under {heading}"
    assert all("localhost:3000" in block for block in blocks)
    return [block.replace("localhost:3000", f"127.0.0.1:{service.port}") for block in blocks]


def output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=120).stdout


def test_curl_gets_films_and_an_embedding(service: Service) -> None:
    recommend, infer = (json.loads(output("bash", "-c", command)) for command in programs("curl", "bash", service))
    assert len(recommend["recommendations"]) == 5
    assert infer["outputs"][0]["shape"] == [1, WIDTH]


def test_the_python_program_gets_films_and_an_embedding(service: Service) -> None:
    (program,) = programs("Python", "python", service)
    *films, embedding = output(sys.executable, "-c", program).splitlines()
    assert len(films) == 5
    assert all(re.fullmatch(r"\d+ \S.*", film) for film in films)
    assert embedding == f"embedding [1, {WIDTH}]"


@pytest.mark.java
def test_the_java_program_gets_films_and_an_embedding(service: Service, tmp_path: Path) -> None:
    if shutil.which("javac") is None:
        pytest.skip("needs a Java development kit from version 11 on (javac)")
    (program,) = programs("Java", "java", service)
    (tmp_path / "Ask.java").write_text(program)
    recommend, infer = map(json.loads, output("java", str(tmp_path / "Ask.java")).splitlines())
    assert len(recommend["recommendations"]) == 5
    assert infer["outputs"][0]["shape"] == [1, WIDTH]


def test_openai_s_client_gets_an_embedding(service: Service) -> None:
    (program,) = programs("OpenAI's client", "python", service)
    assert output(sys.executable, "-c", program).split() == [str(WIDTH), str(TOKENS)]


def test_the_readme_leads_there() -> None:
    assert "(docs/clients.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
