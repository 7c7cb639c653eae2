"""A model's configuration as JSON, the way tritonserver's /config endpoint writes it."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_Json = dict[str, Any] | list[Any] | str | int | float | bool


def model_config_json(config: Message) -> dict[str, Any]:
    """The configuration with every scalar and list, set or not; messages and choices only where they are set.

    Unlike protobuf's own JSON, 64-bit integers are numbers.
    """
    fields: dict[str, Any] = {}
    for field in config.DESCRIPTOR.fields:
        if field.has_presence and not config.HasField(field.name):
            continue
        fields[field.name] = _value(field, getattr(config, field.name))
    return fields


def _value(field: FieldDescriptor, value: Any) -> _Json:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        item = field.message_type.fields_by_name["value"]
        return {str(key): _single(item, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_single(field, item) for item in value]
    return _single(field, value)


def _single(field: FieldDescriptor, value: Any) -> _Json:
    if isinstance(value, Message):
        return model_config_json(value)
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)
    plain: _Json = value
    return plain
