"""Translation: the phrases and how they are split, subwords that come back, pairs of files, the training task."""

import gzip
import hashlib
import json
import lzma
import re
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words
from scripts import load_script

from utils import train
from utils.data import files, translation
from utils.data.files import DataError
from utils.data.translation import (
    END,
    PAD,
    START,
    UNKNOWN,
    Subwords,
    Words,
    load_pairs,
    pair_batches,
    read_pairs,
    translate,
)
from utils.models.seq2seq import Seq2Seq

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def build():
    return load_script("datasets/build_phrases.py")


@pytest.fixture(scope="module")
def phrases():
    return translation.load_phrases()


# ---------------------------------------------------------------- the phrases


def test_file_is_what_its_script_builds(build):
    assert lzma.decompress(build.build()) == lzma.decompress(files.find(translation.FILE).read_bytes())


def test_chinese_numbers_are_those_of_num2words_but_for_zero_and_one(build):
    """Japanese writes the same numbers without 零, and 千, 百, 十 without a 一 before them."""
    for n in range(1, 10_000):
        assert re.sub("一(?=[千百十])", "", build.chinese(n).replace("零", "")) == num2words(n, lang="ja")


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "零"), (10, "十"), (15, "十五"), (20, "二十"), (100, "一百"), (101, "一百零一"), (110, "一百一十"),
     (315, "三百一十五"), (1000, "一千"), (1001, "一千零一"), (1010, "一千零一十"), (2050, "二千零五十"),
     (9999, "九千九百九十九")],
)  # fmt: skip
def test_chinese_numbers(build, n, text):
    assert build.chinese(n) == text


def test_chinese_numbers_are_all_different(build):
    assert len({build.chinese(n) for n in range(10_000)}) == 10_000


def items(rows) -> set[str]:
    """What could be learnt by heart; the name of a single territory is a word like any other."""
    return {item for row in rows["items"] for item in row.split() if not item.startswith("name=")}


def test_no_item_stands_in_two_parts(phrases):
    parts = {part: items(rows) for part, rows in phrases.groupby("split")}
    assert set(parts) == {"train", "validation", "test", "longer"}
    assert not parts["train"] & (parts["validation"] | parts["test"] | parts["longer"])
    assert not parts["validation"] & (parts["test"] | parts["longer"])
    assert min(map(len, parts.values())) > 500


def test_every_phrase_has_one_translation_and_all_languages(phrases):
    assert len(phrases) > 35_000
    assert phrases["en"].is_unique
    for language in translation.LANGUAGES["phrases"]:
        assert phrases[language].str.strip().str.len().gt(0).all()
        assert not phrases[language].str.contains("\t|\n").any()
    longest = phrases[phrases["split"] == "train"]["items"].str.split().str.len().max()
    assert phrases[phrases["split"] == "longer"]["items"].str.split().str.len().min() > longest


def test_some_phrases_by_hand(phrases):
    rows = phrases.set_index("en")
    kinds = set(phrases["kind"])
    assert kinds == {"date", "interval", "time", "duration", "number", "amount", "quantity", "names", "phrase"}
    dates = phrases[(phrases["kind"] == "date") & (phrases["style"] == "full")]
    assert dates["zh"].str.fullmatch(r"\d{4}年\d{1,2}月\d{1,2}日星期[一二三四五六日]").all()
    assert dates["de"].str.fullmatch(r"\w+, \d{1,2}\. \w+ \d{4}").all()
    numbers = phrases[phrases["kind"] == "number"]
    for item, fr, de in numbers[["items", "fr", "de"]].itertuples(index=False):
        n = int(item.removeprefix("number="))
        assert (fr, de) == (num2words(n, lang="fr"), num2words(n, lang="de"))
    assert rows.index.is_unique


# ---------------------------------------------------------------- pairs


def test_pairs_of_phrases(phrases):
    pairs = load_pairs("phrases:de-zh")
    assert set(pairs) == {"train", "validation", "test", "longer"}
    test = phrases[phrases["split"] == "test"]
    assert pairs["test"] == list(zip(test["de"], test["zh"], strict=True))
    everything = load_pairs("phrases:all")
    assert {s.split()[0] for s, _ in everything["train"]} == {"<fr>", "<de>", "<zh>", "<en>"}
    assert len(everything["test"]) == 4 * len(test)


