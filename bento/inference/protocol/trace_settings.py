"""The trace extension's settings, as a tritonserver without a trace file has them.

Rates and counts can be set and read back. Tracing itself stays off: it needs a file, and a file can only be named when
a server starts; Triton answers the wish to switch it on the same way. Per-request times come with Server-Timing.
"""

from __future__ import annotations

from bento.inference.core.errors import InvalidRequest, Unsupported
from bento.inference.protocol.json_fields import whole_number

_DEFAULTS = {"trace_rate": 1000, "trace_count": -1, "log_frequency": 0}
_LEAST = {"trace_rate": 0, "trace_count": -1, "log_frequency": 0}
_LARGEST = {"trace_rate": 2**32 - 1, "trace_count": 2**31 - 1, "log_frequency": 2**32 - 1}


class TraceSettings:
    """Global settings, and those of models that differ from them."""

    def __init__(self) -> None:
        self._global = dict(_DEFAULTS)
        self._of_model: dict[str, dict[str, int]] = {}

    def update(self, model: str, changes: dict[str, list[str] | None]) -> None:
        """Set what `changes` names, for one model or (model "") globally; None or [] goes back to the default.

        Raises: InvalidRequest; Unsupported for the trace file.
        """
        if "trace_file" in changes:
            raise Unsupported("trace file location can not be updated through network protocol")
        levels = changes.get("trace_level") or []
        if "OFF" in levels and len(levels) > 1:
            raise InvalidRequest("Expect only one trace level 'OFF' is specified")
        numbers = {name: _number(name, changes[name]) for name in _DEFAULTS if name in changes}
        if {"TIMESTAMPS", "TENSORS"} & set(levels):
            raise InvalidRequest("Attempting to set invalid trace setting :trace file name is not given")
        target = self._of_model.setdefault(model, {}) if model else self._global
        for name, number in numbers.items():
            if number is not None:
                target[name] = number
            elif model:
                target.pop(name, None)
            else:
                target[name] = _DEFAULTS[name]

    def to_json(self, model: str = "") -> dict[str, str | list[str]]:
        """As the endpoints show them."""
        numbers = {**self._global, **self._of_model.get(model, {})}
        return {
            "trace_level": ["OFF"],
            **{name: str(number) for name, number in numbers.items()},
            "trace_file": "",
            "trace_mode": "triton",
        }


def _number(name: str, values: list[str] | None) -> int | None:
    if not values:
        return None
    if len(values) > 1:
        raise InvalidRequest(f"expect only 1 value for '{name}'")
    number = whole_number(values[0])
    if number is None:
        raise InvalidRequest(f"Unable to parse '{name}', got: {values[0]}")
    if name == "trace_count" and number < -1:
        raise InvalidRequest(f"Unable to parse 'trace_count'. Expecting value >= -1, got:{values[0]}")
    if not _LEAST[name] <= number <= _LARGEST[name]:
        raise InvalidRequest(
            f"Unable to parse '{name}', value is out of range [ {_LEAST[name]}, {_LARGEST[name]} ], got: {values[0]}"
        )
    return number
