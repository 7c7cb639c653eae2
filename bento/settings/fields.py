"""Every setting: its variable, type, limits, default and meaning, by subject.

`settings_table` renders the list for the README.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from bento.settings.addresses import REDIS_FORM, WEB_FORM, redis_address, shown_address, web_address
from bento.settings.visitors import HOSTS_FORM, ORIGINS_FORM, ROOT_PATH_FORM, hosts, origins, root_path
from features.sources import TIMED_SOURCES

T = TypeVar("T")

CLONE = Path(__file__).resolve().parents[2]
"""Where `bento` was unpacked: the clone, or the `src` folder of a built bento. Both hold `model_repository`."""


class WrongSetting(ValueError):
    """An environment variable holds a value that cannot be used; the service does not start."""

    def __init__(self, variable: str, value: str | None, expected: str) -> None:
        """`value` None: it may hold a secret and is not repeated."""
        given = f"={value!r}" if value is not None else " (its value may hold a secret and is not shown)"
        super().__init__(f"{variable}{given}: expected {expected}")
        self.variable = variable


def setting(variable: str, default: T, doc: str, *, shown: str | None = None, **limits: Any) -> T:
    """One field of `Settings`.

    `shown` replaces the default in the documentation; `limits` are those of `pydantic.Field`: ge, le, min_length.
    """
    field = Field(default, validation_alias=variable, description=doc, json_schema_extra={"shown": shown}, **limits)
    return cast("T", field)


def _milliseconds_by_source(text: Any) -> Any:
    """`sequence=200,ease=50` as a mapping. Raises: ValueError."""
    if not isinstance(text, str):
        return text
    limits: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in TIMED_SOURCES or name in limits or not 1 <= int(value) <= 60_000:
            raise ValueError(name)
        limits[name] = int(value)
    return limits


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


class Expected(str):
    """What a value of this type looks like, in the words of an error. Stands among the type's annotations."""


class Secret(Expected):
    """The same of a value that is never shown."""


class Address(Secret):
    """The same of an address, of which only scheme, host, port and path are shown."""


Folder = Annotated[Path, AfterValidator(_absolute), Expected("a folder")]
File = Annotated[Path, AfterValidator(_absolute), Expected("a file")]
RedisAddress = Annotated[str, AfterValidator(redis_address), Address(REDIS_FORM)]
WebAddress = Annotated[str, AfterValidator(web_address), Address(WEB_FORM)]
Milliseconds = Annotated[
    Mapping[str, int],
    BeforeValidator(_milliseconds_by_source),
    Expected(f"name=1..60000 with commas, each name once, of {', '.join(TIMED_SOURCES)}"),
]


Origins = Annotated[tuple[str, ...], BeforeValidator(origins), Expected(ORIGINS_FORM)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(hosts), Expected(HOSTS_FORM)]
Prefix = Annotated[str, AfterValidator(root_path), Expected(ROOT_PATH_FORM)]


