"""The configuration as `auto_complete_config` of a Python-backend model sees and completes it."""

from __future__ import annotations

import json
from typing import Any

_Properties = dict[str, Any]


class ModelConfig:
    """A model configuration that a model may complete, never contradict."""

    def __init__(self, model_config: str) -> None:
        """model_config: the configuration as JSON."""
        self._model_config: _Properties = json.loads(model_config)

    def as_dict(self) -> _Properties:
        """The configuration."""
        return self._model_config

    def set_max_batch_size(self, max_batch_size: int) -> None:
        """Raises ValueError when the configuration allows more."""
        configured = self._model_config["max_batch_size"]
        if configured > max_batch_size:
            raise ValueError(
                f"configuration specified max_batch_size {configured}, but in auto-complete-config function for model "
                f"'{self._name}' specified max_batch_size {max_batch_size}"
            )
        self._model_config["max_batch_size"] = max_batch_size

    def set_dynamic_batching(self) -> None:
        """Batch dynamically. Raises ValueError when another scheduler is configured."""
        for scheduler in ("sequence_batching", "ensemble_scheduling"):
            if scheduler in self._model_config:
                raise ValueError(
                    f"Configuration specified scheduling_choice as '{scheduler}', but auto-complete-config function "
                    f"for model '{self._name}' tries to set scheduling_choice as 'dynamic_batching'"
                )
        self._model_config.setdefault("dynamic_batching", {})

    def add_input(self, input: _Properties) -> None:
        """Add or complete an input: name, data_type, dims, optional. Raises ValueError when it contradicts."""
        self._add("input", input, ("name", "data_type", "dims", "optional"))

    def add_output(self, output: _Properties) -> None:
        """Add or complete an output: name, data_type, dims. Raises ValueError when it contradicts."""
        self._add("output", output, ("name", "data_type", "dims"))

    def set_model_transaction_policy(self, transaction_policy_dict: _Properties) -> None:
        """Set `decoupled`. Raises ValueError when the configuration says otherwise."""
        if any(key != "decoupled" for key in transaction_policy_dict):
            raise ValueError(
                f"model transaction property in auto-complete-config function for model '{self._name}' contains "
                "property other than 'decoupled'."
            )
        policy = self._model_config.setdefault("model_transaction_policy", {})
        if "decoupled" in transaction_policy_dict:
            wanted = transaction_policy_dict["decoupled"]
            if policy.get("decoupled", wanted) != wanted:
                raise ValueError(
                    f"trying to change decoupled property in auto-complete-config for model '{self._name}', which is "
                    f"already set to '{policy['decoupled']}'."
                )
            policy["decoupled"] = wanted

    @property
    def _name(self) -> str:
        return str(self._model_config["name"])

    def _add(self, side: str, tensor: _Properties, known: tuple[str, ...]) -> None:
        where = f"in auto-complete-config function for model '{self._name}'"
        name = tensor.get("name", "")
        if any(key not in known for key in tensor):
            *most, last = (f"'{key}'" for key in known)
            listed = f"{', '.join(most)} and {last}"
            raise ValueError(f"{side} '{name}' {where} contains property other than {listed}.")
        if "name" not in tensor:
            raise ValueError(f"{side} {where} is missing 'name' property.")
        for key in ("data_type", "dims"):
            if key not in tensor:
                raise ValueError(f"{side} '{name}' {where} is missing '{key}' property.")
        for current in self._model_config[side]:
            if current["name"] == name:
                self._check_agreement(side, current, tensor)
                current.update(tensor)
                return
        self._model_config[side].append(tensor)

    def _check_agreement(self, side: str, current: _Properties, tensor: _Properties) -> None:
        name = tensor["name"]
        if current["data_type"] not in ("TYPE_INVALID", tensor["data_type"]):
            raise ValueError(
                f"unable to load model '{self._name}', configuration expects datatype {current['data_type']} for "
                f"{side} '{name}', model provides {tensor['data_type']}"
            )
        if current["dims"] and current["dims"] != tensor["dims"]:
            raise ValueError(
                f"model '{self._name}', tensor '{name}': the model expects dims {tensor['dims']} but the model "
                f"configuration specifies dims {current['dims']}"
            )
        if current.get("optional", False) != tensor.get("optional", current.get("optional", False)):
            raise ValueError(
                f"model '{self._name}', tensor '{name}': the model expects optional {tensor['optional']} but the "
                f"model configuration specifies optional {current['optional']}"
            )
