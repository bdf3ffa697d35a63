"""Tests of utils.exercises: how a check runs, what the learner reads, and the helpers of the checks.

The exercises here are the tests' own: no test depends on a chapter's.
"""

import functools
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from utils import exercises
from utils.exercises import (
    Wrong,
    check,
    exercise,
    expect_callable,
    expect_number,
    expect_tensor,
    matches,
    numbers,
)


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """An empty registry, and no chapter to import."""
    monkeypatch.setattr(exercises, "PARTS", {})
    monkeypatch.setattr(exercises, "_CHECKS", {})
    return exercises._CHECKS


@pytest.fixture
def double(registry):
    """Exercise 9.1.1: a function that doubles a tensor."""

    @exercise("9.1.1")
    def check_double(answer):
        expect_callable(answer, 1)
        for size in (1, 3):
            x = torch.rand(size)
            expect_tensor(answer(x), 2 * x, f"{size} number(s)")


# ---------------------------------------------------------------- check


def test_a_right_answer(double, capsys):
    assert check("9.1.1", lambda x: x + x)
    assert capsys.readouterr() == ("Exercise 9.1.1: right.\n", "")


def test_a_wrong_answer_prints_the_hint(double, capsys):
    assert not check("9.1.1", lambda x: x * x)
    out = capsys.readouterr().out
    assert out.startswith("Exercise 9.1.1: not yet. 1 number(s): the shape is right, but 1 of 1 values are not")


@pytest.mark.parametrize("error", [ValueError("shapes differ"), KeyError("h"), ZeroDivisionError(), AssertionError()])
def test_an_answer_that_raises_is_told_what_it_raised(double, capsys, error):
    def answer(x):
        raise error

    assert not check("9.1.1", answer)
    assert capsys.readouterr().out == f"Exercise 9.1.1: your answer raised {type(error).__name__}: {error}\n"


def test_the_dots_are_not_tried_yet(double, capsys):
    assert not check("9.1.1", ...)
    assert capsys.readouterr().out.startswith("Exercise 9.1.1: not tried yet.")


NONSENSE = [None, 3, "text", [], torch.zeros(2), lambda: 1, lambda x: None, lambda x: ..., print]


@pytest.mark.parametrize("answer", NONSENSE)
def test_any_other_answer_is_wrong_and_raises_nothing(double, capsys, answer):
    assert not check("9.1.1", answer)
    out = capsys.readouterr().out
    assert "Exercise 9.1.1: not yet." in out or "Exercise 9.1.1: your answer raised" in out


