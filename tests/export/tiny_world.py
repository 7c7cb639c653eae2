"""A finished training of thirty films and networks of a few lines: everything an export needs, in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from torch import nn

from features.catalog import Catalog, Film
from features.posters import pixels
from features.sources import SOURCE_WIDTHS, SOURCES, encoders
from features.text import film_text, open_tokenizer, tokenize
from training.checkpoint import Checkpoint, DataFacts
from training.content.projection import Projection
from training.content.vectors import ContentVectors
from training.data.dataset import Dataset, Events
from training.fit.trainer import FittedModels
from training.models.content_profile import ContentProfile
from training.models.ease import EaseModel
from training.models.fused_query import centre, fused_query
from training.models.mlp_scorer import DotScorer, MlpScorer

N_FILMS = 30
POSTER_SIZE = 32
HISTORY = ("history", "ratings", "age_days")


class MeanTower(nn.Module):
    """The mean vector of the films of a history, doubled where they were rated."""

    input_names, output_names = HISTORY, ("user_embedding",)

    def __init__(self, seed: int, width: int = 64) -> None:
        super().__init__()
        table = torch.randn(N_FILMS + 1, width, generator=torch.Generator().manual_seed(seed))
        table[0] = 0
        self.register_buffer("table", table)

    def forward(self, history: torch.Tensor, ratings: torch.Tensor, age_days: torch.Tensor) -> tuple[torch.Tensor]:
        weight = (history > 0).float() * (1 + (ratings > 0).float()) / (1 + age_days)
        total = (self.table[history] * weight.unsqueeze(-1)).sum(dim=1)
        return (total / weight.sum(dim=1, keepdim=True).clamp(min=1),)


class TinyTextEncoder(nn.Module):
    """The mean of token vectors, of length 1."""

    input_names, output_names = ("input_ids", "attention_mask"), ("embedding",)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.randn(9, 384, generator=torch.Generator().manual_seed(5)))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor]:
        kept = attention_mask.float().unsqueeze(-1)
        mean = (self.table[input_ids] * kept).sum(dim=1) / kept.sum(dim=1)
        return (nn.functional.normalize(mean, dim=1),)


class TinyImageEncoder(nn.Module):
    """A projection of the mean colour, of length 1; any size of image will do."""

    input_names, output_names = ("pixels",), ("embedding",)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("axes", torch.randn(3, 2048, generator=torch.Generator().manual_seed(6)))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor]:
        return (nn.functional.normalize(pixels.mean(dim=(2, 3)) @ self.axes, dim=1),)


class TinyContent(ContentVectors):
    """Content vectors whose text encoder is not MiniLM."""

    text_encoder = TinyTextEncoder()  # type: ignore[assignment]


@dataclass(frozen=True)
class TinyWorld:
    trained: Checkpoint
    dataset: Dataset


def tiny_world(folder: Path, with_posters: bool = True) -> TinyWorld:
    """A training and its data; posters are written into `folder`."""
    random = np.random.default_rng(0)
    words = np.array(list("abcde"))
    catalog = Catalog(
        Film(movie_id=10 + row, title=" ".join(random.choice(words, 4)), year=1990 + row) for row in range(N_FILMS)
    )
    poster_paths = _draw_posters(folder) if with_posters else {}
    content = _content(catalog, poster_paths)
    item_vectors = {
        source: centre(random.standard_normal((N_FILMS, width)).astype(np.float32), np.ones(N_FILMS, dtype=bool))
        for source, width in SOURCE_WIDTHS.items()
    }
    item_vectors["text"] = centre(content.projected_text(), content.text_present)
    item_vectors["poster"] = centre(content.projected_poster(), content.poster_present)
    events = Events(
        user_rows=np.repeat(np.arange(4, dtype=np.int32), 3),
        item_rows=np.arange(12, dtype=np.int32),
        ratings=np.full(12, 4, dtype=np.float32),
        timestamps_s=np.arange(12, dtype=np.int64) + 1_000_000_000,
    )
    towers = {
        model: MeanTower(seed, SOURCE_WIDTHS[outputs["user_embedding"]])
        for seed, (model, outputs) in enumerate(encoders().items(), start=1)
        if "user_embedding" in outputs
    }
    modules = {
        **towers, "content_profile": _filled(ContentProfile(N_FILMS, 128, 64, 5.0, 0.0), 4),
        "ease": _filled(EaseModel(N_FILMS, 6, 20, 5.0, 0.0, 1.0), 5),
        "fusion": fused_query(item_vectors), "dot_scorer": DotScorer(), "mlp_scorer": _scorer(catalog, events),
    }  # fmt: skip
    validation = {"sources": {"hybrid": {"ndcg@10": {"mean": 0.2, "se": 0.01}}}, "reranking": {"default": "dot"}}
    trained = Checkpoint(
        facts=DataFacts("tiny", "f" * 64, True, 4, N_FILMS, len(events), None),
        options_hash="0123456789ab",
        catalog=catalog,
        models=FittedModels(
            {name: module.eval() for name, module in modules.items()},
            item_vectors,
            np.arange(N_FILMS, dtype=np.float32),
            {},
        ),
        content=content,
        fusion_weights=dict.fromkeys(SOURCES, 1 / len(SOURCES)),
        presets={"popularity": dict.fromkeys(SOURCES, 0.0) | {"popularity": 1.0}},
        metrics={"validation": validation},
    )
    report: Any = None  # what was wrong with the files is no business of an export
    dataset = Dataset("tiny", "f" * 64, True, catalog, ("7", "8", "9", "x"), events, poster_paths, report)
    return TinyWorld(trained, dataset)


def tokenizer_json() -> bytes:
    """Words a to e are tokens 3 to 7; [CLS] = 1 and [SEP] = 2 surround every text."""
    vocabulary = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "b": 4, "c": 5, "d": 6, "e": 7, "[UNK]": 8}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return tokenizer.to_str().encode()


def _content(catalog: Catalog, poster_paths: dict[int, Path]) -> TinyContent:
    ids, mask = tokenize(open_tokenizer(tokenizer_json()), [film_text(film) for film in catalog.films])
    text = TinyTextEncoder()(torch.from_numpy(ids), torch.from_numpy(mask))[0].numpy()
    poster = np.zeros((N_FILMS, 2048), dtype=np.float32)
    for row, path in poster_paths.items():
        image = torch.from_numpy(pixels(path.read_bytes(), POSTER_SIZE)[None])
        poster[row] = TinyImageEncoder()(image)[0][0].numpy()
    encoder: Any = TinyImageEncoder() if poster_paths else None
    return TinyContent(
        text=text,
        text_present=np.ones(N_FILMS, dtype=bool),
        poster=poster,
        poster_present=np.isin(np.arange(N_FILMS), list(poster_paths)),
        text_pca=Projection(np.zeros(384, np.float32), np.eye(384, 128, dtype=np.float32)),
        poster_pca=Projection(np.zeros(2048, np.float32), np.eye(2048, 64, dtype=np.float32)),
        tokenizer_json=tokenizer_json(),
        text_encoder_folder=None,
        image_encoder=encoder,
        poster_size=POSTER_SIZE if poster_paths else 0,
        poster_weights="none of a network: mean colours" if poster_paths else "none: no posters",
    )


def _draw_posters(folder: Path) -> dict[int, Path]:
    """Plain colours for the first twenty films."""
    paths = {}
    for row in range(20):
        paths[row] = folder / f"{row}.png"
        Image.new("RGB", (40, 60), (12 * row, 255 - 12 * row, 40)).save(paths[row])
    return paths


def _scorer(catalog: Catalog, events: Events) -> MlpScorer:
    """Weights drawn by chance, so that its order is not the blend's."""
    scorer = MlpScorer(N_FILMS, 8)
    scorer.know_films(catalog, events)
    for values in scorer.parameters():
        nn.init.normal_(values, generator=torch.Generator().manual_seed(7))
    return scorer


def _filled(module: nn.Module, seed: int) -> nn.Module:
    """Random tables instead of fitted ones; row 0, the padding's, stays zero."""
    random = np.random.default_rng(seed)
    tables: dict[str, npt.NDArray[Any]] = {}
    for name, buffer in module.named_buffers():
        shape = (N_FILMS, *buffer.shape[1:])
        if name.endswith("_present"):
            tables[name] = np.ones(shape)
        elif buffer.dtype == torch.int32:
            tables[name] = random.integers(0, N_FILMS, shape)
        else:
            tables[name] = np.abs(random.standard_normal(shape))
        buffer[1:] = torch.from_numpy(tables[name]).to(buffer.dtype)
    return module