@pytest.mark.parametrize("name", ["phrases:en-it", "phrases:en", "phrases:en-en", "wmt14:en-de", "multi30k:de-zh", ""])
def test_unknown_pairs(name):
    with pytest.raises(DataError, match=r"unknown pairs .* there is"):
        load_pairs(name)


@pytest.fixture
def multi30k(tmp_path, monkeypatch):
    """Small files in the place of Multi30k's, laid into a cache of the test's own by hand."""
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path))
    folder, entries = tmp_path / "multi30k", {}
    folder.mkdir()
    animals = [("Hund", "dog"), ("Vogel", "bird"), ("Fisch", "fish"), ("Bär", "bear")]
    places = [("im Park", "in the park"), ("auf der Straße", "on the street"), ("am Fluss", "at the river")]
    pairs = [(f"Ein {a} läuft {p}.", f"A {b} runs {q}.") for a, b in animals for p, q in places]

    def lay(split, code, lines):
        body = gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)
        (folder / f"{split}.{code}.gz").write_bytes(body)
        entry = {"url": "https://127.0.0.1:1/x", "licence": "none", "sha256": hashlib.sha256(body).hexdigest()}
        entries[f"multi30k/{split}.{code}.gz"] = entry

    for split in ("train", "val", "test_2016_flickr"):
        for side, code in enumerate(("de", "en")):
            lay(split, code, [pair[side] for pair in pairs * (10 if split == "train" else 1)])
    monkeypatch.setattr(files, "manifest", lambda: {"embedded": {}, "remote": entries})
    return lay


def test_multi30k_from_files_laid_in_the_cache(multi30k):
    pairs = load_pairs("multi30k:de-en")
    assert {part: len(rows) for part, rows in pairs.items()} == {"train": 120, "validation": 12, "test": 12}
    assert pairs["test"][0] == ("Ein Hund läuft im Park.", "A dog runs in the park.")
    assert load_pairs("multi30k:en-de")["test"][0] == pairs["test"][0][::-1]


def test_sides_that_do_not_belong_together(multi30k):
    multi30k("val", "en", ["one line"])
    with pytest.raises(DataError, match=r"has 12 lines, .* 1; they should pair up"):
        load_pairs("multi30k:de-en")


def test_the_task_trains_on_multi30k_without_change(multi30k, tmp_path):
    arguments = ["translation", "--data", "multi30k:de-en", "--seconds", "2", "--out", str(tmp_path / "run")]
    assert train.main(arguments) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["test"]) == {"perplexity", "bleu", "chrf", "exact"}
    assert metrics["baselines"]["translation memory"]["exact"] == 100  # test and training are the same here


