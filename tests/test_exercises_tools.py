"""The checks of chapter 6.1: right answers pass, wrong ones get their hint."""

import re

import torch
from exercise_cases import shared_tests
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_sequence


def year_of(entry):
    found = re.search(r"\(((?:18|19|20)\d\d)\b", entry)
    return int(found.group(1)) if found else None


def targets(text):
    kept = []
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if not target.startswith("#") and target not in kept:
            kept.append(target)
    return kept


def final_states(gru, sequences):
    lengths = torch.tensor([len(s) for s in sequences])
    padded = pad_sequence(sequences, batch_first=True)
    return gru(pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False))[1].squeeze(0)


RIGHT = {
    "6.1.1": [year_of],
    "6.1.2": [targets],
    "6.1.3": [final_states, lambda gru, sequences: torch.cat([gru(s[None])[1][0] for s in sequences])],
}
WRONG = [
    ("6.1.1", lambda entry: int(re.search(r"\d{4}", entry).group()), "None is due"),
    ("6.1.1", lambda entry: re.search(r"\((\d{4})", entry).group(1), "whole number"),
    ("6.1.1", lambda entry: year_of(entry) or 0, "None is due; found 0"),
    ("6.1.1", lambda entry: int((re.findall(r"\((\d{4})\D", entry) or [0])[-1]) or None, "the first that fits"),
    ("6.1.2", lambda text: re.findall(r"\(([^)\s]+)\)", text), "no link"),
    ("6.1.2", lambda text: sorted(targets(text)), "in order"),
    ("6.1.2", lambda text: re.findall(r"\]\(([^)\s]+)\)", text), "repeated"),
    ("6.1.2", lambda text: list(dict.fromkeys(re.findall(r"\]\(([^)\s]+)\)", text))), "inside the page"),
    ("6.1.2", lambda text: targets(text.splitlines()[0]), "several lines"),
    ("6.1.2", lambda text: tuple(targets(text)), "expected a list"),
    ("6.1.3", lambda gru, s: gru(pad_sequence(s, batch_first=True))[1][0], "in falling order of length"),
    ("6.1.3", lambda gru, s: gru(pack_sequence(sorted(s, key=len, reverse=True)))[1][0], "in any order of length"),
    ("6.1.3", lambda gru, s: gru(pack_sequence(s, enforce_sorted=False))[1], "expected shape"),
]

test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
