"""The poster encoder: ResNet50 without its classifier, and its sources of weights.

    DataError
    └── PosterWeightsError
        ├── WeightsNotFound      no such file
        ├── WeightsUnreachable   the network does not provide ImageNet's
        └── WeightsRefused       a file that holds no weights of a ResNet50

Training one from scratch is in `training.content.poster_training`.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from features.posters import UnreadableImage, pixels
from training.content.batches import run_batches
from training.content.torchvision_guard import guard_torchvision
from training.data.errors import DataError

POSTER_WIDTH = 2048
"""Width of a poster embedding: ResNet50's pooled features."""

IMAGENET_SIZE = 224
"""Pixels a side that ImageNet weights were trained on."""

IMAGENET_FILES = {"IMAGENET1K_V1": "resnet50-0676ba61.pth", "IMAGENET1K_V2": "resnet50-11ad3fa6.pth"}
"""torchvision's weights by their name in torch hub's cache; the first that is there is taken."""

_BATCH_SIZE = 32


class PosterWeightsError(DataError):
    """The requested weights cannot be used."""


class WeightsNotFound(PosterWeightsError):
    def __init__(self, path: Path) -> None:
        super().__init__(
            f"poster weights {path} do not exist; give a ResNet50 state dict (.pth or .safetensors), "
            "or leave the setting out to train on the posters at hand"
        )


class WeightsUnreachable(PosterWeightsError):
    def __init__(self, url: str, reason: object) -> None:
        super().__init__(
            f"ImageNet weights could not be fetched from {url} ({reason}); give them as a file, "
            "or leave the setting out to train on the posters at hand"
        )


class WeightsRefused(PosterWeightsError):
    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(f"{path} holds no weights of a torchvision ResNet50: {reason}")


class PosterEncoder(nn.Module):
    """pixels (B, 3, S, S) float32 -> embedding (B, 2048), pooled ResNet50 features of length 1.

    Any S >= 32 runs; vectors can be compared only at the S that the weights were trained on. Features are positive
    (they end in a ReLU), so cosines lie in 0..1.
    """

    input_names: ClassVar[tuple[str, ...]] = ("pixels",)
    output_names: ClassVar[tuple[str, ...]] = ("embedding",)

    def __init__(self) -> None:
        super().__init__()
        guard_torchvision()
        from torchvision.models import resnet50

        # Residual blocks begin as identities, which suits short trainings; weights from a file replace them anyway.
        self.backbone = resnet50(weights=None, zero_init_residual=True)
        self.backbone.fc = nn.Identity()

    def features(self, pixels: Tensor) -> Tensor:
        """Pooled features before normalisation, (B, 2048)."""
        pooled: Tensor = self.backbone(pixels)
        return pooled

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        return (nn.functional.normalize(self.features(pixels), dim=1),)


def cached_imagenet_weights() -> Path | None:
    """torchvision's ImageNet weights, where an earlier download left them in torch hub's cache; else None."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return next((folder / name for name in IMAGENET_FILES.values() if (folder / name).is_file()), None)


def download_imagenet_weights() -> Path:
    """torchvision's ImageNet weights (98 MB, progress shown, checksum tested), fetched into torch hub's cache.

    Raises: WeightsUnreachable.
    """
    if (cached := cached_imagenet_weights()) is not None:
        return cached
    guard_torchvision()
    from torchvision.models import ResNet50_Weights

    weights = ResNet50_Weights.IMAGENET1K_V1
    try:
        weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:  # torch hub reports a wrong checksum as RuntimeError
        raise WeightsUnreachable(weights.url, error) from error
    return Path(torch.hub.get_dir()) / "checkpoints" / IMAGENET_FILES["IMAGENET1K_V1"]


def load_poster_encoder(weights: Path) -> PosterEncoder:
    """An encoder with the weights of a file: torchvision's ResNet50 state dict, with or without its classifier.

    weights: `.safetensors`, or what `torch.save` wrote (read without executing anything in it).
    Raises: WeightsNotFound, WeightsRefused (not such a file, another network, wrong shapes, values not finite).
    """
    state = {name.removeprefix("backbone."): tensor for name, tensor in _read_state(weights).items()}
    with torch.device("meta"):  # shapes alone: 23 million random numbers would only be overwritten
        encoder = PosterEncoder()
    wanted = encoder.backbone.state_dict()
    # Batch counters of batch normalisation: torchvision's oldest files lack them, and inference ignores them.
    counters = {name: torch.tensor(0) for name in wanted if name.endswith("num_batches_tracked")}
    given = counters | {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    if missing := sorted(wanted.keys() - given.keys()):
        raise WeightsRefused(weights, f"{len(missing)} tensors are missing, the first is {missing[0]!r}")
    if surplus := sorted(given.keys() - wanted.keys()):
        raise WeightsRefused(weights, f"{len(surplus)} tensors are of another network, the first is {surplus[0]!r}")
    for name, tensor in given.items():
        if tensor.shape != wanted[name].shape:
            raise WeightsRefused(weights, f"{name} has shape {tuple(tensor.shape)}, not {tuple(wanted[name].shape)}")
        if not torch.isfinite(tensor).all():
            raise WeightsRefused(weights, f"{name} holds values that are not finite")
    encoder.backbone.load_state_dict({name: given[name].to(wanted[name].dtype) for name in wanted}, assign=True)
    return encoder.eval()


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsNotFound(path)
    state: object
    if path.suffix == ".safetensors":
        try:
            state = load_file(path)
        except SafetensorError as error:
            raise WeightsRefused(path, error) from error
    else:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise WeightsRefused(path, (str(error) or type(error).__name__).splitlines()[0]) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]  # as training programs wrap it
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsRefused(path, "it is no dictionary of tensors")
    return {str(name): value for name, value in state.items()}


def encode_posters(
    encoder: nn.Module, posters: Sequence[Path], size: int, advance: Callable[[int], None] = lambda done: None
) -> npt.NDArray[np.float32]:
    """Embeddings (n, 2048) of poster files; a file that is no readable image has a vector of zeros.

    size: S, the size that the weights were trained on. advance: called with the number of posters done since its last
    call.
    """
    embeddings = np.zeros((len(posters), POSTER_WIDTH), dtype=np.float32)
    device = next(encoder.parameters()).device

    def encode_batch(start: int) -> int:
        batch = posters[start : start + _BATCH_SIZE]
        images = {
            start + offset: image for offset, path in enumerate(batch) if (image := read_pixels(path, size)) is not None
        }
        if images:
            with torch.inference_mode():
                (embedding,) = encoder(torch.from_numpy(np.stack(list(images.values()))).to(device))
            embeddings[list(images)] = embedding.cpu().numpy()
        return len(batch)

    for done in run_batches(encode_batch, range(0, len(posters), _BATCH_SIZE), device):
        advance(done)
    return embeddings


def read_pixels(path: Path, size: int) -> npt.NDArray[np.float32] | None:
    """A poster file's pixels (3, S, S), or None when it is no readable image."""
    try:
        return pixels(path.read_bytes(), size)
    except UnreadableImage:
        return None
