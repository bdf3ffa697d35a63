"""Rebuild the spoken digit strings: ``spoken_digits.csv`` and one Ogg Vorbis file per part.

    python datasets/build_spoken_digits.py [FOLDER]

Needs the program espeak-ng (1.51 here; ``apt-get install espeak-ng``). A voice is an accent of English and a variant
of espeak-ng, which gives it another vocal tract, another pitch, another breath: the plain male and female ones, and
three more women, so that there are eight of each. Lots decide which variants are for validation and test; these occur
in no other part, so their voices are strangers. The part ``rates`` has the test's voices at rates outside the range of
the others. A string of three digits or more stands in one part only, but for ``rates``. All clips of a part lie one
after the other in one file; the index says which samples are whose.
"""

import csv
import io
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

RATE = 8000  # samples per second
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Great Britain is "en": under its other name, "en-gb", espeak-ng 1.51 does not apply the variant
ACCENTS = ("en", "en-us", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029")
MEN = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")
WOMEN = ("f1", "f2", "f3", "f4", "f5", "Andrea", "belinda", "linda")
CLIPS = {"train": 20, "validation": 12, "test": 18, "rates": 10}  # per voice
UNSEEN_RATES = (80, 100, 250, 280, 310)  # words per minute; each twice in the part "rates"
COLUMNS = ("part", "start", "stop", "digits", "accent", "variant", "rate", "pitch")


def plan() -> list[dict]:
    """What is said, by which voice and how, in the order of the index; ``start`` and ``stop`` are still missing.

    Drawn by ``random()``, the only method whose numbers Python promises never to change.
    """
    rng = random.Random(57)
    lots = [sorted(names, key=lambda name: rng.random()) for names in (MEN, WOMEN)]
    variants = {"train": slice(3, None), "validation": slice(0, 1), "test": slice(1, 3), "rates": slice(1, 3)}
    owner: dict[str, str] = {}  # of every string of three digits or more: its part
    rows = []
    for part, share in variants.items():
        voices = [(accent, variant) for names in lots for variant in names[share] for accent in ACCENTS]
        for accent, variant in voices:
            for i in range(CLIPS[part]):
                length = 1 + i % 5 if part != "rates" else 2 + i % 3
                while True:
                    digits = "".join(str(int(rng.random() * 10)) for _ in range(length))
                    if length < 3 or part == "rates" or owner.setdefault(digits, part) == part:
                        break
                rate = UNSEEN_RATES[i % 5] if part == "rates" else 120 + int(rng.random() * 101)
                pitch = 20 + int(rng.random() * 61)
                row = {"part": part, "digits": digits, "accent": accent, "variant": variant}
                rows.append(row | {"rate": rate, "pitch": pitch})
    return rows


def say(row: dict) -> np.ndarray:
    """One clip: what espeak-ng says, at ``RATE``, without the silence around it but for a tenth of a second."""
    words = " ".join(WORDS[int(digit)] for digit in row["digits"])
    voice = ["-v", f"{row['accent']}+{row['variant']}", "-s", str(row["rate"]), "-p", str(row["pitch"])]
    done = subprocess.run(["espeak-ng", *voice, "--stdout", words], capture_output=True, check=True)
    header = done.stdout.index(b"data") + 8  # written to a pipe, the header does not know the length
    wave = np.frombuffer(done.stdout[header:], dtype="<i2").astype(np.float64) / 32768
    wave = resample_poly(wave, 160, 441)  # from 22,050 samples per second
    loud = np.flatnonzero(np.abs(wave) > 0.01 * np.abs(wave).max())
    return wave[max(loud[0] - RATE // 10, 0) : loud[-1] + RATE // 10]


def build(folder: Path) -> None:
    """Write the index and the audio files."""
    rows, at = plan(), 0
    for part in CLIPS:
        waves, at = [], 0
        for row in rows:
            if row["part"] == part:
                wave = say(row)
                row |= {"start": at, "stop": at + len(wave)}
                at += len(wave)
                waves.append(wave)
        path = folder / f"spoken_digits_{part}.ogg"
        with soundfile.SoundFile(path, "w", RATE, 1, format="OGG", subtype="VORBIS", compression_level=0.9) as out:
            whole = np.concatenate(waves)
            for i in range(0, len(whole), RATE):  # in pieces: libsndfile overflows its stack on a long one
                out.write(whole[i : i + RATE])
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    (folder / "spoken_digits.csv").write_text(text.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    build(target)
    for path in sorted(target.glob("spoken_digits*.*")):
        print(f"{path.name}: {path.stat().st_size} bytes")
