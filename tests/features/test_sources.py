"""The table of sources: what follows from it, and what is written down elsewhere by hand and must agree with it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from features import sources
from features.sources import SOURCES, TABLE

ROOT = Path(__file__).resolve().parents[2]


def test_dense_sources_stand_side_by_side_in_the_fused_space() -> None:
    slices = sources.source_slices()
    assert slices["sequence"] == slice(0, 64)
    assert slices["two_tower"] == slice(64, 128)
    assert slices["popularity"] == slice(sources.FUSED_WIDTH - 1, sources.FUSED_WIDTH)
    assert "ease" not in slices


def test_the_sparse_source_is_the_last_weight() -> None:
    assert SOURCES[-1] == sources.NEIGHBOUR_SOURCE == "ease"


def test_sources_of_one_model_share_a_deadline() -> None:
    assert sources.TIMED_SOURCES.count("content") == 1
    assert sources.deadlines()["content_profile"] == "content"


def test_every_model_has_one_deadline() -> None:
    named = {(source.model, source.deadline) for source in TABLE if source.model}
    assert len(named) == len(sources.deadlines())


def test_outputs_of_a_model_are_told_apart_by_source() -> None:
    assert sources.encoders()["content_profile"] == {"text_profile": "text", "poster_profile": "poster"}


def test_the_page_has_the_words_of_the_table() -> None:
    words = (ROOT / "bento" / "web" / "words.js").read_text(encoding="utf-8")
    block = words[words.index("export const SOURCES = {") : words.index("};")]
    shown = {name: (label, why) for name, label, why in re.findall(r'(\w+): \{ label: "(.*?)", why: "(.*?)" \}', block)}
    assert shown == {source.name: (source.label, source.explanation) for source in TABLE}


def test_the_glossary_names_every_source() -> None:
    glossary = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (row,) = (line for line in glossary.splitlines() if line.startswith("| source |"))
    assert ", ".join(SOURCES) in row


def test_the_table_stands_alone() -> None:
    program = (
        f"import sys; before = set(sys.modules); exec(open({sources.__file__!r}).read(), {{'__name__': '__main__'}})"
    )
    program += "; assert not {'features', 'numpy'} & (set(sys.modules) - before)"
    subprocess.run([sys.executable, "-c", program], check=True)