def test_the_learner_can_interrupt(double):
    def answer(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("9.1.1", answer)


@pytest.mark.parametrize("answer", [lambda x: 2 * x, lambda x: x, lambda x: 1 / 0, ..., lambda x: torch.manual_seed(5)])
def test_the_random_numbers_of_the_page_stay(double, answer):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    check("9.1.1", answer)
    assert torch.equal(torch.rand(3), expected)


# ---------------------------------------------------------------- numbers and the registry


def test_an_unknown_number_lists_those_of_its_notebook_in_order(registry):
    for number in ("9.1.10", "9.1.2", "9.2.1", "9.1.1"):
        exercise(number)(print)
    assert numbers() == ["9.1.1", "9.1.2", "9.1.10", "9.2.1"]
    with pytest.raises(ValueError, match=r"^no exercise '9\.1\.3'; there are 9\.1\.1, 9\.1\.2, 9\.1\.10$"):
        check("9.1.3", None)
    with pytest.raises(ValueError, match=r"^no exercise '7\.1\.1'; there are 9\.1\.1, 9\.1\.2, 9\.1\.10, 9\.2\.1$"):
        check("7.1.1", None)


def test_the_parts_are_imported_when_needed(monkeypatch, registry):
    part = ModuleType("utils.exercises.my_part")
    monkeypatch.setitem(sys.modules, part.__name__, part)
    monkeypatch.setattr(exercises, "PARTS", {"9": "my_part"})
    assert numbers() == []
    monkeypatch.setattr(exercises, "PARTS", {"9": "no_such_part"})
    with pytest.raises(ModuleNotFoundError, match="no_such_part"):
        numbers()


def test_a_number_has_one_check(double):
    with pytest.raises(ValueError, match=r"exercise 9\.1\.1 has two checks"):
        exercise("9.1.1")(print)


def test_a_registered_check_stays_a_function(registry):
    def function(answer):
        return "kept"

    assert exercise("9.9.9")(function) is function
    assert registry == {"9.9.9": function}


# ---------------------------------------------------------------- expect_callable


class Two:
    def __init__(self, a, b): ...


@pytest.mark.parametrize(
    ("answer", "parameters"),
    [
        (lambda a, b: 0, 2),
        (lambda a, b=1: 0, 1),
        (lambda a, b=1: 0, 2),
        (lambda *a: 0, 5),
        (functools.partial(lambda a, b: 0, 1), 1),
        (Two, 2),
        (nn.Linear(2, 2), 1),
        (max, 2),  # has no signature
    ],
)
def test_callables_that_take_the_number_of_arguments_pass(answer, parameters):
    expect_callable(answer, parameters)


@pytest.mark.parametrize(
    ("answer", "parameters"),
    [(lambda a: 0, 2), (lambda a, b: 0, 1), (lambda: 0, 1), (lambda a, *, b: 0, 1), (Two, 3), (Two, 1)],
)
def test_another_number_of_arguments_is_told(answer, parameters):
    with pytest.raises(Wrong, match=rf"should take {parameters} argument\(s\)"):
        expect_callable(answer, parameters)


@pytest.mark.parametrize(("answer", "kind"), [(3.0, "float"), (None, "NoneType"), (torch.zeros(1), "Tensor")])
def test_a_result_in_place_of_the_function_is_told(answer, kind):
    with pytest.raises(Wrong, match=rf"the function itself \(without brackets behind it\); found {kind}"):
        expect_callable(answer, 1)


# ---------------------------------------------------------------- expect_tensor

DUE = torch.tensor([[11.5, 22.5, 33.5], [44.5, 55.5, 66.5]])


def changed(values: dict[tuple, float]) -> torch.Tensor:
    found = DUE.clone()
    for index, value in values.items():
        found[index] = value
    return found


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (DUE.clone(), DUE),
        (DUE.double(), DUE),
        (DUE.clone().requires_grad_() * 1, DUE),
        (DUE + 1e-6, DUE),
        (torch.tensor([1, 2]), torch.tensor([1.0, 2.0])),
        (torch.tensor([1.0, 2.0]), torch.tensor([1, 2])),
        (torch.tensor([True, False]), torch.tensor([True, False])),
        (torch.tensor([0.5, -torch.inf]), torch.tensor([0.5, -torch.inf])),
        (torch.tensor(3.0), torch.tensor(3.0)),
        (torch.zeros(0, 2), torch.zeros(0, 2)),
    ],
)
def test_tensors_that_are_right_pass(found, expected):
    expect_tensor(found, expected, "case")


@pytest.mark.parametrize(
    ("found", "same"), [(DUE.double(), True), (DUE.long(), False), (DUE + 0j, False), (DUE.tolist(), False)]
)
def test_a_known_mistake_is_recognised_in_any_dtype(found, same):
    assert matches(found, DUE) is same


