"""Captions: scenes against their own boxes, the split of the writers, words and batches, the reader's own images."""

import functools
import itertools
import random

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from utils import train
from utils.data import captions as data
from utils.data.captions import PLURAL, SCENE_WORDS, SINGULAR, Scenes, caption_batches, digit_images, make_scenes
from utils.data.files import DataError
from utils.data.translation import END, PAD, START
from utils.models.captioner import Captioner, GridEncoder
from utils.tasks import captions as tasks

PARTS = ("train", "validation", "test")


@functools.cache
def scenes(part="test", n=300, unseen=False) -> Scenes:
    torch.manual_seed(n)
    return make_scenes(digit_images(part), n, unseen=unseen)


# ---------------------------------------------------------------- the split


def test_the_parts_are_whole_writers_in_the_order_of_the_data():
    """13 people, each with at least 120 digits and the same form."""
    whole = torch.cat([digit_images(part)[1] for part in PARTS])
    assert torch.equal(whole, torch.from_numpy(load_digits().target))
    for part in PARTS:
        first, last = data.WRITERS[part]
        images, classes = digit_images(part)
        assert images.shape == (len(classes), 8, 8)
        assert float(images.min()) == 0.0
        assert float(images.max()) == 1.0
        assert len(classes) >= 120 * (last - first)
        assert (classes[:30].view(3, 10) == torch.arange(10)).float().mean() > 0.9  # begins with a new form


def test_no_image_is_in_two_parts():
    pictures = {part: {tuple(image.flatten().tolist()) for image in digit_images(part)[0]} for part in PARTS}
    assert not pictures["train"] & pictures["validation"]
    assert not pictures["train"] & pictures["test"]
    assert not pictures["validation"] & pictures["test"]


@pytest.mark.parametrize("part", PARTS)
def test_scenes_show_only_digits_of_their_part_and_of_the_right_class(part):
    made = scenes(part, 60)
    known = {(int(c), *image.flatten().tolist()) for image, c in zip(*digit_images(part), strict=True)}
    for picture, digits, corners in zip(made.images[:, 0], made.digits, made.corners, strict=True):
        for d, (row, column) in zip(digits.tolist(), corners.tolist(), strict=True):
            if d >= 0:
                box = picture[row : row + 8, column : column + 8]
                assert (d, *box.flatten().tolist()) in known


# ---------------------------------------------------------------- scenes


def test_a_scene_is_its_boxes_and_paper():
    made = scenes()
    outside = made.images[:, 0].clone()
    for picture, digits, corners in zip(outside, made.digits, made.corners, strict=True):
        used = torch.zeros(40, 40)
        for d, (row, column) in zip(digits.tolist(), corners.tolist(), strict=True):
            if d >= 0:
                used[row : row + 8, column : column + 8] += 1
        assert used.max() == 1  # no box lies over another
        picture[used > 0] = 0
    assert outside.abs().max() == 0
    shown = (made.digits >= 0).sum(dim=1)
    assert set(shown.tolist()) == {2, 3, 4}


def boxes(made: Scenes, i: int) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    for d, corner in zip(made.digits[i].tolist(), made.corners[i].tolist(), strict=True):
        if d >= 0:
            found.setdefault(d, []).append(tuple(corner))
    return found


def by_hand(groups: dict[int, list[tuple[int, int]]]) -> set[str]:
    """All valid captions, group by group and box by box."""

    def name(d):
        if len(groups[d]) == 1:
            return f"an {SINGULAR[d]}" if d == 8 else f"a {SINGULAR[d]}"
        assert len(groups[d]) == 2
        return f"two {PLURAL[d]}"

    found = set()
    for x, y in itertools.permutations(groups, 2):
        pairs = list(itertools.product(groups[x], groups[y]))
        height = "top" if all(a[0] + 8 <= 20 for a in groups[x]) else "bottom"
        side = "left" if all(a[1] + 8 <= 20 for a in groups[x]) else "right"
        relations = {
            "above": all(a[0] + 8 <= b[0] for a, b in pairs),
            "below": all(b[0] + 8 <= a[0] for a, b in pairs),
            "left of": all(a[1] + 8 <= b[1] for a, b in pairs),
            "right of": all(b[1] + 8 <= a[1] for a, b in pairs),
        }
        found |= {f"{height} {side} {name(x)} {words} {name(y)}" for words, holds in relations.items() if holds}
    return found


