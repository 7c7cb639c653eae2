"""The genre world as a model repository that the real inference server loads: the committed configurations, each
with a Python-backend model that computes what `genre_world.GenreModels` computes."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from tests.recommender import genre_world

ROOT = Path(__file__).resolve().parents[2]
MODELS = (*genre_world.ENCODERS, "retrieval")

MODEL_PY = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
import triton_python_backend_utils as pb_utils
from tests.recommender.genre_world import GenreModels


class TritonPythonModel:
    def initialize(self, args):
        self.models, self.name = GenreModels(), args["model_name"]

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        inputs = {{tensor.name(): tensor.as_numpy() for tensor in request.inputs()}}
        rows = len(next(iter(inputs.values())))
        singles = [{{name: values[row:row + 1] for name, values in inputs.items()}} for row in range(rows)]
        answers = [self.models.compute(self.name, single) for single in singles]
        outputs = {{name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}}
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, values) for name, values in outputs.items()])
"""


def write_repository(repository: Path, model_py: dict[str, str] | None = None) -> None:
    """Write release 1 of the genre world with models that the inference server can load.

    `model_py` replaces the code of some models.
    """
    for model in MODELS:
        (repository / model / "1").mkdir(parents=True)
        (repository / model / "1" / "model.py").write_text((model_py or {}).get(model, MODEL_PY))
        committed = (ROOT / "model_repository" / model / "config.pbtxt").read_text()
        config = text_format.Parse(committed, model_config_pb2.ModelConfig())
        config.backend, config.platform = "python", ""
        config.ClearField("model_warmup")
        config.ClearField("ensemble_scheduling")
        (repository / model / "config.pbtxt").write_text(text_format.MessageToString(config))
    genre_world.write_release(repository, onnx_files=False)
