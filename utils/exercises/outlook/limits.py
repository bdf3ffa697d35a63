"""Checks of the exercises of chapter 7.1, where RNNs fail."""

import math

from utils.exercises import Wrong, exercise, expect_bool, expect_callable, expect_number


@exercise("7.1.1")
def parts_known(answer) -> None:
    """Whether every phrase of a command stands in a set of phrases."""
    expect_callable(answer, 2)
    known = {"walk", "walk twice", "turn left", "run around left thrice"}
    cases = {
        "walk": True,
        "run": False,
        "walk twice and turn left": True,
        "turn left after run around left thrice": True,
        "walk and walk thrice": False,
        "run around left and walk": False,
        "walk thrice after turn left": False,
    }
    for command, expected in cases.items():
        found = answer(command, set(known))
        expect_bool(found, f"For {command!r}")
        if bool(found) is not expected:
            raise Wrong(f"For {command!r} with the known phrases {sorted(known)}: {found} is not it.")


@exercise("7.1.2")
def pairs_held(answer) -> None:
    """From an accuracy to a number of pairs."""
    expect_callable(answer, 3)
    cases = {"everything": (1.0, 6, 8), "by guessing": (0.125, 8, 8), "in between": (0.6, 8, 4), "often": (0.71, 3, 16)}
    for case, (accuracy, k, V) in cases.items():
        guessed = 1 / V
        hint = f"Right {case} (accuracy {accuracy}, k = {k}, V = {V}; what does a guess add?)"
        expect_number(answer(accuracy, k, V), k * (accuracy - guessed) / (1 - guessed), hint)


@exercise("7.1.3")
def first_difference(answer) -> None:
    """The place of the first wrong action, or None."""
    expect_callable(answer, 2)
    cases = {
        "the same": ("I_WALK I_RUN", "I_WALK I_RUN", None),
        "a wrong first action": ("I_RUN I_RUN", "I_WALK I_RUN", 0),
        "a wrong later action": ("I_WALK I_LOOK I_RUN", "I_WALK I_RUN I_RUN", 1),
        "one that stops early": ("I_WALK I_RUN", "I_WALK I_RUN I_RUN", 2),
        "one that goes on too long": ("I_WALK I_RUN I_RUN", "I_WALK I_RUN", 2),
        "an empty one": ("", "I_JUMP", 0),
    }
    for case, (written, wanted, expected) in cases.items():
        found = answer(written, wanted)
        if expected is None and found is not None:
            raise Wrong(f"With two sequences that are {case}: expected None, found {found!r}.")
        if expected is not None:
            expect_number(found, expected, f"With {case}")


@exercise("7.1.4")
def reach(answer) -> None:
    """The lag at which a constant forget gate has let a gradient fall below a share."""
    expect_callable(answer, 2)
    for bias in (0.0, 1.0, 3.0, 9.0):
        f = 1 / (1 + math.exp(-bias))
        for share in (0.5, 1e-3, 1e-6):
            exact = math.log(share) / math.log(f)
            expected = math.ceil(exact - 1e-9)
            case = f"With the bias {bias:g} and the share {share:g} (the smallest whole lag, f = σ(bias))"
            expect_number(answer(bias, share), expected, case, tolerance=1e-3)  # in float32 a long one is out by a few
