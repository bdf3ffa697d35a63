"""What the tests of all exercises share: right answers pass, wrong ones get their hint, and no check is left out."""

import pytest

from utils import exercises
from utils.exercises import check


def shared_tests(right: dict[str, list], wrong: list[tuple]) -> tuple:
    """Three tests for one notebook's checks; the module that calls this gives them their names.

    Args:
        right: exercise number: answers that must pass.
        wrong: (number, answer, a part of the hint that it must get).
    """

    @pytest.mark.parametrize(("number", "answer"), [(k, a) for k, answers in right.items() for a in answers])
    def test_right_answers_pass(number, answer, capsys):
        assert check(number, answer), capsys.readouterr().out

    @pytest.mark.parametrize(("number", "answer", "hint"), wrong)
    def test_wrong_answers_get_their_hint(number, answer, hint, capsys):
        assert not check(number, answer)
        assert hint in capsys.readouterr().out

    def test_every_exercise_is_tried():
        chapter = min(right).rsplit(".", 1)[0]
        assert {n for n in exercises.numbers() if n.rsplit(".", 1)[0] == chapter} == set(right)
        assert {number for number, *_ in wrong} == set(right)

    return test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried
