"""Every setting of the service, read once from the environment.

No other module of `bento` reads environment variables. `settings_table` renders the list for the README.
"""

# ruff: noqa: RUF009 - setting() returns dataclasses.field(), which the rule cannot see
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from bento.recommender.ranking.deadlines import TIMED_SOURCES

T = TypeVar("T")

CLONE = Path(__file__).resolve().parent.parent
"""Where `bento` was unpacked: the clone, or the `src` folder of a built bento. Both hold `model_repository`."""


class WrongSetting(ValueError):
    """An environment variable holds a value that cannot be used; the service does not start."""

    def __init__(self, variable: str, value: str, expected: str) -> None:
        super().__init__(f"{variable}={value!r}: expected {expected}")
        self.variable = variable


@dataclass(frozen=True, slots=True)
class Kind:
    """How the text of a variable becomes a value. `read` raises ValueError on anything but `expected`."""

    read: Callable[[str], Any]
    expected: str
    shown: Callable[[str], str] = str
    """The text as it may be repeated in errors, logs and `/config`."""


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`, both included."""

    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return Kind(read, f"a whole number from {low} to {high}")


def decimal(low: float, high: float) -> Kind:
    """A number from `low` to `high`, both included."""

    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return Kind(read, f"a number from {low:g} to {high:g}")


def one_of(*words: str) -> Kind:
    """One of a few words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return Kind(read, " or ".join(words))


def url(*schemes: str) -> Kind:
    """An address that begins with one of the schemes."""

    def read(text: str) -> str:
        if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(text)
        return text

    return Kind(read, " or ".join(f"{scheme}://..." for scheme in schemes), without_password)


def without_password(address: str) -> str:
    """An address as it may be shown, whether it is well-formed or not."""
    return re.sub(r"^([a-z+]*(?:://)?[^/@:]*):.*@", r"\1:***@", address)


def secret(low: int) -> Kind:
    """Text of at least `low` characters that nobody is shown."""

    def read(text: str) -> str:
        if len(text) < low:
            raise ValueError(text)
        return text

    return Kind(read, f"at least {low} characters", lambda text: text and "***")


def milliseconds_of(*names: str) -> Kind:
    """Milliseconds by name, `sequence=200,ease=50`; not every name needs any."""

    def read(text: str) -> dict[str, int]:
        limits: dict[str, int] = {}
        for part in text.split(","):
            name, _, value = (word.strip() for word in part.partition("="))
            if name not in names or name in limits or not 1 <= int(value) <= 60_000:
                raise ValueError(text)
            limits[name] = int(value)
        return limits

    return Kind(read, f"name=1..60000 with commas, each name once, of {', '.join(names)}")


FOLDER = Kind(lambda text: Path(text).expanduser().absolute(), "a folder")
FILE = Kind(lambda text: Path(text).expanduser().absolute(), "a file")
TEXT = Kind(str, "text")


def setting(variable: str, kind: Kind, default: T, doc: str, shown: str | None = None) -> T:
    """One field of `Settings`. `shown` replaces the default in the documentation."""
    return cast(T, field(default=default, metadata={"variable": variable, "kind": kind, "doc": doc, "shown": shown}))


@dataclass(frozen=True, slots=True)
class Settings:
    """What one instance runs with. Empty variables count as unset."""

    host: str = setting("MARQUEE_HOST", TEXT, "127.0.0.1", "Address that HTTP and gRPC listen on; 0.0.0.0 = everybody.")
    port: int = setting("PORT", whole(0, 65_535), 3000, "HTTP port: recommendations, `/v2`, metrics, the page.")
    grpc_port: int = setting(
        "GRPC_PORT", whole(0, 65_535), 8001, "gRPC port of the inference protocol; 0 = any free port."
    )
    model_repository: Path = setting(
        "MODEL_REPOSITORY", FOLDER, CLONE / "model_repository", "Folder of the models.", "`model_repository`"
    )
    release: int | None = setting(
        "MARQUEE_RELEASE", whole(1, 2**31 - 1), None, "Release to serve.", "`current` of `release.json`"
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "MARQUEE_DEVICE", one_of("auto", "cpu", "cuda"), "auto", "Where models run; `auto` = CUDA where present."
    )
    home: Path = setting(
        "MARQUEE_HOME", FOLDER, Path(".marquee"), "Folder for data, checkpoints and the embedded Redis.", "`.marquee`"
    )
    index: str = setting(
        "INDEX",
        one_of("flat", "ivf", "hnsw", "ivfpq", "qdrant"),
        "flat",
        "Where films are searched: `qdrant`, or the release's own index, built as flat, ivf, hnsw or ivfpq.",
    )
    qdrant_url: str | None = setting(
        "QDRANT_URL",
        url("http", "https"),
        None,
        "Qdrant server for `INDEX=qdrant`.",
        "an embedded store in `MARQUEE_HOME`",
    )
    redis_url: str | None = setting(
        "REDIS_URL",
        url("redis", "rediss", "unix", "redis+cluster", "rediss+cluster"),
        None,
        "Redis or Valkey to use, e.g. `redis://host:6379/0`, `redis+cluster://host:6379`.",
        "an embedded Redis in `MARQUEE_HOME`",
    )
    redis_timeout_ms: int = setting(
        "REDIS_TIMEOUT_MS", whole(1, 60_000), 250, "Milliseconds before Redis counts as hung and is left out."
    )
    redis_retry_ms: int = setting(
        "REDIS_RETRY_MS",
        whole(10, 600_000),
        1_000,
        "Milliseconds a failed Redis is left alone before it is tried again.",
    )
    auth: Literal["off", "on"] = setting(
        "MARQUEE_AUTH", one_of("off", "on"), "off", "`on` = every route but the page asks who is calling."
    )
    jwt_secret: str | None = setting(
        "JWT_SECRET",
        secret(32),
        None,
        "What tokens are signed with; the same on every node.",
        "made once, in `MARQUEE_HOME/jwt_secret`",
    )
    jwt_ttl_s: int = setting("JWT_TTL_S", whole(60, 2_592_000), 3_600, "Seconds that a token opens doors.")
    rate_limit_per_minute: int = setting(
        "RATE_LIMIT_PER_MINUTE",
        whole(0, 60_000_000),
        6_000,
        "Requests a minute of each caller where authentication is on; 0 = any number.",
    )
    cache_ttl_s: int = setting(
        "CACHE_TTL_S", whole(0, 604_800), 300, "Seconds an answer may be served again; 0 turns the response cache off."
    )
    diversity: float = setting(
        "DIVERSITY", decimal(0, 1), 0.0, "Diversity of lists whose request says none: 0 = by score alone (MMR)."
    )
    freshness: float = setting(
        "FRESHNESS", decimal(0, 1), 0.0, "What recent films gain in lists whose request says nothing of it."
    )
    experiments: Path | None = setting(
        "EXPERIMENTS", FILE, None, "TOML or JSON file of the experiments to run: docs/operations.md.", "none"
    )
    impression_days: int = setting(
        "IMPRESSION_DAYS", whole(0, 365), 7, "Days for which events may quote a served list; 0 = lists are not noted."
    )
    alert_drift_psi: float = setting(
        "ALERT_DRIFT_PSI", decimal(0.01, 10), 0.25, "Drift from which `/monitor` raises an alert."
    )
    alert_degraded_ratio: float = setting(
        "ALERT_DEGRADED_RATIO", decimal(0.0001, 1), 0.05, "Share of answers without a part from which it does."
    )
    alert_p99_ms: int = setting(
        "ALERT_P99_MS", whole(0, 600_000), 0, "p99 of the whole walk in milliseconds from which it does; 0 = never."
    )
    cache_stale_s: int = setting(
        "CACHE_STALE_S",
        whole(0, 86_400),
        30,
        "Seconds beyond `CACHE_TTL_S` for which an answer is still served while it is computed anew.",
    )
    encoder_timeout_ms: int = setting(
        "ENCODER_TIMEOUT_MS", whole(1, 60_000), 500, "Milliseconds a source may take before it is left out."
    )
    source_timeouts_ms: Mapping[str, int] | None = setting(
        "SOURCE_TIMEOUTS_MS",
        milliseconds_of(*TIMED_SOURCES),
        None,
        f"The same for single sources, e.g. `sequence=200,ease=50`: {', '.join(TIMED_SOURCES)}.",
        "`ENCODER_TIMEOUT_MS` for each",
    )
    retrieval_timeout_ms: int = setting(
        "RETRIEVAL_TIMEOUT_MS", whole(1, 60_000), 1_000, "Milliseconds fusion and retrieval may take together."
    )
    request_timeout_ms: int = setting(
        "REQUEST_TIMEOUT_MS",
        whole(1, 600_000),
        2_000,
        "Milliseconds a recommendation may take in all: sources end by half of it, retrieval by its end.",
    )
    llm_url: str | None = setting(
        "LLM_URL",
        url("http", "https"),
        None,
        "OpenAI-compatible server that words explanations, e.g. `http://127.0.0.1:8080/v1`.",
        "none: plain explanations",
    )
    llm_model: str = setting("LLM_MODEL", TEXT, "default", "Model that it is asked for.")
    llm_api_key: str = setting("LLM_API_KEY", secret(1), "", "Key for it, where it wants one; shown nowhere.", "none")
    llm_timeout_ms: int = setting(
        "LLM_TIMEOUT_MS", whole(1, 60_000), 1_500, "Milliseconds it may take before the plain explanation is given."
    )
    max_body_bytes: int = setting(
        "MAX_BODY_BYTES", whole(1_024, 2**30), 2**20, "Largest request body of the recommender's own routes, in bytes."
    )
    batch_max_body_bytes: int = setting(
        "BATCH_MAX_BODY_BYTES", whole(1_024, 2**30), 16 * 2**20, "Largest request body under `/batch`, in bytes."
    )
    v2_max_body_bytes: int = setting(
        "V2_MAX_BODY_BYTES", whole(1_024, 2**32), 64 * 2**20, "Largest request body under `/v2`, in bytes."
    )

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Settings:
        """Read every variable.

        Raises: WrongSetting, which names the variable, its value and what was expected.
        """
        values: dict[str, Any] = {"home": Path(".marquee").absolute()}
        for item in fields(cls):
            variable, kind = item.metadata["variable"], item.metadata["kind"]
            text = environment.get(variable, "").strip()
            if not text:
                continue
            try:
                values[item.name] = kind.read(text)
            except ValueError:
                raise WrongSetting(variable, kind.shown(text), kind.expected) from None
        return cls(**values)


def shown_settings(settings: Settings) -> dict[str, Any]:
    """Settings by field name as they may be shown: paths as text, secrets as stars, addresses without passwords."""
    shown: dict[str, Any] = {}
    for item in fields(Settings):
        value = getattr(settings, item.name)
        if isinstance(value, Path):
            value = str(value)
        shown[item.name] = item.metadata["kind"].shown(value) if isinstance(value, str) else value
    return shown


def settings_table() -> str:
    """The settings as a Markdown table: variable, default, meaning."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for item in fields(Settings):
        shown = item.metadata["shown"] or f"`{item.default}`"
        rows.append(f"| `{item.metadata['variable']}` | {shown} | {item.metadata['doc']} |")
    return "\n".join(rows) + "\n"
