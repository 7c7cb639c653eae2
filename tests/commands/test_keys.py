"""`python -m bento keys` on a real Redis: what it makes opens the service that uses the same home."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bento.__main__ import app

pytestmark = pytest.mark.redis

runner = CliRunner()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path))
    monkeypatch.delenv("REDIS_URL", raising=False)


def run(*words: str) -> tuple[int, str]:
    result = runner.invoke(app, ["keys", *words])
    return result.exit_code, result.output


def test_a_key_is_made_listed_and_revoked() -> None:
    status, text = run("create", "backend", "--role", "service", "--per-minute", "50")
    assert (status, text[:3], len(text.strip())) == (0, "mq_", 3 + 12 + 1 + 43)
    key_id, secret = text.strip().split("_", 2)[1:]
    status, shown = run("list")
    assert all(word in shown for word in (key_id, "backend", "service", "50"))
    assert secret not in shown
    assert run("revoke", key_id) == (0, f"{key_id} is revoked\n")
    status, shown = run("revoke", key_id)
    assert (status, "there is no key" in shown) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("create", "x", "--role", "king"),
        ("create", "x", "--role", "user"),
        ("create", "x", "--user-id", "ann"),
        ("create", "x", "--per-minute", "-1"),
        ("create",),
    ],
)
def test_a_wrong_command_is_refused(words: tuple[str, ...]) -> None:
    assert run(*words)[0] == 2


def test_a_redis_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    status, shown = run("list")
    assert (status, shown.startswith("marquee: Redis is not available")) == (1, True)
