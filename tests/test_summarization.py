"""Docstrings and their summaries: what is taken, near-duplicates on one side, unknown words, the training task."""

import gc
import random

import numpy as np
import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer

from utils import train
from utils.data import docstrings, summarization
from utils.data.docstrings import deal, families, first_sentence, harvest, join, split, words
from utils.data.files import DataError
from utils.data.summarization import Words, hinted, nearest, summarize, summary_batches
from utils.data.translation import END, PAD, START, UNKNOWN
from utils.metrics import rouge
from utils.models.pointer import PointerGenerator

BODY = "It goes on for a while, with more than the ten words that a text has to have."
PACKAGE = f'''
"""Tools that this module is made of. {BODY}"""
class BatchNorm(Base):
    """
    Normalise `each` batch of :class:`~torch.Tensor`, e.g. of images.

    Parameters
    ----------
    {BODY}

    >>> an_example
    """
    @property
    def width(self):
        """The width of a *batch* in points.\n\n        {BODY}"""
    async def go_on(self, first, *rest, last=None):
        """go_on(first) -> int\n\n        Go on to the very last one.\n\n        {BODY}"""
        def inner(a):
            """Too short.\n\n            {BODY}"""
def twice():
    """The width of a batch in points.\n\n    Said twice, and so left out. {BODY}"""
def no_text():
    """A summary and nothing else."""
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "made_up"
    (folder / "tests").mkdir(parents=True)
    (folder / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    (folder / "tests" / "test_it.py").write_text(PACKAGE.replace("width", "height"), encoding="utf-8")
    (folder / "template.py").write_text("def {{name}}(:", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def test_harvest_of_a_package_made_up(package):
    found = {item.name: item for item in harvest(["made_up"])}
    assert {name: item.kind for name, item in found.items()} == {
        "made_up": "module",
        "made_up.BatchNorm": "class",
        "made_up.BatchNorm.width": "property",
        "made_up.BatchNorm.go_on": "method",
    }
    norm, go_on = found["made_up.BatchNorm"], found["made_up.BatchNorm.go_on"]
    assert norm.summary == "Normalise each batch of torch.Tensor, e.g. of images."
    assert norm.text == f"Parameters {BODY}"
    assert go_on.summary == "Go on to the very last one."
    assert go_on.arguments == ("first", "last")
    assert norm.source == f"class made_up.BatchNorm Batch Norm (): Parameters {BODY}"


def test_a_package_that_is_not_there():
    with pytest.raises(DataError, match="no package 'nowhere_to_be_found'"):
        harvest(["nowhere_to_be_found"])
    assert gc.isenabled()


@pytest.mark.parametrize("was", [True, False])
def test_harvest_leaves_the_search_for_cycles_as_it_was(package, was):
    (gc.enable if was else gc.disable)()
    try:
        assert harvest(["made_up"])
        assert gc.isenabled() is was
    finally:
        gc.enable()


def test_sentences_and_words():
    assert first_sentence("One, i.e. 1.5. Two.") == ("One, i.e. 1.5.", "Two.")
    assert first_sentence("no stop") == ("no stop", "")
    assert split("") == ("", "")
    assert " ".join(words("Split array_Split(x2), e.g.")) == "split array _ split ( x2 ) , e . g ."
    for text in ("split an array_like (if you can), and stop.", "the x-axis, or [y]"):
        assert join(words(text)) == text


def test_near_duplicates_are_one_family_and_in_one_part():
    generator = random.Random(0)
    texts = [" ".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=30)) for _ in range(200)]
    twins = [text[:40] + " new words " + text[40:] for text in texts[:40]]
    family = families(texts + twins)
    assert family[:40] == family[200:]
    assert len(set(family)) == 200
    names = [f"name {i}" for i in range(240)]
    parts = deal(range(240), names, family)
    part_of = {i: part for part, items in parts.items() for i in items}
    assert all(part_of[i] == part_of[200 + i] for i in range(40))
    assert sorted(part_of) == list(range(240))
    assert 0.75 < len(parts["train"]) / 240 < 0.95
    fewer = deal(range(100), names[:100], family[:100])  # another version of a package: the others stay where they are
    assert all(part_of[i] == part for part, items in fewer.items() for i in items if i >= 40)


# ---------------------------------------------------------------- words and batches

PAIRS = [("alpha beta gamma alpha", "beta of alpha."), ("delta beta", "of new delta"), ("beta beta epsilon", "beta")]


@pytest.fixture
def vocab():
    return Words(["beta of beta .", "of beta"], 7)


def test_unknown_words_have_the_numbers_of_their_source(vocab):
    assert vocab.itos[4:] == ["beta", "of", "."]
    source = words(PAIRS[0][0])
    assert vocab.encode(source, source).tolist() == [7, 4, 8, 7]
    assert vocab.encode(words("gamma of delta"), source).tolist() == [8, 5, UNKNOWN]
    assert vocab.decode([8, 5, 7, END, 4], source) == ["gamma", "of", "alpha"]
    with pytest.raises(ValueError, match="no text to learn"):
        Words([], 10)


def test_batches(vocab):
    (x, lengths, y_in, y_out), *rest = summary_batches(PAIRS, vocab, 3, shuffle=False)
    assert not rest
    assert lengths.tolist() == [4, 3, 2]  # the longest text first
    assert x.tolist() == [[7, 4, 8, 7], [4, 4, 7, PAD], [7, 4, PAD, PAD]]
    assert y_in.tolist()[2] == [START, 5, UNKNOWN, 7, PAD]
    assert y_out.tolist()[2] == [5, UNKNOWN, 7, END, PAD]
    assert next(iter(summary_batches(PAIRS, vocab, 3, cut=2)))[0].shape == (3, 2)
    with pytest.raises(ValueError, match="none empty"):
        next(iter(summary_batches([(" ", "x")], vocab, 1)))


@pytest.mark.parametrize("beam", [{}, {"width": 3, "length_penalty": 1.0}])
def test_summaries_do_not_depend_on_the_batch_and_hold_no_unknown(vocab, beam):
    torch.manual_seed(0)
    model = PointerGenerator(len(vocab), embedding=6, hidden=8).eval()
    model.out.bias.data[UNKNOWN] = 10.0  # it would like to
    texts = [text for text, _ in PAIRS]
    together = summarize(model, texts, vocab, max_length=6, **beam)
    assert together == [summarize(model, [text], vocab, max_length=6, **beam)[0] for text in texts]
    assert not any("<" in text for text in together)


def test_nearest_neighbour():
    assert nearest(PAIRS, ["epsilon and beta", "gamma"]) == ["beta", "beta of alpha."]
    texts = [text for text, _ in PAIRS]
    assert nearest(PAIRS, texts) == [summary for _, summary in PAIRS]
    assert nearest(PAIRS, texts, [0, 1, 1])[1:] == ["beta of alpha."] * 2
    assert hinted(PAIRS[:1], PAIRS[2:]) == [("beta | alpha beta gamma alpha", "beta of alpha.")]


def test_rouge_is_that_of_the_package():
    written, expected = ["the mean of x", "", "sorted_array"], ["mean of an array", "something", "a sorted array"]
    found = rouge(written, expected)
    assert set(found) == {"rouge1", "rouge2", "rougeL"}
    for name, f in found.items():
        by_package = [RougeScorer([name]).score(e, w)[name].fmeasure for w, e in zip(written, expected, strict=True)]
        np.testing.assert_allclose(f, by_package)
    assert found["rouge1"][0] == 0.5


# ---------------------------------------------------------------- the task


def made_up_pairs(n):
    generator = random.Random(1)
    for _ in range(n):
        nouns = generator.choices([f"noun{i}" for i in range(300)], k=12)
        yield f"the {' '.join(nouns)}", f"return the {nouns[0]} of {nouns[1]}"


@pytest.fixture
def small(monkeypatch):
    from utils.tasks import summarization as task

    monkeypatch.setattr(task, "SETTINGS", {"embedding": 8, "hidden": 8})
    monkeypatch.setattr(task, "SIZE", 50)


def test_own_pairs_train_beside_their_baselines(tmp_path, small, capsys):
    path = tmp_path / "mine.tsv"
    path.write_text("\n".join(f"{text}\t{summary}" for text, summary in made_up_pairs(150)), encoding="utf-8")
    out = tmp_path / "out"
    assert train.main(["summarization", "--data", str(path), "--epochs", "1", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "nearest neighbour" in said
    assert "rougeL" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [("a b c\td\n", "nothing for"), ("no tab here\n", "line 1"), ("", "is empty"), ("a\tb\n\tc\n", "line 2")],
)
def test_bad_files_say_what_is_off(tmp_path, text, message, capsys):
    path = tmp_path / "mine.tsv"
    path.write_text(text, encoding="utf-8")
    assert train.main(["summarization", "--data", str(path), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def test_the_task_of_the_book(tmp_path, small, monkeypatch):
    """With docstrings of a small package in the place of three large ones."""
    monkeypatch.setattr(docstrings.load_docstrings, "__defaults__", (("joblib",),))
    assert train.main(["summarization", "--epochs", "1", "--out", str(tmp_path)]) == 0
    assert summarization.CUT > 0
