"""Every exercise of the book: nonsense is refused without an exception, and the dots count as not tried."""

import pytest

from utils.exercises import check, numbers


def raises(*_):
    raise RuntimeError("the learner's own mistake")


VALUES = [None, "a string", "tanh", "seven", 3, 3.5, 7, [], (), ("", ""), {}]
FUNCTIONS = [lambda: 1, raises, lambda *_: None, lambda *_: "text", lambda *_: 1 / 0]


@pytest.mark.parametrize("number", numbers())
@pytest.mark.parametrize("answer", VALUES + FUNCTIONS)
def test_nonsense_fails_without_an_exception(number, answer, capsys):
    assert not check(number, answer)
    assert f"Exercise {number}" in capsys.readouterr().out


@pytest.mark.parametrize("number", numbers())
def test_dots_are_not_tried_yet(number, capsys):
    assert not check(number, ...)
    assert "not tried yet" in capsys.readouterr().out
