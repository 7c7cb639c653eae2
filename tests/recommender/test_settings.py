"""Settings: defaults, what is refused, and the documentation rendered from them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from bento.settings import CLONE, Settings, WrongSetting, settings_table, shown_settings


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_env({})
    assert (settings.port, settings.grpc_port, settings.cache_ttl_s) == (3000, 8001, 300)
    assert settings.model_repository == CLONE / "model_repository"
    assert settings.home == Path.cwd() / ".marquee"
    assert settings.redis_url is None
    assert settings.release is None


def test_variables_replace_the_defaults(tmp_path: Path) -> None:
    settings = Settings.from_env({"PORT": "3100", "MARQUEE_HOME": str(tmp_path), "MARQUEE_RELEASE": "7"})
    assert (settings.port, settings.home, settings.release) == (3100, tmp_path, 7)


def test_deadlines_of_single_sources_are_named() -> None:
    settings = Settings.from_env({"SOURCE_TIMEOUTS_MS": "sequence=200, ease = 50"})
    assert settings.source_timeouts_ms == {"sequence": 200, "ease": 50}


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_env({"PORT": " ", "REDIS_URL": ""}) == Settings.from_env({})


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PORT", "three", "a whole number from 0 to 65535"),
        ("GRPC_PORT", "65536", "a whole number from 0 to 65535"),
        ("MARQUEE_DEVICE", "tpu", "auto or cpu or cuda"),
        ("REDIS_URL", "localhost:6379", "redis://"),
        ("MARQUEE_RELEASE", "0", "a whole number from 1"),
        ("DIVERSITY", "1.5", "a number from 0 to 1"),
        ("DIVERSITY", "nan", "a number from 0 to 1"),
        ("SOURCE_TIMEOUTS_MS", "sequence", "name=1..60000 with commas"),
        ("SOURCE_TIMEOUTS_MS", "sequence=0", "name=1..60000 with commas"),
        ("SOURCE_TIMEOUTS_MS", "ease=5,ease=6", "each name once"),
        ("SOURCE_TIMEOUTS_MS", "user_tower=50", "of sequence, two_tower, ials, content, ease"),
    ],
)
def test_a_wrong_value_names_the_variable_and_what_was_expected(variable: str, value: str, expected: str) -> None:
    with pytest.raises(WrongSetting, match=f"^{variable}={value!r}: expected.*{expected}"):
        Settings.from_env({variable: value})


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://:secret@db:6379/0", "redis://:***@db:6379/0"),
        ("redis+cluster://me:se/c:r@et@db:6379", "redis+cluster://me:***@db:6379"),
        ("redis://db:6379", "redis://db:6379"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert shown_settings(Settings.from_env({"REDIS_URL": address}))["redis_url"] == shown


@pytest.mark.parametrize("value", ["rediss+clustre://me:secret@db", "me:secret@db:6379", "http://me:secret@[db"])
def test_an_error_repeats_no_password(value: str) -> None:
    with pytest.raises(WrongSetting, match=r"me:\*\*\*@") as error:
        Settings.from_env({"REDIS_URL": value})
    assert "secret" not in str(error.value)


def test_the_table_lists_every_setting_with_its_meaning() -> None:
    table = settings_table()
    for item in fields(Settings):
        assert f"| `{item.metadata['variable']}` | " in table
        assert item.metadata["doc"] in table
    assert len(table.splitlines()) == len(fields(Settings)) + 2
