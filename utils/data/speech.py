"""Spoken digit strings, synthetic or real, and the log-mel features a network hears them by (chapter 5.7)."""

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from utils.data.batches import pad
from utils.data.files import DataError, find

RATE = 8000  # samples per second
WINDOW, HOP, SIZE = 200, 80, 256  # samples: 25 ms, 10 ms, and the length of the Fourier transform
MELS, STACK = 32, 4  # bands per frame, frames per step of the network
FLOOR = 1e-3  # added to the energy of a band before the logarithm
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PARTS = ("train", "validation", "test", "rates")
SPEAKERS = {"validation": ("lucas",), "test": ("theo", "yweweler")}  # of the real recordings; the others train
REAL = "free_spoken_digits/recordings"


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording: samples (N,) in [-1, 1] at ``RATE``, the digits said, who says them, words per minute if known."""

    wave: np.ndarray
    digits: str
    voice: str
    pace: int | None = None

    @property
    def words(self) -> str:
        """The transcript in words, as ``"three five"``."""
        return spoken([int(digit) + 1 for digit in self.digits])


def labels(clips: Sequence[Clip]) -> Tensor:
    """Targets (N, S) of clips: digit d is label d + 1, and 0, the blank, stands behind the end of the shorter ones."""
    return pad([torch.tensor([int(digit) + 1 for digit in clip.digits]) for clip in clips])[0]


def spoken(found: Sequence[int]) -> str:
    """The words of labels, as ``"three five"``."""
    return " ".join(WORDS[label - 1] for label in found)


def read_wave(path: str | os.PathLike) -> np.ndarray:
    """The samples (N,) of an audio file with one channel at ``RATE``: WAV, FLAC, Ogg, whatever libsndfile reads.

    Raises:
        DataError: no audio, cut short, several channels, another sample rate, or nothing to hear.
    """
    import soundfile

    try:
        info = soundfile.info(path, verbose=True)
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(f"{path} cannot be read as audio ({error}); is the whole file there?") from None
    if len(wave) != info.frames or "should be" in info.extra_info:  # what libsndfile notes of a wrong length
        raise DataError(
            f"{path} is cut short: its header promises more than the {len(wave)} samples there; copy it anew"
        )
    if wave.shape[1] != 1:
        raise DataError(f"{path} has {wave.shape[1]} channels; mix them to one, e.g. `sox IN -c 1 OUT`")
    if rate != RATE:
        raise DataError(f"{path} has {rate} samples per second; resample it to {RATE}, e.g. `sox IN -r {RATE} OUT`")
    if len(wave) < WINDOW or np.ptp(wave) < 1e-3:
        raise DataError(f"{path} is silent or too short ({len(wave)} samples): there is nothing to hear")
    return wave[:, 0]


def load_spoken_digits(part: str) -> list[Clip]:
    """The book's clips of a part: ``"train"``, ``"validation"``, ``"test"``, or ``"rates"``, the test's voices hurried.

    Synthesised with espeak-ng; a voice is written ``accent+variant``, and no variant of a held-out part is in training.
    """
    if part not in PARTS:
        raise ValueError(f"unknown part {part!r}; there is {', '.join(PARTS)}")
    whole = read_wave(find(f"spoken_digits_{part}.ogg"))
    with open(find("spoken_digits.csv"), encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["part"] == part]
    cuts = [whole[int(row["start"]) : int(row["stop"])] for row in rows]
    said = [(row["digits"], f"{row['accent']}+{row['variant']}", int(row["rate"])) for row in rows]
    return [Clip(wave, *rest) for wave, rest in zip(cuts, said, strict=True)]


def load_free_spoken_digits(part: str, *, download: bool = True) -> list[Clip]:
    """Real recordings, one digit each: the Free Spoken Digit Dataset v1.0.10, whole speakers held out.

    Raises:
        DataError: it is neither here nor to be had, or a file of it is not what it should be.
    """
    if part not in PARTS[:3]:
        raise ValueError(f"unknown part {part!r}; there is {', '.join(PARTS[:3])}")
    owner = {speaker: name for name, speakers in SPEAKERS.items() for speaker in speakers}
    named = [(path, *path.stem.split("_")[:2]) for path in sorted(find(REAL, download=download).glob("*.wav"))]
    return [Clip(read_wave(path), digit, who) for path, digit, who in named if owner.get(who, "train") == part]


# ---------------------------------------------------------------- features


def mel_filters(mels: int = MELS, size: int = SIZE, rate: int = RATE) -> Tensor:
    """Triangles (mels, size // 2 + 1), equally wide on the mel scale 2595 log10(1 + f / 700), each with peak 1."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, mels + 2, dtype=torch.float64) / 2595) - 1)  # Hz
    hertz = torch.arange(size // 2 + 1, dtype=torch.float64) * rate / size
    rise, fall = (
        (hertz - edges[:-2, None]) / edges.diff()[:-1, None],
        (edges[2:, None] - hertz) / edges.diff()[1:, None],
    )
    return torch.minimum(rise, fall).clamp(min=0)


def log_mel(wave: np.ndarray | Tensor) -> Tensor:
    """Log energies (frames, MELS) of a wave (N,): one frame of 25 ms every 10 ms; the rest of the wave is left out.

    Raises:
        ValueError: several channels, or a wave shorter than a window.
    """
    wave = torch.as_tensor(wave)
    if wave.dim() != 1 or len(wave) < WINDOW:
        raise ValueError(f"expected one channel of at least {WINDOW} samples, found shape {tuple(wave.shape)}")
    frames = wave.unfold(0, WINDOW, HOP) * torch.hann_window(WINDOW, dtype=wave.dtype)  # (frames, WINDOW)
    power = torch.fft.rfft(frames, n=SIZE).abs().square()  # (frames, SIZE // 2 + 1)
    return (power @ mel_filters().to(wave.dtype).T + FLOOR).log()


def features(wave: np.ndarray | Tensor) -> Tensor:
    """What the network reads of a wave: ``STACK`` frames side by side, (T, STACK * MELS), a step every 40 ms.

    Raises:
        ValueError: as :func:`log_mel`, or a wave too short for one step.
    """
    frames = log_mel(wave)
    if len(frames) < STACK:
        raise ValueError(f"{len(torch.as_tensor(wave))} samples are too few for one step of {STACK} frames")
    return frames[: len(frames) // STACK * STACK].reshape(-1, STACK * MELS)
