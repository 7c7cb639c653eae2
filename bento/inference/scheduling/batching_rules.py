"""How a model's requests are queued and batched, as its configuration says. The batcher is in `dynamic_batcher`."""

from __future__ import annotations

from dataclasses import dataclass, field

from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelQueuePolicy


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """Bounds of one priority level's queue."""

    max_queue_size: int = 0
    """0 = no bound."""
    default_timeout_us: int = 0
    """0 = requests may wait for ever."""
    allow_timeout_override: bool = False
    """A request may ask for a shorter timeout than the default; where there is no default, for none."""
    delay_expired: bool = False
    """True (DELAY): an expired request runs after all that are not; False (REJECT): it never runs."""


@dataclass(frozen=True, slots=True)
class BatchingRules:
    """How one model's requests are batched."""

    max_batch_size: int = 1
    """Rows of one execution. A request with more rows than this runs alone."""
    joins: bool = False
    """False: every request runs alone."""
    preferred_batch_sizes: tuple[int, ...] = ()
    max_queue_delay_us: int = 0
    """How long a batch that could still grow may wait for company, while an instance is free."""
    priority_levels: int = 0
    default_priority_level: int = 0
    default_policy: QueuePolicy = QueuePolicy()
    policies: dict[int, QueuePolicy] = field(default_factory=dict)
    """Queue policy per priority level, where it differs from the default."""

    @classmethod
    def from_config(cls, config: ModelConfig) -> BatchingRules:
        """Rules of a model whose configuration has its defaults filled in."""
        batching = config.dynamic_batching
        return cls(
            max_batch_size=max(1, config.max_batch_size),
            joins=config.HasField("dynamic_batching") and config.max_batch_size > 1,
            preferred_batch_sizes=tuple(sorted(batching.preferred_batch_size)),
            max_queue_delay_us=batching.max_queue_delay_microseconds,
            priority_levels=batching.priority_levels,
            default_priority_level=batching.default_priority_level,
            default_policy=_policy(batching.default_queue_policy),
            policies={level: _policy(policy) for level, policy in batching.priority_queue_policy.items()},
        )


def _policy(policy: ModelQueuePolicy) -> QueuePolicy:
    return QueuePolicy(
        max_queue_size=policy.max_queue_size,
        default_timeout_us=policy.default_timeout_microseconds,
        allow_timeout_override=policy.allow_timeout_override,
        delay_expired=policy.timeout_action == ModelQueuePolicy.DELAY,
    )