def test_a_file_of_pairs(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("a cat\tune chatte\n two dogs \tdeux chiens\n", encoding="utf-8")
    assert read_pairs(path) == [("a cat", "une chatte"), ("two dogs", "deux chiens")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\nno tab here\n", r"line 2: 1 column\(s\), not 2"),
        ("a\tb\nc\t \n", "line 2: nothing in column 'target'"),
        ("", "is empty"),
        ("a\tb\n", "1 different source"),
    ],
)
def test_a_bad_file_of_pairs_ends_with_one_line(text, message, tmp_path, capsys):
    path = tmp_path / "pairs.tsv"
    path.write_text(text, encoding="utf-8")
    assert train.main(["translation", "--data", str(path), "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr()
    assert re.search(message, said.err)
    assert said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_task_trains_on_a_file_of_the_readers_own(tmp_path):
    path = tmp_path / "pairs.tsv"
    words = ["eins", "zwei", "drei", "vier", "fünf", "sechs"]
    path.write_text("".join(f"{a} {b}\t{b} {a}\n" for a in words for b in words), encoding="utf-8")
    assert train.main(["translation", "--data", str(path), "--seconds", "1", "--out", str(tmp_path / "run")]) == 0


def test_unknown_data_names_the_nearest(tmp_path, capsys):
    assert train.main(["translation", "--data", "multi30k:de-eng", "--out", str(tmp_path / "run")]) == 2
    assert "did you mean 'multi30k:de-en'?" in capsys.readouterr().err


# ---------------------------------------------------------------- subwords and batches

TEXTS = ["April 4, 1957", "l’après-midi", "zwei Stunden und 3 Minuten", "二千零五十", "2013年5月4日", "£1,234.50"] * 3
WORDS = Subwords(TEXTS, 120, tags=["<fr>", "<de>"])
LETTERS = sorted(set("".join(TEXTS)) - {" "})


@given(st.lists(st.text(LETTERS, min_size=1, max_size=8), min_size=1, max_size=5).map(" ".join))
def test_what_was_cut_comes_back_to_the_letter(text):
    assert WORDS.decode(WORDS.encode(text)) == text


def test_the_first_word_behind_a_tag_is_learnt_whole():
    subwords = Subwords(["<fr> Saturday, May 4", "<fr> Sunday or Saturday"] * 9, 100, ["<fr>"])
    assert subwords.tokens(subwords.encode("<fr> Sunday or Saturday")) == ["<fr>", "Sunday", " or", " Saturday"]


def test_tags_unknown_characters_and_the_end():
    assert WORDS.encode("<de> 1957").tolist() == [WORDS.tags["<de>"], *WORDS.encode("1957").tolist()]
    assert (WORDS.encode("☃") == UNKNOWN).any()
    assert not torch.isin(WORDS.encode("<end> 1957"), torch.tensor([END, START, PAD])).any()
    assert WORDS.decode([*WORDS.encode("1957").tolist(), END, 7, 8]) == "1957"
    assert len(WORDS.encode("1957")) == 4  # digits stand alone
    with pytest.raises(ValueError, match="no subwords"):
        WORDS.encode("<de> ")
    with pytest.raises(ValueError, match="no text"):
        Subwords([], 100)
    with pytest.raises(ValueError, match="no text"):
        Subwords([""], 100)


def test_a_corpus_of_one_word():
    assert len(Subwords(["a"], 100)) == 5


def test_words_have_numbers_and_what_was_never_seen_has_that_of_unknown():
    words = Words(["walk twice", "jump and walk", "<end>"])
    assert words.words[4:] == ["and", "jump", "twice", "walk"]
    assert len(words) == 8
    assert words.encode("walk and fly").tolist() == [7, 4, UNKNOWN]
    assert words.decode([5, 7, END, 6]) == "jump walk"
    assert words.encode("").shape == (0,)


def test_batches_hold_every_pair_once_shifted_by_one():
    pairs = [(s, t) for s in TEXTS[:6] for t in TEXTS[:6]]
    seen = []
    for x, lengths, y_in, y_out in pair_batches(pairs, WORDS, WORDS, batch_size=5):
        assert lengths.tolist() == sorted(lengths.tolist(), reverse=True)
        assert (x != PAD).sum(1).equal(lengths)
        assert y_in.shape == y_out.shape
        assert (y_in[:, 0] == START).all()
        ends = (y_out == END).long().argmax(1)
        for k, row in enumerate(ends.tolist()):
            assert torch.equal(y_in[k, 1 : row + 1], y_out[k, :row])
            assert (y_out[k, row + 1 :] == PAD).all()
            assert (y_in[k, row + 1 :] == PAD).all()
            seen.append((WORDS.decode(x[k, : lengths[k]]), WORDS.decode(y_out[k])))
    assert sorted(seen) == sorted(pairs)
    with pytest.raises(ValueError, match="at least one item"):
        pair_batches([], WORDS, WORDS, batch_size=5)


@pytest.mark.parametrize("beam", [{}, {"width": 3, "length_penalty": 1.0}])
def test_translations_keep_their_order_and_do_not_depend_on_the_others(beam):
    torch.manual_seed(0)
    model = Seq2Seq(len(WORDS), len(WORDS), embedding=8, hidden=8).double().eval()
    together = translate(model, TEXTS[:6], WORDS, WORDS, max_length=12, **beam)
    alone = [translate(model, [text], WORDS, WORDS, max_length=12, **beam)[0] for text in TEXTS[:6]]
    assert together == alone
    assert translate(model, TEXTS[5::-1], WORDS, WORDS, max_length=12, **beam) == together[::-1]


def test_loading_pairs_is_cheap():
    code = "import sys, utils.data.translation; print(sorted({'pandas', 'torchtext', 'tokenizers'} & set(sys.modules)))"
    done = subprocess.run(
        [str(Path(train.sys.executable)), "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