@pytest.mark.parametrize(
    ("found", "wrong", "index", "have"),
    [
        (changed({(1, 2): 7.0}), 1, (1, 2), "7"),
        (changed({(1, 0): 7.0, (0, 2): 8.25, (1, 1): 9.0}), 3, (0, 2), "8.25"),
        (changed({(0, 1): torch.nan}), 1, (0, 1), "nan"),
        (changed({(0, 0): torch.inf}), 1, (0, 0), "inf"),
        (changed({(0, 1): 22.501}), 1, (0, 1), "22.501"),
        (changed({(0, 1): 7.0}).requires_grad_() * 1, 1, (0, 1), "7"),
        (DUE.long(), 6, (0, 0), "11"),
    ],
)
def test_the_first_wrong_index_is_named_and_the_values_due_are_not(found, wrong, index, have):
    with pytest.raises(Wrong) as caught:
        expect_tensor(found, DUE, "two steps")
    message = str(caught.value)
    assert message.startswith("two steps: the shape is right")
    assert f"{wrong} of 6 values" in message
    assert message.endswith(f"the first at index {index}, where you have {have}.")
    assert not any(f"{value:g}" in message.replace("22.501", "") for value in DUE.flatten().tolist())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([1.9, 2.0], [1, 2]),  # must not be cut to whole numbers
        ([True, True], [True, False]),
        ([0.5, 3.0], [0.5, -torch.inf]),
        ([9.5, -torch.inf], [0.5, -torch.inf]),  # an infinite value must not make the tolerance infinite
        ([0.5, torch.inf], [0.5, -torch.inf]),
    ],
)
def test_whole_numbers_truth_values_and_infinities_are_compared(found, expected):
    with pytest.raises(Wrong, match="1 of 2 values are not"):
        expect_tensor(torch.tensor(found), torch.tensor(expected), "case")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "Does it end in `return`"),
        (..., "Does it end in `return`"),
        (3.0, "expected a torch tensor, found float"),
        (DUE.tolist(), "found list"),
        (DUE.numpy(), "found ndarray"),
        (DUE.T, r"expected shape \(2, 3\), found \(3, 2\)"),
        (DUE[:1], r"expected shape \(2, 3\), found \(1, 3\)"),
        (DUE[None], r"found \(1, 2, 3\)"),
        (torch.tensor(1.0), r"found \(\)"),
        (DUE + 1j, "expected real numbers"),
    ],
)
def test_something_else_than_the_tensor_is_told(found, message):
    with pytest.raises(Wrong, match=f"two steps: .*{message}"):
        expect_tensor(found, DUE, "two steps")


@pytest.mark.parametrize(("tolerance", "passes"), [(1e-3, False), (1e-1, True)])
def test_the_tolerance_is_relative_to_the_largest_value(tolerance, passes):
    expected, found = torch.tensor([1.0, 99.0]), torch.tensor([1.5, 99.0])  # off by 0.5, largest value 99
    if passes:
        expect_tensor(found, expected, "case", tolerance)
    else:
        with pytest.raises(Wrong, match=r"first at index \(0,\)"):
            expect_tensor(found, expected, "case", tolerance)


# ---------------------------------------------------------------- expect_number


@pytest.mark.parametrize("found", [2.5, np.float64(2.5), torch.tensor(2.5), torch.tensor([[2.5]]), 2.5 + 1e-7])
def test_numbers_that_are_right_pass(found):
    expect_number(found, 2.5, "case")


def test_a_number_with_a_gradient_passes_without_a_warning():
    expect_number(torch.tensor(2.5, requires_grad=True), 2.5, "case")  # a warning would be an error


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (7.25, "case: 7.25 is not it"),
        (2.501, "2.501 is not it"),
        (float("nan"), "nan is not it"),
        (float("inf"), "inf is not it"),
        (None, "your answer is empty"),
        (..., "your answer is empty"),
        ("many", "expected a number, found str"),
        ("2.5", "expected a number, found str"),
        ([2.5], "expected a number, found list"),
        (2.5 + 0j, "expected a number, found complex"),
        (torch.zeros(2), "expected a number, found Tensor"),
        (np.zeros(2), "expected a number, found ndarray"),
    ],
)
def test_other_answers_are_told_and_the_number_due_is_not(found, message):
    with pytest.raises(Wrong, match=message) as caught:
        expect_number(found, 2.5, "case")
    assert "2.5 " not in str(caught.value)


def test_a_tolerance_of_zero_is_exact():
    expect_number(12, 12, "case", tolerance=0)
    with pytest.raises(Wrong):
        expect_number(12.0000001, 12, "case", tolerance=0)


def test_verdict_is_silent_in_a_notebook_and_reads_as_a_truth_value(double, capsys):
    verdict = check("9.1.1", lambda x: x + x)
    capsys.readouterr()
    assert verdict._ipython_display_() is None
    assert capsys.readouterr().out == ""
    assert bool(verdict)
    assert not bool(check("9.1.1", ...))
