"""SCAN: commands of a small language and the actions they mean (Lake & Baroni 2018; chapter 7.1).

"jump around left after walk twice" means: walk, walk, then four times turn left and jump. The grammar is so small
that a program of one page carries out all its 20,910 commands; the question is what a network learns from some of them.
"""

import random

VERBS, DIRECTIONS = ("walk", "run", "jump", "look"), ("left", "right")
REPEAT = {"twice": 2, "thrice": 3}
SHARE = {"jump": 0.1, "turn left": 0.1}  # how much of its training set the lone command fills, by repetition
SPLITS = ("simple", "length", *SHARE)
TURNS = {
    f"{verb} {how}{side}" for verb in (*VERBS, "turn") for how in ("", "opposite ", "around ") for side in DIRECTIONS
}
PHRASES = TURNS.union(VERBS)  # V of the grammar: "walk", "walk left", "turn left", "walk opposite left", …


def commands() -> list[str]:
    """All commands, sorted: a phrase, maybe repeated, and maybe a second one joined by "and" or "after"."""
    single = [f"{v}{times}" for v in PHRASES for times in ("", " twice", " thrice")]
    return sorted(single + [f"{one} {joint} {two}" for one in single for joint in ("and", "after") for two in single])


def actions(command: str) -> str:
    """What a command means, e.g. ``"jump left twice"``: ``"I_TURN_LEFT I_JUMP I_TURN_LEFT I_JUMP"``.

    Raises:
        ValueError: the grammar does not make this command.
    """
    for joint in (" and ", " after "):
        if joint in command:
            one, two = (actions(part) for part in command.split(joint, 1))
            return f"{one} {two}" if joint == " and " else f"{two} {one}"
    words = command.split()
    times = REPEAT[words.pop()] if words and words[-1] in REPEAT else 1
    if " ".join(words) not in PHRASES:
        raise ValueError(f"SCAN has no command {command!r}; try 'jump around left twice and walk'")
    act = [] if words[0] == "turn" else [f"I_{words[0].upper()}"]
    if len(words) > 1:
        turn = [f"I_TURN_{words[-1].upper()}"]
        act = {"opposite": turn + turn + act, "around": (turn + act) * 4}.get(words[1], turn + act)
    return " ".join(act * times)


def load_scan(split: str = "simple", seed: int = 0) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Training and test pairs of a split of the paper; ``seed`` deals the simple one.

    ``"simple"``: four of five commands at random are for training. ``"length"``: those of at most 22 actions.
    ``"jump"`` and ``"turn left"``: of all commands that say so, only that one alone, repeated until it fills a tenth of
    the training set.

    Raises:
        ValueError: an unknown split.
    """
    pairs = [(command, actions(command)) for command in commands()]
    if split == "simple":
        random.Random(seed).shuffle(pairs)
        return pairs[: 4 * len(pairs) // 5], pairs[4 * len(pairs) // 5 :]
    if split == "length":
        return [p for p in pairs if p[1].count(" ") < 22], [p for p in pairs if p[1].count(" ") >= 22]
    if split not in SHARE:
        raise ValueError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    test = [p for p in pairs if split in p[0] and p[0] != split]
    train = [p for p in pairs if split not in p[0]]
    return train + [(split, actions(split))] * round(SHARE[split] * len(train) / (1 - SHARE[split])), test