@pytest.mark.parametrize("unseen", [False, True])
def test_captions_are_all_that_the_boxes_say(unseen):
    made = scenes(unseen=unseen)
    for i, captions in enumerate(made.captions()):
        assert len(captions) == len(set(captions)) >= 1
        assert set(captions) == by_hand(boxes(made, i))


def test_captions_by_example():
    corners = torch.tensor([[[0, 0], [20, 21], [32, 30], [0, 0]]])
    two = Scenes(torch.zeros(1, 1, 40, 40), torch.tensor([[6, 8, 8, -1]]), corners)
    expected = {f"top left a six {relation} two eights" for relation in ("above", "left of")}
    expected |= {f"bottom right two eights {relation} a six" for relation in ("below", "right of")}
    assert set(two.captions()[0]) == expected


def test_a_group_keeps_to_its_quarter_and_every_digit_to_its_cell():
    made = scenes()
    for i in range(len(made)):
        quarters = [{(row // 20, column // 20) for row, column in corners} for corners in boxes(made, i).values()]
        assert all(len(quarter) == 1 for quarter in quarters)
        assert len(set.union(*quarters)) == len(quarters)
    assert (made.corners % 10 <= 2).all()


def test_cells_say_what_lies_where():
    for made in (scenes(), data.make_sheets(digit_images("train"), 50)):
        expected = torch.full((len(made), 4, 4), -1)
        for i, digits in enumerate(made.digits.tolist()):
            for d, (row, column) in zip(digits, made.corners[i].tolist(), strict=True):
                if d >= 0:
                    assert expected[i, row // 10, column // 10] == -1  # no cell holds two
                    expected[i, row // 10, column // 10] = d
        assert torch.equal(made.cells(), expected)


def test_sheets_are_empty_full_and_all_between():
    sheets = data.make_sheets(digit_images("train"), 300)
    number = (sheets.digits >= 0).sum(dim=1)
    assert number.min() <= 1
    assert number.max() == 16
    assert set(sheets.digits.flatten().tolist()) == set(range(-1, 10))
    assert sheets.images.shape == (300, 1, 40, 40)


@pytest.mark.parametrize("unseen", [False, True])
def test_held_out_combinations_show_where_they_are_asked_for_and_nowhere_else(unseen):
    made, shows = scenes("train", 400, unseen), []
    for i in range(len(made)):
        groups, odd = boxes(made, i), False
        for a, b in ((a, b) for a in groups for b in groups):
            above = all(x[0] + 8 <= y[0] for x in groups[a] for y in groups[b])
            left = all(x[1] + 8 <= y[1] for x in groups[a] for y in groups[b])
            odd |= (above and b == (a + 4) % 10) or (left and b == (a + 3) % 10)
        shows.append(odd)
    assert all(odd == unseen for odd in shows)


def test_every_relation_place_number_and_digit_occurs():
    said = " ".join(caption for captions in scenes("train", 1500).captions() for caption in captions)
    assert set(said.split()) == set(SCENE_WORDS.words[4:])


def test_seeds_decide_the_scenes():
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        drawn.append(make_scenes(digit_images("validation"), 5).images)
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])


# ---------------------------------------------------------------- words, batches, scores


def test_batches_pair_each_image_with_its_captions():
    said = [[f"{word} a"] * (1 + i % 3) + [f"{word} above a nine"] for i, word in enumerate(SINGULAR)]
    random.seed(0)
    batches, seen = caption_batches(torch.arange(10.0), said, SCENE_WORDS, 4, most=3), []
    for x, y_in, y_out in batches:
        assert y_in.shape == y_out.shape
        assert y_in.shape[:2] == (len(x), max(len(said[int(i)][:3]) for i in x))
        assert y_in[..., 0].eq(START).all()
        none = y_out[..., 0].eq(PAD)  # an image of the batch that has fewer captions
        assert y_out[none].eq(PAD).all()
        assert y_in[..., 1:][none].eq(PAD).all()
        for i, k in (~none).nonzero().tolist():
            row = y_out[i, k]
            assert y_in[i, k, 1:].equal(torch.where(row[:-1] == END, PAD, row[:-1]))
            assert SCENE_WORDS.decode(row) in said[int(x[i])]
            assert (row == END).sum() == 1
            assert row[row.tolist().index(END) + 1 :].eq(PAD).all()
            seen.append(int(x[i]))
    assert [seen.count(i) for i in range(10)] == [min(3, len(captions)) for captions in said]


def test_scores_count_valid_captions_and_take_all_references():
    valid = [["a one above a two", "a two below a one"], ["a three left of a nine"]]
    best = data.caption_scores(["a two below a one", "a three left of a nine"], valid)
    assert best == pytest.approx({"valid": 100.0, "bleu": 100.0})
    half = data.caption_scores(["a two below a one", "a three right of a nine"], valid)
    assert half["valid"] == 50.0
    assert half["bleu"] < 100


def test_describe_is_the_same_alone_and_in_a_batch_greedy_and_with_a_beam_of_one():
    torch.manual_seed(0)
    model = Captioner(GridEncoder(1, 8), len(SCENE_WORDS), size=8, hidden=8).eval()
    images = scenes().images[:4]
    greedy = data.describe(model, images, SCENE_WORDS, max_length=6)
    assert greedy == [data.describe(model, x[None], SCENE_WORDS, max_length=6)[0] for x in images]
    assert len(data.describe(model, images, SCENE_WORDS, max_length=6, width=3)) == 4


# ---------------------------------------------------------------- the reader's own images


@pytest.fixture
def folder(tmp_path):
    for i in range(12):
        Image.new("RGB", (40 + i, 30), (20 * i, 0, 255)).save(tmp_path / f"{i}.png")
    lines = [f"{i}.png\tA {'dark' if i < 6 else 'bright'} picture\n{i}.png\tthe sea" for i in range(12)]
    (tmp_path / "captions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_a_folder_gives_its_images_with_their_captions(folder):
    Image.new("L", (9, 20), 128).save(folder / "0.png")  # grey
    images, captions = data.read_captions(folder / "captions.txt", size=16)
    assert images.shape == (12, 3, 16, 16)
    assert captions[0] == ["a dark picture", "the sea"]
    assert (images[0] - 128 / 255).abs().max() < 1e-6
    assert (images[5] - torch.tensor([100, 0, 255]).view(3, 1, 1) / 255).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("line", "content", "message"),
    [
        ("none.png\ta cat", None, r"names 'none.png', but there is no such image"),
        ("bad.png\ta cat", b"no image", r"names 'bad.png', which cannot be read as an image"),
        ("bad.png\ta cat", "cut", r"names 'bad.png', which cannot be read as an image"),
        ("0.png a cat", None, r"line 25: 1 column\(s\), not 2"),
        ("0.png\t ", None, r"line 25: nothing in column 'target'"),
    ],
)
def test_what_is_wrong_is_named(folder, line, content, message):
    if content == "cut":
        content = (folder / "3.png").read_bytes()[:60]
    if content is not None:
        (folder / "bad.png").write_bytes(content)
    with open(folder / "captions.txt", "a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        data.read_captions(folder / "captions.txt")


def test_no_list_and_an_empty_list(tmp_path):
    with pytest.raises(DataError, match=r"captions\.txt does not exist"):
        data.read_captions(tmp_path / "captions.txt")
    (tmp_path / "captions.txt").write_text("\n")
    with pytest.raises(DataError, match="is empty"):
        data.read_captions(tmp_path / "captions.txt")


# ---------------------------------------------------------------- the task


def test_a_folder_trains_from_the_command_line(folder, tmp_path, capsys):
    out = tmp_path / "run"
    command = ["captions", "--data", str(folder / "captions.txt"), "--epochs", "1", "--out", str(out)]
    assert train.main(command) == 0
    assert "most frequent caption" in capsys.readouterr().out
    (folder / "captions.txt").write_text("0.png\ta sea\n")
    assert train.main([*command[:-1], str(tmp_path / "other")]) == 2
    assert "at least ten are needed" in capsys.readouterr().err


def test_the_task_of_scenes_is_made_ready(monkeypatch):
    monkeypatch.setattr(data, "make_scenes", lambda digits, n: make_scenes(digits, 70))
    job = tasks.digits(torch.device("cpu"))
    loss, count = job.loss_fn(job.model, next(iter(job.batches)))
    loss.backward()
    assert 2 < float(loss.detach()) / int(count) < 5  # it knows nothing yet
    assert set(job.validate(job.model.eval())) == {"valid", "bleu"}
    assert job.baselines["most frequent caption"]["valid"] < 20
