"""How the exercises of the book are checked: ``check("2.1.3", answer)``.

An exercise is a function registered under its number (chapter.notebook.exercise). It gets the
learner's answer, tries it on many cases and calls ``expect_...`` helpers, which raise
:class:`Wrong` with a message that says what was found, never what the answer is.
"""

import importlib
import inspect
from collections.abc import Callable

import torch

PARTS = {  # what the numbers of the exercises begin with, and the module that checks them
    "1": "background",
    "2": "concepts",
    "3.1": "mathematics.recurrence",
    "3.2": "mathematics.backpropagation",
    "3.3": "mathematics.gradients",
    "3.4": "mathematics.lstm",
    "3.5": "mathematics.gru",
    "3.6": "mathematics.memory",
    "4.1": "practice.modules",
    "4.2": "practice.lengths",
    "4.3": "practice.text",
    "4.4": "practice.training",
    "4.5": "practice.speed",
    "5.1": "applications.generation",
    "5.2": "applications.summarization",
    "5.3": "applications.translation",
    "5.4": "applications.stocks",
    "5.5": "applications.weather",
    "5.6": "applications.load",
    "5.7": "applications.speech",
    "5.8": "applications.captions",
    "6": "tools",
    "7.1": "outlook.limits",
    "7.2": "outlook.modern",
    "8": "faq",
}
_CHECKS: dict[str, Callable] = {}


class Wrong(Exception):
    """The answer is not right; the message is the hint the learner sees."""


def exercise(number: str) -> Callable[[Callable], Callable]:
    """Register a function as the check of exercise ``number``."""

    def register(function: Callable) -> Callable:
        if number in _CHECKS:
            raise ValueError(f"exercise {number} has two checks")
        _CHECKS[number] = function
        return function

    return register


def numbers() -> list[str]:
    """All exercises that have a check, in order."""
    for part in PARTS.values():
        importlib.import_module(f"utils.exercises.{part}")
    return sorted(_CHECKS, key=lambda number: [int(piece) for piece in number.split(".")])


class Verdict(int):
    """True or False, but silent when it is the last line of a notebook cell: the message says it all."""

    def _ipython_display_(self) -> None:
        pass


RIGHT, NOT_YET = Verdict(True), Verdict(False)


def check(number: str, answer: object) -> Verdict:
    """Try ``answer`` (a value or a function) on exercise ``number``; print the verdict and return it.

    Nothing is raised for a wrong answer, whatever it is, so that a notebook keeps running. An
    ``answer`` of ``...`` counts as not yet tried.

    Raises:
        ValueError: there is no such exercise.
    """
    if number not in numbers():
        nearby = [n for n in numbers() if n.rsplit(".", 1)[0] == number.rsplit(".", 1)[0]]
        raise ValueError(f"no exercise {number!r}; there are {', '.join(nearby or numbers())}")
    if answer is Ellipsis:
        print(f"Exercise {number}: not tried yet. Put your answer in place of the dots.")
        return NOT_YET
    generator_state = torch.get_rng_state()  # a check must not change the random numbers of the page
    try:
        _CHECKS[number](answer)
    except Wrong as wrong:
        print(f"Exercise {number}: not yet. {wrong}")
        return NOT_YET
    except Exception as error:  # the learner's own code may raise anything
        print(f"Exercise {number}: your answer raised {type(error).__name__}: {error}")
        return NOT_YET
    finally:
        torch.set_rng_state(generator_state)
    print(f"Exercise {number}: right.")
    return RIGHT


# ---------------------------------------------------------------- helpers for the checks


def expect_callable(answer: object, parameters: int) -> None:
    """The answer must be a function (or class, or module) that takes ``parameters`` arguments."""
    if not callable(answer):
        raise Wrong(f"Give the function itself (without brackets behind it); found {type(answer).__name__}.")
    try:
        inspect.signature(answer).bind(*[None] * parameters)
    except TypeError:
        raise Wrong(f"The function should take {parameters} argument(s).") from None
    except ValueError:  # a built-in without a signature: let the cases decide
        pass


def matches(found: object, expected: torch.Tensor) -> bool:
    """Whether ``found`` is the tensor ``expected``, up to rounding: to recognise a known mistake."""
    fits = isinstance(found, torch.Tensor) and found.shape == expected.shape and not found.is_complex()
    return fits and torch.allclose(found.detach().double(), expected.detach().double())


def expect_tensor(found: object, expected: torch.Tensor, case: str, tolerance: float = 1e-6) -> None:
    """Same shape and values as ``expected``; the message names the first wrong index, not the value due."""
    if found is None or found is Ellipsis:
        raise Wrong(f"{case}: your function returned nothing. Does it end in `return`?")
    if not isinstance(found, torch.Tensor):
        raise Wrong(f"{case}: expected a torch tensor, found {type(found).__name__}.")
    if found.shape != expected.shape:
        raise Wrong(f"{case}: expected shape {tuple(expected.shape)}, found {tuple(found.shape)}.")
    if found.is_complex():
        raise Wrong(f"{case}: expected real numbers, found complex ones.")
    found, expected = found.detach().double(), expected.detach().double()  # not cut to whole numbers; no warning
    size = expected[expected.isfinite()].abs().max() if expected.isfinite().any() else 0.0
    error = torch.where(found == expected, 0.0, (found - expected).abs())  # inf - inf would be NaN
    wrong = ~(error <= tolerance * (1 + size))  # NaN counts as wrong
    if wrong.any():
        index = tuple(wrong.nonzero()[0].tolist())
        raise Wrong(
            f"{case}: the shape is right, but {int(wrong.sum())} of {wrong.numel()} values are not; "
            f"the first at index {index}, where you have {float(found[index]):.6g}."
        )


def expect_bool(found: object, case: str) -> None:
    """True or False, in any of the forms that Python, NumPy and torch give them."""
    one = str(getattr(found, "dtype", "")) in ("bool", "torch.bool") and len(found.reshape(-1)) == 1
    if not (one or isinstance(found, bool)):
        raise Wrong(f"{case}: expected True or False, found {type(found).__name__}.")


def expect_number(found: object, expected: float, case: str, tolerance: float = 1e-6) -> None:
    """A number (or one-element tensor) within a relative tolerance of ``expected``."""
    if found is None or found is Ellipsis:
        raise Wrong(f"{case}: your answer is empty. If it is a function, does it end in `return`?")
    try:
        value = float(found.detach() if isinstance(found, torch.Tensor) else found)
        if isinstance(found, str):
            raise TypeError("a text that reads like a number is still a text")
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"{case}: expected a number, found {type(found).__name__}.") from None
    if not abs(value - expected) <= tolerance * (1 + abs(expected)):
        raise Wrong(f"{case}: {value:g} is not it.")
