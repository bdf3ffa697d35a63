"""Tests of utils.data.names: what is in the data, no name in two splits, and bad input refused."""

import dataclasses
import unicodedata
from collections import Counter

import pytest
import torch

from utils.data.names import KINDS, LANGUAGES, Characters, Name, load_names, split_names

NAMES = load_names()
SPLITS = split_names(NAMES)


def of_one(language: str, how_many: int) -> list[Name]:
    return [Name(f"{language} {i}", language, "languages") for i in range(how_many)]


# ---------------------------------------------------------------- what is in it


def test_languages_kinds_and_sizes():
    assert len(LANGUAGES) == 15
    assert {name.language for name in NAMES} == set(LANGUAGES)
    assert {name.kind for name in NAMES} == set(KINDS)
    assert 11_000 < len(NAMES) < 13_000  # 11,871 with Babel 2.18; another CLDR has a few more or less
    sizes = Counter(name.language for name in NAMES)
    assert min(sizes.values()) > 500
    assert max(sizes.values()) < 2.5 * min(sizes.values())  # no language rules the accuracy


def test_some_names_are_where_they_belong():
    languages = {name.text: name.language for name in NAMES}
    assert (languages["Frankreich"], languages["Fransa"], languages["Franciaország"]) == ("de", "tr", "hu")
    assert "Francia" not in languages  # Spanish and Italian
    assert "Tyskland" not in languages  # Danish and Swedish


def test_names_are_written_in_latin_letters_without_stray_spaces():
    for name in NAMES:
        assert name.text
        assert name.text == name.text.strip()
        letters = [unicodedata.name(c) for c in name.text if c.isalpha()]
        assert all("LATIN" in letter or "MODIFIER" in letter for letter in letters), name  # as the ʻ of Paʻanga


def test_sorted_by_language_kind_and_text():
    codes = list(LANGUAGES)
    keys = [(codes.index(name.language), KINDS.index(name.kind), name.text) for name in NAMES]
    assert keys == sorted(keys)


def test_no_name_has_two_languages_or_stands_twice_even_up_to_capitals():
    assert len({name.text.casefold() for name in NAMES}) == len(NAMES)


def test_a_name_that_two_of_the_chosen_languages_share_is_left_out_and_comes_back_alone():
    both = {name.text for name in load_names(["da", "sv"])}
    with_german = {name.text for name in load_names(["sv", "de"])}
    assert "Tyskland" not in both  # the same in Danish and Swedish
    assert "Tyskland" in with_german


def test_the_order_of_the_languages_changes_no_member():
    one, other = load_names(["fr", "it"]), load_names(["it", "fr"])
    assert {(name.text.casefold(), name.language) for name in one} == {
        (name.text.casefold(), name.language) for name in other
    }
    assert other[0].language == "it"


def test_names_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        NAMES[0].text = "other"


# ---------------------------------------------------------------- the split


def test_splits_share_no_name_even_up_to_capitals():
    train, validation, test = ({name.text.casefold() for name in part} for part in SPLITS)
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert len(train) + len(validation) + len(test) == len(NAMES)


def test_every_language_is_shared_out_in_the_same_shares():
    total = Counter(name.language for name in NAMES)
    for part, share in zip(SPLITS, (0.7, 0.1, 0.2), strict=True):
        for language, count in Counter(name.language for name in part).items():
            assert abs(count - share * total[language]) <= 1


def test_split_is_fixed_by_its_seed_and_leaves_the_global_random_numbers_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert split_names(NAMES) == SPLITS
    assert split_names(NAMES, seed=1) != SPLITS
    assert torch.equal(torch.get_rng_state(), before)
    assert load_names() == NAMES


def test_other_shares():
    train, validation, test = split_names(of_one("de", 10) + of_one("fr", 20), shares=(0.5, 0.2, 0.3))
    assert [len(part) for part in (train, validation, test)] == [15, 6, 9]
    assert Counter(name.language for name in validation) == {"de": 2, "fr": 4}


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("codes", [[], ["de"], ["de", "de"], ["de", "fr", "de"]])
def test_fewer_than_two_languages_or_one_twice(codes):
    with pytest.raises(ValueError, match="two or more different language codes"):
        load_names(codes)


@pytest.mark.parametrize("code", ["xx", "klingon", "", "d e"])
def test_a_language_that_the_cldr_does_not_know_is_named(code):
    with pytest.raises(ValueError, match=rf"unknown language '{code}'; the CLDR's codes are like"):
        load_names(["de", code])


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.0), (0.7, 0.2, 0.2), (1.2, -0.1, -0.1)])
def test_shares_that_make_no_sense(shares):
    with pytest.raises(ValueError, match="three positive shares that add up to 1"):
        split_names(NAMES, shares=shares)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_names_of_one_language_are_named(count):
    with pytest.raises(ValueError, match=f"{count} names of 'fr' are too few"):
        split_names(of_one("de", 100) + of_one("fr", count))


# ---------------------------------------------------------------- characters


def test_characters_are_numbered_from_two_in_order():
    characters = Characters(["ba", "cab"])
    assert characters.symbols == ["a", "b", "c"]
    assert len(characters) == 5
    assert characters.encode("abc").tolist() == [2, 3, 4]
    assert characters.encode("abc").dtype == torch.long


def test_an_unseen_character_is_unknown_and_never_padding():
    characters = Characters(["ab"])
    assert characters.encode("aXb").tolist() == [2, Characters.UNKNOWN, 3]
    assert characters.encode("X").tolist() == [1]
    assert Characters.PAD == 0
    assert len(characters) == 4  # looking up an unseen character does not add it


def test_windows_of_up_to_n_characters_stand_around_their_step():
    characters = Characters(["abc"], n=4)
    assert characters.windows("abc") == [
        ["a", " a", " ab", "  ab"],
        ["b", "ab", "abc", " abc"],
        ["c", "bc", "bc ", "abc "],
    ]
    assert [Characters(["ab"], n=n).windows("ab")[0] for n in (1, 2, 3)] == [["a"], ["a", " a"], ["a", " a", " ab"]]


def test_windows_are_numbered_together_and_rare_ones_are_unknown():
    characters = Characters(["ab", "abc"], n=3, min_count=2)
    assert characters.symbols == [" a", " ab", "a", "ab", "b"]
    assert characters.encode("ab").tolist() == [[4, 2, 3], [6, 5, 1]]
    assert characters.encode("c").tolist() == [[1, 1, 1]]
    assert characters.encode("a").shape == (1, 3)


def test_one_character_is_a_sequence_of_length_one():
    assert Characters(["ab"]).encode("b").tolist() == [3]


def test_capitals_and_accents_are_characters_of_their_own():
    characters = Characters(["Éé eE"])
    assert len(set(characters.encode("ÉéeE").tolist())) == 4


def test_characters_of_the_training_names_cover_nearly_everything():
    train, _, test = SPLITS
    characters = Characters(name.text for name in train)
    numbers = torch.cat([characters.encode(name.text) for name in test])
    assert numbers.max() < len(characters)
    assert (numbers == Characters.PAD).sum() == 0
    assert (numbers == Characters.UNKNOWN).double().mean() < 0.001


def test_the_numbers_do_not_depend_on_the_order_of_the_texts():
    texts = [name.text for name in NAMES[:200]]
    assert Characters(texts).symbols == Characters(reversed(texts)).symbols


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_text_to_learn_from(texts):
    with pytest.raises(ValueError, match="no text to learn the characters from"):
        Characters(texts)


def test_an_empty_text_is_refused():
    with pytest.raises(ValueError, match="empty text"):
        Characters(["ab"]).encode("")
