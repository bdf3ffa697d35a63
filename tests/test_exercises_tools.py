"""The checks of chapter 6.1: right answers pass, wrong ones get their hint."""

import ast
import re

import torch
from exercise_cases import shared_tests
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_sequence


def attributes(program):
    return [node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Attribute) and node.attr == "data"]


def data_lines(program):
    found = set()
    for node in attributes(program):
        owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", None)
        if owner != "utils":
            found.add(node.lineno)
    return sorted(found)


def matching(pattern):
    return lambda program: [i for i, line in enumerate(program.splitlines(), 1) if re.search(pattern, line)]


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
    "6.1.1": [data_lines, lambda program: list(dict.fromkeys(data_lines(program)))],
    "6.1.2": [targets],
    "6.1.3": [final_states, lambda gru, sequences: torch.cat([gru(s[None])[1][0] for s in sequences])],
}
WRONG = [
    ("6.1.1", matching(r"\.data\b"), "a comment and a string"),
    ("6.1.1", matching(r"^[^#']*\.data"), "begin alike"),
    ("6.1.1", lambda program: sorted({node.lineno for node in attributes(program)}), "the modules"),
    (
        "6.1.1",
        lambda program: sorted(n.lineno for n in attributes(program) if "utils" not in program),
        "below a module",
    ),
    ("6.1.1", lambda program: [i - 1 for i in data_lines(program)], "[0] is not it"),
    (
        "6.1.1",
        lambda program: [1] * len(attributes(program)) if "grad" in program else data_lines(program),
        "two on one",
    ),
    ("6.1.1", lambda program: [i for i in data_lines(program) if "def" not in program], "inside a function"),
    ("6.1.1", lambda program: set(data_lines(program)), "expected a list"),
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
