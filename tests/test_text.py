"""utils.data.text: each trap of torchtext 0.6.0 as it is (so that we notice a change), and how the module avoids it."""

import ast
import copy
import json
import random
import ssl
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest
import torch
import torchtext
from hypothesis import given
from hypothesis import strategies as st

from utils.data import text
from utils.data.batches import BucketSampler
from utils.data.files import DataError

ROOT = Path(__file__).resolve().parents[1]
LINES = ["a b c\tx", "a b\ty", "a\tx", "a c c c\tx", "b\ty", "b c a b a\tx", "c\ty"]


def write(folder: Path, lines=LINES, name="train.tsv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table(folder: Path, lines=LINES, **arguments):
    """A dataset of texts and labels with its vocabularies."""
    fields = [("text", text.text_field(**arguments)), ("label", text.LabelField())]
    dataset = text.load_table(write(folder, lines), fields)
    for _, field in fields:
        text.build_vocabulary(field, dataset)
    return dataset


def examples(lengths):
    """A dataset of texts of the given lengths, each with its place as only token; and the field."""
    fields = [("text", text.text_field())]
    dataset = text.Dataset([text.Example.fromlist([[str(i)] * n], fields) for i, n in enumerate(lengths)], fields)
    field = fields[0][1]
    text.build_vocabulary(field, dataset)
    return dataset, field


def places(batch, field) -> list[int]:
    return [int(field.vocab.itos[row[0]]) for row in batch[0]]


# ---------------------------------------------------------------- one module imports torchtext


def imported(source: str) -> set[str]:
    """The top-level packages that a piece of Python imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_no_other_file_imports_torchtext():
    places = [ROOT / name for name in ("utils", "chapters", "datasets", ".ci", "tests")]
    found = {p for place in places for p in place.rglob("*.py") if "torchtext" in imported(p.read_text("utf-8"))}
    assert found == {ROOT / "utils/data/text.py", Path(__file__).resolve()}


def test_no_notebook_imports_torchtext():
    for path in (ROOT / "chapters").rglob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        assert "torchtext" not in imported("\n".join(c.source for c in cells if c.cell_type == "code")), path


def run(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_importing_it_gives_no_warning():
    assert run("import utils.data.text, sys; print('torchtext' in sys.modules)").strip() == "True"


def test_the_other_modules_do_not_load_it():
    modules = [p.relative_to(ROOT).with_suffix("") for p in (ROOT / "utils").rglob("*.py") if p.name != "__init__.py"]
    modules = sorted(".".join(p.parts) for p in modules if p.parts[-2:] != ("data", "text"))
    assert len(modules) > 15
    assert run(f"import sys, utils, {', '.join(modules)}\nprint('torchtext' in sys.modules)").strip() == "False"


def test_the_version_is_the_pinned_one():
    assert version("torchtext") == torchtext.__version__ == "0.6.0"


# ---------------------------------------------------------------- vocabularies


def test_torchtext_inserts_what_it_looks_up():
    vocab = text.Vocab(Counter("aab"))
    assert vocab.stoi["never seen"] == 0
    assert "never seen" in vocab.stoi
    assert len(vocab.stoi) == len(vocab.itos) + 1


def test_a_lookup_does_not_insert():
    vocab = text.Vocabulary(Counter("aab"))
    assert vocab.itos == ["<unk>", "<pad>", "a", "b"]
    assert [vocab.stoi["never seen"], vocab["never seen"], vocab["b"]] == [0, 0, 3]
    assert len(vocab.stoi) == len(vocab.itos) == 4


def test_torchtext_without_unk_gives_none():
    assert text.Vocab(Counter("aab"), specials=["<pad>"])["z"] is None
    field = text.Field(unk_token="UNK")  # any other name than <unk> counts as none
    field.build_vocab([["a", "b"]])
    assert field.vocab["z"] is None
    with pytest.raises(KeyError, match="'z'"):  # and the dictionary itself is a plain one then
        field.vocab.stoi["z"]


@pytest.mark.parametrize("specials", [["<pad>"], ["UNK", "<pad>"]])
def test_without_unk_a_lookup_says_so(specials):
    vocab = text.Vocabulary(Counter("aab"), specials=specials)
    assert vocab["a"] == len(specials)
    for look_up in (vocab.__getitem__, vocab.stoi.__getitem__):
        with pytest.raises(KeyError, match="'z' is not in the vocabulary, and there is no <unk>"):
            look_up("z")


def test_a_copy_is_closed_too():
    copied = copy.deepcopy(text.Vocabulary(Counter("aab")))
    assert copied["z"] == 0
    assert "z" not in copied.stoi


def test_the_fields_get_closed_vocabularies(tmp_path):
    dataset = table(tmp_path)
    field, labels = dataset.fields["text"], dataset.fields["label"]
    before = dict(field.vocab.stoi)
    x, lengths = field.process([["a", "z", "y"], ["b"]])
    assert x.tolist() == [[2, 0, 0], [4 if field.vocab.itos[4] == "b" else 3, 1, 1]]
    assert lengths.tolist() == [3, 1]
    assert dict(field.vocab.stoi) == before
    with pytest.raises(KeyError, match="'never'"):
        labels.process(["x", "never"])


def test_torchtext_builds_an_empty_vocabulary_of_a_strange_field(tmp_path):
    dataset, stranger = table(tmp_path), text.Field()
    stranger.build_vocab(dataset)
    assert stranger.vocab.itos == ["<unk>", "<pad>"]
    with pytest.raises(ValueError, match="as a column"):
        text.build_vocabulary(stranger, dataset)


@pytest.mark.parametrize("source", [[["a"]], None, "text", (1, 2)])
def test_a_vocabulary_is_built_from_one_dataset(source):
    with pytest.raises(ValueError, match="one Dataset, the training data"):
        text.build_vocabulary(text.text_field(), source)


def test_rare_words_and_order(tmp_path):
    dataset = table(tmp_path, ["b b a\tx", "a c\ty", "d\tx"])
    vocab = text.build_vocabulary(dataset.fields["text"], dataset, min_freq=2)
    assert vocab.itos == ["<unk>", "<pad>", "a", "b"]  # by frequency, then by the alphabet
    assert text.build_vocabulary(dataset.fields["text"], dataset, max_size=1).itos == ["<unk>", "<pad>", "a"]
    with pytest.raises(ValueError, match="no token stands 9 times"):
        text.build_vocabulary(dataset.fields["text"], dataset, min_freq=9)


def test_special_tokens(tmp_path):
    dataset = table(tmp_path, init_token="<bos>", eos_token="<eos>")
    field = dataset.fields["text"]
    assert field.vocab.itos[:4] == ["<unk>", "<pad>", "<bos>", "<eos>"]
    x, lengths = field.process([["a", "b"], ["c"]])
    assert x[:, 0].tolist() == [2, 2]
    assert [x[0, 3].item(), x[1, 2].item(), x[1, 3].item()] == [3, 3, 1]
    assert lengths.tolist() == [4, 3]


def test_a_pickled_vocab_is_refused(tmp_path):
    torch.save(text.Vocab(Counter("aab")), tmp_path / "vocab.pt")
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        torch.load(tmp_path / "vocab.pt", weights_only=True)


@given(st.dictionaries(st.text(max_size=4), st.integers(1, 5), max_size=8))
def test_a_vocabulary_comes_back(tmp_path_factory, counts):
    path = tmp_path_factory.getbasetemp() / "vocab.json"
    vocab = text.Vocabulary(Counter(counts))
    text.save_vocabulary(vocab, path)
    back = text.load_vocabulary(path)
    assert back == vocab
    assert back.unk_index == vocab.unk_index == back["certainly not in it"] == 0
    assert isinstance(back, text.Vocabulary)


def test_a_vocabulary_without_unk_comes_back(tmp_path):
    text.save_vocabulary(text.Vocabulary(Counter("ab"), specials=[]), tmp_path / "labels.json")
    with pytest.raises(KeyError, match="no <unk>"):
        text.load_vocabulary(tmp_path / "labels.json")["z"]
    assert [p.name for p in tmp_path.iterdir()] == ["labels.json"]  # nothing half-written is left


def test_only_strings_are_saved(tmp_path):
    with pytest.raises(ValueError, match="strings"):
        text.save_vocabulary(text.Vocab(Counter([1, 2])), tmp_path / "vocab.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "3", '{"tokens": ["a"]}', '{"tokens": ["a", "a"], "counts": {}}', '{"tokens": [1], "counts": {}}',
     '{"tokens": 3, "counts": {}}', '{"tokens": ["a"], "counts": 3}', '{"tokens": [["a"]], "counts": {}}'],
)  # fmt: skip
def test_what_is_not_a_vocabulary_is_refused(tmp_path, content):
    (tmp_path / "vocab.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="not a vocabulary"):
        text.load_vocabulary(tmp_path / "vocab.json")


def test_a_missing_vocabulary(tmp_path):
    with pytest.raises(DataError, match=r"vocab\.json does not exist"):
        text.load_vocabulary(tmp_path / "vocab.json")


def test_the_json_can_be_read_without_us(tmp_path):
    text.save_vocabulary(text.Vocabulary(Counter("éé")), tmp_path / "vocab.json")
    found = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    assert found == {"tokens": ["<unk>", "<pad>", "é"], "counts": {"é": 2}}


# ---------------------------------------------------------------- files


def raw_table(path):
    fields = [("text", text.Field()), ("label", text.LabelField())]
    return text.TabularDataset(path, format="tsv", fields=fields)


def test_torchtext_does_not_count_columns(tmp_path):
    short, long = raw_table(write(tmp_path, ["a b", "a\tx\tsurplus"])).examples
    assert not hasattr(short, "label")
    assert vars(long) == {"text": ["a"], "label": "x"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a\tx", "b"], r"line 2: 1 column\(s\), not 2: 'b'"),
        (["a\tx\ty"], r"line 1: 3 column\(s\), not 2"),
        (["a\tx", "", "b\ty"], r"line 2: 1 column\(s\)"),
        (["a\tx", " \ty"], "line 2: nothing in column 'text'"),
        (["a\t"], "line 1: nothing in column 'label'"),
        ([], "is empty"),
        (["", " ", ""], "is empty"),
    ],
)
def test_a_bad_table_names_its_line(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        text.load_table(write(tmp_path, lines), [("text", text.text_field()), ("label", text.LabelField())])


def test_torchtext_takes_quotes_for_brackets(tmp_path):
    lines = ['"open\tx', "second\ty", 'third" one\tx']
    assert len(raw_table(write(tmp_path, lines))) == 1  # three lines have become one
    dataset = text.load_table(write(tmp_path, lines), [("text", text.text_field()), ("label", text.LabelField())])
    assert [e.text for e in dataset] == [['"open'], ["second"], ['third"', "one"]]


def test_a_missing_file_and_a_wrong_encoding(tmp_path):
    fields = [("text", text.text_field())]
    with pytest.raises(DataError, match="does not exist; nothing is downloaded"):
        text.load_table(tmp_path / "none.tsv", fields)
    (tmp_path / "latin1.tsv").write_bytes("ab é".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8: byte 0xe9 at 3"):
        text.load_table(tmp_path / "latin1.tsv", fields)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfa b\tx\nc\ty\n", b"a b\tx\r\nc\ty\r\n", b"a b\tx\nc\ty"])
def test_marks_line_ends_and_a_missing_last_one_do_not_matter(tmp_path, content):
    (tmp_path / "t.tsv").write_bytes(content)
    dataset = text.load_table(tmp_path / "t.tsv", [("text", text.text_field()), ("label", text.LabelField())])
    assert [(e.text, e.label) for e in dataset] == [(["a", "b"], "x"), (["c"], "y")]


def test_rare_line_separators_stay_in_their_cell(tmp_path):
    dataset = text.load_table(write(tmp_path, ["a\u2028b\x85c"]), [("text", text.text_field(list))])
    assert dataset[0].text == list("a\u2028b\x85c")


def test_a_column_can_be_left_out(tmp_path):
    dataset = text.load_table(write(tmp_path), [("text", text.text_field()), ("label", None)])
    assert vars(dataset[1]) == {"text": ["a", "b"]}


def test_torchtext_data_sets_point_to_the_network_and_are_not_offered():
    assert torchtext.datasets.Multi30k.urls[0].startswith("http://www.quest.dcs.shef.ac.uk/")  # gone: pytorch/text#1756
    offered = [value for value in vars(text).values() if isinstance(value, type) and issubclass(value, text.Dataset)]
    assert set(offered) == {text.Dataset, text.TabularDataset}
    assert not any(getattr(cls, "urls", None) for cls in offered)


def test_torchtext_vectors_switch_off_the_check_of_certificates(tmp_path, monkeypatch):
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl.create_default_context)
    (tmp_path / "v.txt").write_text("a 1 2 3\nb 4 5 6\n", encoding="utf-8")
    torchtext.vocab.Vectors(str(tmp_path / "v.txt"), cache=str(tmp_path))
    assert ssl._create_default_https_context is ssl._create_unverified_context
    assert not hasattr(text, "Vectors")


# ---------------------------------------------------------------- buckets


def raw_iterator(dataset, **arguments):
    return text.BucketIterator(dataset, 4, sort_key=lambda e: len(e.text), **arguments)


def padding(batches) -> int:
    return sum(int((lengths.max() - lengths).sum()) for _, lengths in batches)


def test_torchtext_buckets_only_when_it_sorts_within_the_batch():
    dataset, _ = examples([1, 9] * 20)
    random.seed(0)
    loose, bucketed = raw_iterator(dataset), raw_iterator(dataset, sort_within_batch=True)
    assert padding(b.text for b in loose) > 60
    assert padding(b.text for b in bucketed) == 0
    assert padding(text.bucket_batches(dataset, 4)) == 0


def test_torchtext_shuffles_as_python_did_when_it_was_built():
    dataset, field = examples(range(1, 30))
    random.seed(1)
    first, second = raw_iterator(dataset), raw_iterator(dataset)
    random.seed(2)  # too late
    orders = [[i for b in it for i in places(b.text, field)] for it in (first, second)]
    assert orders[0] == orders[1]  # both captured the same state
    random.seed(1)
    assert [i for b in raw_iterator(dataset) for i in places(b.text, field)] == orders[0]


def test_the_seed_alone_decides_our_order():
    dataset, field = examples(range(1, 30))

    def order(seed, state):
        random.seed(state)
        return [places(batch, field) for batch in text.bucket_batches(dataset, 4, seed=seed)]

    assert order(0, 1) == order(0, 2) != order(1, 1)


def test_python_s_random_numbers_stay_as_they_are():
    dataset, _ = examples(range(1, 30))
    random.seed(3)
    before = random.getstate()
    list(text.bucket_batches(dataset, 4))
    assert random.getstate() == before


def test_torchtext_cannot_evaluate_without_a_sort_key():
    dataset, _ = examples(range(1, 9))
    with pytest.raises(TypeError):
        list(text.BucketIterator(dataset, 4, train=False))
    assert len(list(text.bucket_batches(dataset, 4, train=False))) == 2


@pytest.mark.parametrize("train", [True, False])
@given(st.lists(st.integers(1, 9), min_size=1, max_size=450), st.integers(1, 5), st.integers(0, 3))
def test_the_batches_are_those_of_the_plain_sampler(train, lengths, batch_size, seed):
    dataset, field = examples(lengths)
    ours = text.bucket_batches(dataset, batch_size, train=train, seed=seed)
    plain = BucketSampler(lengths, batch_size, shuffled=text.shuffler(seed) if train else None)
    for _ in range(2):  # epochs
        batches = list(ours)
        expected = list(plain)
        assert [places(batch, field) for batch in batches] == expected
        assert [batch[1].tolist() for batch in batches] == [[lengths[i] for i in indices] for indices in expected]
    assert len(ours) == len(plain) == len(batches)


def test_other_columns_follow(tmp_path):
    dataset = table(tmp_path)
    seen = []
    for x, lengths, y in text.bucket_batches(dataset, 3):
        assert x.shape == (len(y), lengths.max())
        torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)  # sorted, as this wants them
        seen += y.tolist()
    assert Counter(seen) == {dataset.fields["label"].vocab["x"]: 4, dataset.fields["label"].vocab["y"]: 3}


def test_evaluation_has_one_order():
    dataset, field = examples([3, 1, 2] * 5)
    batches = text.bucket_batches(dataset, 4, train=False)
    assert [places(b, field) for b in batches] == [places(b, field) for b in batches]


@pytest.mark.parametrize("arguments", [{"batch_size": 0}, {"batch_size": 4, "text": "body"}])
def test_bad_arguments_of_the_buckets(arguments):
    dataset, _ = examples([1, 2])
    with pytest.raises(ValueError, match="found 2 examples of text"):
        text.bucket_batches(dataset, **arguments)


# ---------------------------------------------------------------- streams


def stream_field(tokens, **arguments):
    field = text.Field(**arguments)
    field.build_vocab([tokens])
    example = text.Example.fromlist([tokens], [("text", field)])
    return field, text.Dataset([example], [("text", field)])


def test_torchtext_streams_clear_the_end_token():
    field, dataset = stream_field(list("abcdef"), eos_token="<eos>")
    list(text.BPTTIterator(dataset, 2, 2))
    assert field.eos_token is None


def test_torchtext_streams_refuse_lengths():
    _, dataset = stream_field(list("abcdef"), include_lengths=True)
    with pytest.raises(ValueError, match="include_lengths"):
        list(text.BPTTIterator(dataset, 2, 2))


def test_torchtext_streams_end_in_padding():
    field, dataset = stream_field(list("abcde"))
    targets = torch.cat([b.target for b in text.BPTTIterator(dataset, 2, 2)])  # (T, B)
    assert field.vocab["<pad>"] in targets


def test_our_streams_leave_the_field_alone_and_hold_no_padding():
    field = text.text_field(list, eos_token="<eos>")
    dataset = text.Dataset([text.Example.fromlist(["abcde"], [("text", field)])], [("text", field)])
    vocab = text.build_vocabulary(field, dataset)
    batches = list(text.bptt_batches(dataset[0].text, vocab, 2, 2))
    assert field.eos_token == "<eos>"
    assert field.include_lengths
    assert all(vocab["<pad>"] not in torch.cat(batch, dim=1) for batch in batches)


def plain(numbers, batch_size, bptt_len):
    rows = numbers[: len(numbers) // batch_size * batch_size].view(batch_size, -1)  # (B, N)
    for t in range(0, rows.size(1) - 1, bptt_len):
        y = rows[:, t + 1 : t + 1 + bptt_len]
        yield rows[:, t : t + y.size(1)], y


@given(st.integers(2, 80), st.integers(1, 6), st.integers(1, 9))
def test_the_streams_are_those_of_ten_plain_lines(n, batch_size, bptt_len):
    tokens = [f"w{i}" for i in range(n)]
    vocab = text.Vocabulary(Counter(tokens))
    if n < 2 * batch_size:
        with pytest.raises(ValueError, match="two tokens per row"):
            text.bptt_batches(tokens, vocab, batch_size, bptt_len)
        return
    ours = text.bptt_batches(tokens, vocab, batch_size, bptt_len)
    theirs = list(plain(torch.tensor([vocab[t] for t in tokens]), batch_size, bptt_len))
    assert len(ours) == len(theirs)
    for _ in range(2):  # epochs
        for (x, y), (x_plain, y_plain) in zip(ours, theirs, strict=True):
            assert torch.equal(x, x_plain)
            assert torch.equal(y, y_plain)


def test_an_unknown_token_of_a_stream_changes_nothing():
    vocab = text.Vocabulary(Counter("abcd"))
    x = torch.cat([x for x, _ in text.bptt_batches(list("abzdab"), vocab, 1, 2)], dim=1)
    assert x.tolist() == [[2, 3, 0, 5, 2]]
    assert len(vocab.stoi) == 6


@pytest.mark.parametrize("arguments", [(0, 2), (-1, 2), (2, 0), (4, 2)])
def test_bad_arguments_of_the_streams(arguments):
    with pytest.raises(ValueError, match="found 6 tokens"):
        text.bptt_batches(list("abcdef"), text.Vocabulary(Counter("abcdef")), *arguments)
