"""Settings: defaults, what is refused, and the documentation rendered from them."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        (
            "ALLOWED_ORIGINS",
            "https://Shop.example:443/, http://localhost:5173",
            ("https://shop.example", "http://localhost:5173"),
        ),
        ("ALLOWED_ORIGINS", "http://[::1]:80", ("http://[::1]",)),
        ("ALLOWED_ORIGINS", "*", ("*",)),
        (
            "TRUSTED_HOSTS",
            "Films.example, *.films.example,10.0.0.5,[::1]",
            ("films.example", "*.films.example", "10.0.0.5", "[::1]"),
        ),
        ("ROOT_PATH", "/shop/films/", "/shop/films"),
        ("ROOT_PATH", "/", ""),
    ],
)
def test_what_browsers_and_proxies_send_is_read_as_they_write_it(variable: str, text: str, value: object) -> None:
    assert getattr(Settings.from_env({variable: text}), variable.lower()) == value


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_env({"PORT": " ", "REDIS_URL": ""}) == Settings.from_env({})


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PORT", "three", "a whole number from 0 to 65535"),
        ("GRPC_PORT", "65536", "a whole number from 0 to 65535"),
        ("MARQUEE_DEVICE", "tpu", "auto or cpu or cuda"),
        ("MARQUEE_RELEASE", "0", "a whole number from 1"),
        ("DIVERSITY", "1.5", "a number from 0 to 1"),
        ("DIVERSITY", "nan", "a number from 0 to 1"),
        ("ALLOWED_ORIGINS", "shop.example", "origins with commas"),
        ("ALLOWED_ORIGINS", "https://shop.example/page", "no path"),
        ("ALLOWED_ORIGINS", "https://a.example,,https://b.example", "origins with commas"),
        ("ALLOWED_ORIGINS", "https://me@shop.example", "origins with commas"),
        ("ALLOWED_ORIGINS", "null", "origins with commas"),
        ("TRUSTED_HOSTS", "films.example:3000", "without ports"),
        ("TRUSTED_HOSTS", "films.*", "host names or addresses"),
        ("TRUSTED_HOSTS", "https://films.example", "host names or addresses"),
        ("ROOT_PATH", "films", "a path such as /films"),
        ("ROOT_PATH", "//films", "a path such as /films"),
        ("ROOT_PATH", "/films/..", "a path such as /films"),
        ("ROOT_PATH", "/a b", "a path such as /films"),
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
    ("variable", "address", "shown"),
    [
        ("REDIS_URL", "redis://:hunter2@db:6379/0", "redis://db:6379/0"),
        ("REDIS_URL", "redis+cluster://me:hunt:er2@db:6379", "redis+cluster://db:6379"),
        ("REDIS_URL", "redis://db:6379/0?password=hunter2", "redis://db:6379/0"),
        ("REDIS_URL", "unix:///run/redis.sock?password=hunter2&db=1", "unix:///run/redis.sock"),
        ("REDIS_URL", "rediss://[::1]:6379", "rediss://[::1]:6379"),
        ("QDRANT_URL", "https://me:hunter2@host/prefix", "https://host/prefix"),
        ("LLM_URL", "http://host:8080/v1?key=hunter2", "http://host:8080/v1"),
    ],
)
def test_an_address_is_shown_without_its_secrets(variable: str, address: str, shown: str) -> None:
    settings = Settings.from_env({variable: address})
    assert getattr(settings, variable.lower()) == address
    assert shown_settings(settings)[variable.lower()] == shown
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://:hunter2"),
        ("REDIS_URL", "redis://host:hunter2"),
        ("REDIS_URL", "redis://host/hunter2"),
        ("REDIS_URL", "redis://host:0"),
        ("REDIS_URL", "redis://host:65536"),
        ("REDIS_URL", "redis://host?hunter2=1"),
        ("REDIS_URL", "redis://host?db=hunter2"),
        ("REDIS_URL", "redis://:abc:hunter2/x@127.0.0.1:6399/0"),
        ("REDIS_URL", "redis://:hunter2#x@127.0.0.1:6399/0"),
        ("REDIS_URL", "redis://:hunter2?x@127.0.0.1:6399/0"),
        ("REDIS_URL", "redis://:hunter2 x@host"),
        ("REDIS_URL", "redis://me:hunter2@[host"),
        ("REDIS_URL", "rediss+clustre://me:hunter2@db"),
        ("REDIS_URL", "me:hunter2@db:6379"),
        ("REDIS_URL", "unix://hunter2/socket"),
        ("REDIS_URL", "unix://"),
        ("QDRANT_URL", "redis://me:hunter2@db"),
        ("LLM_URL", "http://me:hunter2/x@host"),
        ("JWT_SECRET", "hunter2"),
    ],
)
def test_a_wrong_address_or_secret_is_refused_in_one_line_that_does_not_repeat_it(variable: str, value: str) -> None:
    with pytest.raises(WrongSetting, match=f"^{variable} .*: expected ") as refused:
        Settings.from_env({variable: value})
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_the_table_lists_every_setting_with_its_meaning() -> None:
    table = settings_table()
    for field in Settings.model_fields.values():
        assert f"| `{field.validation_alias}` | " in table
        assert str(field.description) in table


def test_a_secret_is_shown_as_stars() -> None:
    shown = shown_settings(Settings.from_env({"JWT_SECRET": "x" * 32, "LLM_API_KEY": "k"}))
    assert (shown["jwt_secret"], shown["llm_api_key"]) == ("***", "***")