class Subject(BaseModel):
    """Settings of one subject, which the first line of its docstring names."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, allow_inf_nan=False, extra="forbid")


class Listening(Subject):
    """Where it listens"""

    host: str = setting("MARQUEE_HOST", "127.0.0.1", "Address that HTTP and gRPC listen on; 0.0.0.0 = everybody.")
    port: int = setting("PORT", 3000, "HTTP port: recommendations, `/v2`, metrics, the page.", ge=0, le=65_535)
    grpc_port: int = setting(
        "GRPC_PORT", 8001, "gRPC port of the inference protocol; 0 = any free port.", ge=0, le=65_535
    )
    max_body_bytes: int = setting(
        "MAX_BODY_BYTES",
        2**20,
        "Largest request body of the recommender's own routes, in bytes.",
        ge=1_024,
        le=2**30,
    )
    batch_max_body_bytes: int = setting(
        "BATCH_MAX_BODY_BYTES",
        16 * 2**20,
        "Largest request body under `/batch` and of `/v1/embeddings`, in bytes.",
        ge=1_024,
        le=2**30,
    )
    v2_max_body_bytes: int = setting(
        "V2_MAX_BODY_BYTES", 64 * 2**20, "Largest request body under `/v2`, in bytes.", ge=1_024, le=2**32
    )
    drain_s: float = setting(
        "DRAIN_S",
        3.0,
        "Seconds that requests are still taken after SIGTERM, while health is not ready and answers carry "
        "`Connection: close`.",
        ge=0,
        le=20,
    )


class Visiting(Subject):
    """Browsers and proxies"""

    allowed_origins: Origins = setting(
        "ALLOWED_ORIGINS",
        (),
        "Pages of other origins that may ask and post, with commas, e.g. `https://shop.example`; `*` = every page.",
        shown="none: the service's own page",
    )
    root_path: Prefix = setting(
        "ROOT_PATH", "", "Prefix under which a proxy offers the service, e.g. `/films`.", shown="none"
    )
    trusted_hosts: Hosts = setting(
        "TRUSTED_HOSTS",
        (),
        "Names the service answers to, with commas, e.g. `films.example`, `*.example`; `*` = every name.",
        shown="local names on a loopback address without authentication, else every name",
    )


class Serving(Subject):
    """What is served"""

    model_repository: Folder = setting(
        "MODEL_REPOSITORY", CLONE / "model_repository", "Folder of the models.", shown="`model_repository`"
    )
    release: int | None = setting(
        "MARQUEE_RELEASE", None, "Release to serve.", shown="`current` of `release.json`", ge=1, le=2**31 - 1
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "MARQUEE_DEVICE", "auto", "Where models run; `auto` = CUDA where present."
    )
    fast_path: Literal["on", "off"] = setting(
        "FAST_PATH",
        "on",
        "Shortcuts for repeated kinds of infer requests (docs/architecture.md); `off` = the ordinary way for all.",
    )
    hybrid: Literal["on", "off"] = setting(
        "HYBRID",
        "on",
        "Asks the model `hybrid` where the release has it (docs/retrieval.md); `off` = its models one by one.",
    )
    home: Folder = setting(
        "MARQUEE_HOME",
        Path(".marquee"),
        "Folder for data, checkpoints and the embedded Redis.",
        shown="`.marquee`",
        validate_default=True,
    )
    index: Literal["flat", "ivf", "hnsw", "ivfpq", "qdrant"] = setting(
        "INDEX",
        "flat",
        "Where films are searched: `qdrant`, or the release's own index, built as flat, ivf, hnsw or ivfpq.",
    )
    qdrant_url: WebAddress | None = setting(
        "QDRANT_URL", None, "Qdrant server for `INDEX=qdrant`.", shown="an embedded store in `MARQUEE_HOME`"
    )


class RedisSettings(Subject):
    """Redis"""

    redis_url: RedisAddress | None = setting(
        "REDIS_URL",
        None,
        "Redis or Valkey to use, e.g. `redis://host:6379/0`, `redis+cluster://host:6379`.",
        shown="an embedded Redis in `MARQUEE_HOME`",
    )
    redis_timeout_ms: int = setting(
        "REDIS_TIMEOUT_MS", 250, "Milliseconds before Redis counts as hung and is left out.", ge=1, le=60_000
    )
    redis_retry_ms: int = setting(
        "REDIS_RETRY_MS",
        1_000,
        "Milliseconds a failed Redis is left alone before it is tried again.",
        ge=10,
        le=600_000,
    )


class Authentication(Subject):
    """Who may ask"""

    auth: Literal["off", "on"] = setting("MARQUEE_AUTH", "off", "`on` = every route but the page asks who is calling.")
    jwt_secret: Annotated[str, Secret("at least 32 characters")] | None = setting(
        "JWT_SECRET",
        None,
        "What tokens are signed with; the same on every node.",
        shown="made once, in `MARQUEE_HOME/jwt_secret`",
        min_length=32,
    )
    jwt_ttl_s: int = setting("JWT_TTL_S", 3_600, "Seconds that a token opens doors.", ge=60, le=2_592_000)
    rate_limit_per_minute: int = setting(
        "RATE_LIMIT_PER_MINUTE",
        6_000,
        "Requests a minute of each caller where authentication is on; 0 = any number.",
        ge=0,
        le=60_000_000,
    )


class Lists(Subject):
    """What lists are like"""

    diversity: float = setting(
        "DIVERSITY", 0.0, "Diversity of lists whose request says none: 0 = by score alone (MMR).", ge=0, le=1
    )
    freshness: float = setting(
        "FRESHNESS", 0.0, "What recent films gain in lists whose request says nothing of it.", ge=0, le=1
    )
    cache_ttl_s: int = setting(
        "CACHE_TTL_S",
        300,
        "Seconds an answer may be served again; 0 turns the response cache off.",
        ge=0,
        le=604_800,
    )
    cache_stale_s: int = setting(
        "CACHE_STALE_S",
        30,
        "Seconds beyond `CACHE_TTL_S` for which an answer is still served while it is computed anew.",
        ge=0,
        le=86_400,
    )


class TimeLimits(Subject):
    """How long a part may take"""

    encoder_timeout_ms: int = setting(
        "ENCODER_TIMEOUT_MS", 500, "Milliseconds a source may take before it is left out.", ge=1, le=60_000
    )
    source_timeouts_ms: Milliseconds | None = setting(
        "SOURCE_TIMEOUTS_MS",
        None,
        f"The same for single sources, e.g. `sequence=200,ease=50`: {', '.join(TIMED_SOURCES)}.",
        shown="`ENCODER_TIMEOUT_MS` for each",
    )
    retrieval_timeout_ms: int = setting(
        "RETRIEVAL_TIMEOUT_MS", 1_000, "Milliseconds fusion and retrieval may take together.", ge=1, le=60_000
    )
    request_timeout_ms: int = setting(
        "REQUEST_TIMEOUT_MS",
        2_000,
        "Milliseconds a recommendation may take in all: sources end by half of it, retrieval by its end.",
        ge=1,
        le=600_000,
    )


class Watching(Subject):
    """Experiments and monitoring"""

    experiments: File | None = setting(
        "EXPERIMENTS", None, "TOML or JSON file of the experiments to run: docs/operations.md.", shown="none"
    )
    impression_days: int = setting(
        "IMPRESSION_DAYS", 7, "Days for which events may quote a served list; 0 = lists are not noted.", ge=0, le=365
    )
    alert_drift_psi: float = setting(
        "ALERT_DRIFT_PSI", 0.25, "Drift from which `/monitor` raises an alert.", ge=0.01, le=10
    )
    alert_degraded_ratio: float = setting(
        "ALERT_DEGRADED_RATIO", 0.05, "Share of answers without a part from which it does.", ge=0.0001, le=1
    )
    alert_p99_ms: int = setting(
        "ALERT_P99_MS",
        0,
        "p99 of the whole walk in milliseconds from which it does; 0 = never.",
        ge=0,
        le=600_000,
    )


class LanguageModelSettings(Subject):
    """Worded explanations"""

    llm_url: WebAddress | None = setting(
        "LLM_URL",
        None,
        "OpenAI-compatible server that words explanations, e.g. `http://127.0.0.1:8080/v1`.",
        shown="none: plain explanations",
    )
    llm_model: str = setting("LLM_MODEL", "default", "Model that it is asked for.")
    llm_api_key: Annotated[str, Secret("text")] = setting(
        "LLM_API_KEY", "", "Key for it, where it wants one; shown nowhere.", shown="none"
    )
    llm_timeout_ms: int = setting(
        "LLM_TIMEOUT_MS",
        1_500,
        "Milliseconds it may take before the plain explanation is given.",
        ge=1,
        le=60_000,
    )


SUBJECTS: tuple[type[Subject], ...] = (
    Listening,
    Visiting,
    Serving,
    RedisSettings,
    Authentication,
    Lists,
    TimeLimits,
    Watching,
    LanguageModelSettings,
)


class Settings(
    Listening, Visiting, Serving, RedisSettings, Authentication, Lists, TimeLimits, Watching, LanguageModelSettings
):
    """What one worker runs with. Empty variables count as unset."""

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Settings:
        """Read every variable.

        Raises: WrongSetting, which names the variable, its value and what was expected.
        """
        variables = {str(field.validation_alias): field for field in cls.model_fields.values()}
        given = {name: text for name in variables if (text := environment.get(name, "").strip())}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            variable = str(error.errors(include_input=False)[0]["loc"][0])
        field = variables[variable]
        raise WrongSetting(variable, None if _secret(field) else given[variable], _expected(field))

    def __repr_args__(self) -> Any:  # whoever prints the settings prints no secret
        return shown_settings(self).items()


def shown_settings(settings: Settings) -> dict[str, Any]:
    """Settings by field name as they may be shown: paths as text, secrets as stars, addresses without passwords."""
    return {name: _shown(getattr(settings, name), field) for name, field in Settings.model_fields.items()}


def settings_table() -> str:
    """The settings as a Markdown table: variable, default, meaning; a row in bold begins a subject."""
    rows = ["| variable | default | meaning |", "| -- | -- | -- |"]
    for subject in SUBJECTS:
        rows.append(f"| **{subject.__doc__}** |  |  |")
        for field in subject.model_fields.values():
            extra = cast("dict[str, Any]", field.json_schema_extra)
            default = extra["shown"] or f"`{field.default}`"
            rows.append(f"| `{field.validation_alias}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


def _shown(value: Any, field: FieldInfo) -> Any:
    secret = _secret(field)
    if isinstance(secret, Address):
        return value and shown_address(value)
    if secret is not None:
        return value and "***"
    return str(value) if isinstance(value, Path) else value


def _annotations(field: FieldInfo) -> tuple[Any, ...]:
    """What is said of a field's type, also inside of `... | None`."""
    return (*field.metadata, *(note for kind in get_args(field.annotation) for note in get_args(kind)))


def _secret(field: FieldInfo) -> Secret | None:
    return next((note for note in _annotations(field) if isinstance(note, Secret)), None)


def _expected(field: FieldInfo) -> str:
    """What a value of the field looks like."""
    said = next((note for note in _annotations(field) if isinstance(note, Expected)), None)
    if said is not None:
        return str(said)
    if words := [word for word in get_args(field.annotation) if isinstance(word, str)]:
        return " or ".join(words)
    low, high = (
        next((getattr(note, side) for note in field.metadata if hasattr(note, side)), None) for side in ("ge", "le")
    )
    if low is not None:
        return f"a {'' if field.annotation is float else 'whole '}number from {low} to {high}"
    return "text"
