"""Spoken digits: no voice in two parts, clips cut where they belong, features against scipy, files that are no good."""

import csv
import itertools
import shutil
import wave as wave_module
from collections import defaultdict

import numpy as np
import pytest
import soundfile
import torch
from scipy import signal
from scripts import load_script

from utils import train
from utils.data import files, speech
from utils.data.files import DataError
from utils.tasks import speech as tasks

TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)


@pytest.fixture(scope="module")
def parts():
    return {part: speech.load_spoken_digits(part) for part in speech.PARTS}


@pytest.fixture(scope="module")
def rows():
    with open(files.find("spoken_digits.csv"), encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def script():
    return load_script("datasets/build_spoken_digits.py")


# ---------------------------------------------------------------- the data


def test_index_is_what_its_script_plans(rows, script):
    planned = [{name: str(value) for name, value in row.items()} for row in script.plan()]
    assert [{name: row[name] for name in planned[0]} for row in rows] == planned


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_clips_are_what_espeak_says(rows, script, parts):
    for i in (0, 500, 1399):
        again, kept = script.say(rows[i]), parts["train"][i].wave
        assert abs(len(again) - len(kept)) < 0.1 * len(kept)  # other releases speak a little differently
        if len(again) == len(kept):
            assert np.corrcoef(again, kept)[0, 1] > 0.8  # Vorbis loses a little


def test_parts_hold_what_the_chapter_says(parts):
    assert {part: len(clips) for part, clips in parts.items()} == {
        "train": 1400, "validation": 168, "test": 504, "rates": 280,
    }  # fmt: skip
    voices = {part: {clip.voice for clip in clips} for part, clips in parts.items()}
    assert {part: len(names) for part, names in voices.items()} == {
        "train": 70, "validation": 14, "test": 28, "rates": 28,
    }  # fmt: skip
    assert voices["rates"] == voices["test"]
    for part in ("train", "validation", "test"):
        assert all(120 <= clip.pace <= 220 and 1 <= len(clip.digits) <= 5 for clip in parts[part])
    assert all(not 120 <= clip.pace <= 220 for clip in parts["rates"])


def test_no_variant_and_no_longer_string_is_in_two_parts(parts):
    for what in (lambda clip: clip.voice.split("+")[1], lambda clip: clip.digits if len(clip.digits) > 2 else None):
        seen = {part: {what(clip) for clip in parts[part]} - {None} for part in ("train", "validation", "test")}
        assert not seen["train"] & seen["test"]
        assert not seen["train"] & seen["validation"]
        assert not seen["validation"] & seen["test"]


def test_clips_follow_one_another_to_the_end_of_the_file(rows):
    for part in speech.PARTS:
        mine = [(int(row["start"]), int(row["stop"])) for row in rows if row["part"] == part]
        assert mine[0][0] == 0
        assert all(a[1] == b[0] for a, b in itertools.pairwise(mine))
        assert mine[-1][1] == soundfile.info(files.find(f"spoken_digits_{part}.ogg")).frames


def test_a_clip_is_quiet_at_its_end_and_loud_within(parts):
    for clip in parts["test"]:
        assert np.abs(clip.wave[-400:]).max() < 0.15 * np.abs(clip.wave).max() > 0.01


def test_every_voice_is_a_voice_of_its_own(parts):
    """Two variants of one accent never give the same sound (espeak-ng ignores a variant it does not know)."""
    spectra = defaultdict(list)
    for clip in parts["train"][::3] + parts["test"][::3]:
        spectra[clip.voice].append(speech.log_mel(clip.wave).mean(dim=0))
    mean = {voice: torch.stack(rows).mean(dim=0) for voice, rows in spectra.items()}
    voices = sorted(mean)
    gaps = torch.cdist(torch.stack([mean[v] for v in voices]), torch.stack([mean[v] for v in voices]))
    assert gaps[~torch.eye(len(voices), dtype=torch.bool)].min() > 0.3


def test_transcripts_and_labels():
    clip = speech.Clip(TONE, "305", "a")
    assert clip.words == "three zero five"
    assert speech.labels([clip, speech.Clip(TONE, "9", "a")]).tolist() == [[4, 1, 6], [10, 0, 0]]
    assert speech.spoken([4, 1, 6]) == clip.words
    assert speech.spoken([]) == ""
    with pytest.raises(ValueError, match="unknown part 'tests'"):
        speech.load_spoken_digits("tests")


# ---------------------------------------------------------------- features


def test_log_mel_equals_scipy():
    wave = np.random.default_rng(0).normal(size=3210)
    window = signal.get_window("hann", speech.WINDOW)  # periodic
    stft = signal.ShortTimeFFT(window, speech.HOP, fs=speech.RATE, mfft=speech.SIZE, phase_shift=None)
    offset = speech.WINDOW // 2 % speech.HOP  # scipy centres its windows: shift the wave so that both cut alike
    shifted = np.concatenate([np.zeros(speech.HOP - offset), wave])
    spectrum = abs(stft.stft(shifted)) ** 2  # (SIZE // 2 + 1, slices)
    first = (speech.HOP - offset + speech.WINDOW // 2) // speech.HOP - stft.p_min
    frames = speech.log_mel(wave)
    expected = np.log(spectrum.T[first : first + len(frames)] @ speech.mel_filters().T.numpy() + speech.FLOOR)
    assert len(frames) == (len(wave) - speech.WINDOW) // speech.HOP + 1
    np.testing.assert_allclose(frames.numpy(), expected, rtol=0, atol=1e-10)


def test_mel_filters_are_triangles_that_overlap_by_half():
    filters = speech.mel_filters(20, 4096)
    assert filters.shape == (20, 2049)
    assert filters.min() == 0
    assert (filters.max(dim=1).values > 0.95).all()
    peaks = filters.argmax(dim=1)
    inside = filters[:, peaks[0] + 1 : peaks[-1]].sum(dim=0)
    torch.testing.assert_close(inside, torch.ones_like(inside), rtol=0, atol=1e-9)  # neighbours add up to 1
    assert (peaks.diff().diff() >= -1).all()  # wider and wider
    assert (speech.mel_filters().sum(dim=1) > 0).all()  # no band falls between the lines of the book's own transform


def test_a_tone_lights_the_band_it_lies_in():
    frames = speech.log_mel(TONE)
    hertz = np.arange(speech.SIZE // 2 + 1) * speech.RATE / speech.SIZE
    centre = hertz[speech.mel_filters()[int(frames.mean(dim=0).argmax())].argmax()]
    assert abs(centre - 440) < 60


def test_features_lay_whole_groups_of_frames_side_by_side():
    wave = np.random.default_rng(1).normal(size=speech.WINDOW + 9 * speech.HOP)
    frames, steps = speech.log_mel(wave), speech.features(wave)
    assert len(frames) == 10
    assert steps.shape == (2, speech.STACK * speech.MELS)
    assert steps[1].equal(frames[4:8].flatten())
    later = speech.features(np.concatenate([wave, np.ones(5 * speech.HOP)]))
    torch.testing.assert_close(later[:2], steps)  # what comes later changes nothing: the features can be streamed


@pytest.mark.parametrize("bad", [np.zeros(199), np.zeros((2, 800)), np.zeros(0)])
def test_features_refuse_what_is_no_wave(bad):
    with pytest.raises(ValueError, match="one channel of at least 200 samples"):
        speech.log_mel(bad)


def test_features_refuse_what_is_shorter_than_a_step():
    with pytest.raises(ValueError, match="too few for one step"):
        speech.features(np.zeros(speech.WINDOW + 2 * speech.HOP))


# ---------------------------------------------------------------- files


def write(path, samples=TONE, rate=8000, **options):
    soundfile.write(path, samples, rate, **options)
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_reads_what_was_written(tmp_path, suffix):
    found = speech.read_wave(write(tmp_path / f"tone.{suffix}"))
    assert found.dtype == np.float32
    assert np.abs(found - TONE).max() < 0.05


def cut(path, share=0.6):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


def bad_files(folder):
    text, empty = folder / "notes.wav", folder / "empty.wav"
    text.write_text("three five seven", encoding="utf-8")
    empty.write_bytes(b"")
    yield text, "cannot be read as audio"
    yield empty, "cannot be read as audio"
    yield folder / "nowhere.wav", "cannot be read as audio"
    yield write(folder / "stereo.wav", np.stack([TONE, TONE], axis=1)), "has 2 channels; mix them"
    yield write(folder / "music.wav", TONE, 44100), "has 44100 samples per second; resample it to 8000"
    yield write(folder / "silent.wav", 0 * TONE), "is silent or too short"
    yield write(folder / "nothing.wav", TONE[:0]), "is silent or too short"
    yield write(folder / "click.wav", TONE[:50]), "is silent or too short"
    yield cut(write(folder / "half.wav")), "cut short"
    yield cut(write(folder / "half.flac")), "cut short|cannot be read"


def test_a_bad_file_is_named_and_the_reason_said(tmp_path):
    for path, reason in bad_files(tmp_path):
        with pytest.raises(DataError, match=rf"{path.name}.*({reason})"):
            speech.read_wave(path)


# ---------------------------------------------------------------- real recordings and the task


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """A folder like that of the Free Spoken Digit Dataset, with tones for voices: the higher, the larger the digit."""
    for speaker in ("george", "jackson", "lucas", "theo", "yweweler"):
        for digit in range(10):
            pitch = 200 + 150 * digit
            for take in range(2):
                tone = 0.5 * np.sin(2 * np.pi * (pitch + 9 * take) * np.arange(3000 + 500 * take) / 8000)
                write(tmp_path / f"{digit}_{speaker}_{take}.wav", tone)
    monkeypatch.setattr(speech, "find", lambda name, **options: tmp_path)
    return tmp_path


def test_real_speakers_are_held_out(recordings):
    voices = {part: {c.voice for c in speech.load_free_spoken_digits(part)} for part in ("train", "validation", "test")}
    assert voices == {"train": {"george", "jackson"}, "validation": {"lucas"}, "test": {"theo", "yweweler"}}
    assert sorted({clip.digits for clip in speech.load_free_spoken_digits("test")}) == list("0123456789")
    with pytest.raises(ValueError, match="unknown part 'rates'"):
        speech.load_free_spoken_digits("rates")


def test_real_recordings_that_are_not_here_say_where_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match="free-spoken-digit-dataset"):
        speech.load_free_spoken_digits("test", download=False)


def test_a_broken_recording_is_named(recordings):
    with wave_module.open(str(recordings / "3_theo_0.wav"), "wb") as out:
        out.setparams((2, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(4000))
    with pytest.raises(DataError, match=r"3_theo_0\.wav has 2 channels"):
        speech.load_free_spoken_digits("test")


def test_task_trains_on_the_recordings_and_writes_the_error_rates(recordings, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["speech", "--data", "free_spoken_digits", "--epochs", "2", "--out", str(out)]
    assert train.main(arguments) == 0
    said = capsys.readouterr().out
    assert "most similar clip" in said
    assert all(name in said for name in ("wer", "cer", "exact"))


def test_scores_are_in_percent_and_count_words():
    clips = [speech.Clip(TONE, "35", "a"), speech.Clip(TONE, "7", "a")]
    found = tasks.scores(clips, ["three five", "seven"])
    assert found == {"wer": 0.0, "cer": 0.0, "exact": 100.0}
    worse = tasks.scores(clips, ["three nine", ""])
    assert worse["wer"] == pytest.approx(100 * 2 / 3)
    assert worse["exact"] == 0
    assert 0 < worse["cer"] < 100
