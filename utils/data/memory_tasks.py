"""The classic tasks that ask a recurrent net to remember, to count, or to keep brackets apart (chapter 3.6).

Everything is drawn from torch's random numbers: give a ``torch.Generator`` for data of its own seed, or none to use
the global state. N is the number of sequences, T the number of time steps, V the size of an alphabet.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLANK, DELIMITER, COPY_SYMBOLS, COPY_ITEMS = 8, 9, 8, 10  # of the copying task
FIRST, SECOND, DISTRACTORS = 0, 1, 4  # of the temporal-order task: the two marks, and how many other symbols


def _at_least(**least: tuple[int, int]) -> None:
    """Raise ValueError unless every named value is a whole number of at least its bound."""
    for name, (value, bound) in least.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < bound:
            raise ValueError(f"{name} must be a whole number of at least {bound}, found {value!r}")


# ---------------------------------------------------------------- remembering values, symbols, order, parity


def adding_problem(count: int, length: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Add the two marked numbers of a sequence.

    The form of Le, Jaitly & Hinton (2015) of a task of Hochreiter & Schmidhuber (1997, experiment 4): one channel holds
    numbers uniform in [0, 1], the other is 1 at two places, here any two, and 0 elsewhere. Who always answers 1 has
    the mean squared error 1/6 = 0.167 (the variance of a sum of two such numbers).

    Returns:
        x (N, T, 2), numbers then marks, and y (N,), the sum.
    """
    _at_least(count=(count, 1), length=(length, 2))
    numbers = torch.rand(count, length, generator=generator)  # (N, T)
    places = torch.rand(count, length, generator=generator).topk(2, dim=1).indices  # (N, 2) distinct
    marks = torch.zeros(count, length).scatter_(1, places, 1.0)  # (N, T)
    return torch.stack([numbers, marks], dim=2), (numbers * marks).sum(dim=1)


def copying(count: int, lag: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Say ten symbols again after a long silence.

    As Arjovsky, Shah & Bengio (2016, section 4.1) define it, with T = ``lag``: ten symbols uniform in 0 … 7, then T - 1
    blanks (8), a delimiter (9), and ten more blanks. Wanted are T + 10 blanks and then the ten symbols. Who remembers
    nothing reaches the mean cross-entropy 10 ln 8 / (T + 20): blanks where they are due, then a guess among eight.

    Returns:
        tokens (N, T + 20) and targets (N, T + 20), whole numbers.
    """
    _at_least(count=(count, 1), lag=(lag, 1))
    items = torch.randint(COPY_SYMBOLS, (count, COPY_ITEMS), generator=generator)  # (N, 10)
    tokens = torch.full((count, lag + 2 * COPY_ITEMS), BLANK)  # (N, T + 20)
    targets = tokens.clone()
    tokens[:, :COPY_ITEMS], tokens[:, COPY_ITEMS + lag - 1] = items, DELIMITER
    targets[:, -COPY_ITEMS:] = items
    return tokens, targets


def copying_baseline(lag: int) -> float:
    """Mean cross-entropy (nats) of the copying task without memory, 10 ln 8 / (T + 20)."""
    _at_least(lag=(lag, 1))
    return COPY_ITEMS * math.log(COPY_SYMBOLS) / (lag + 2 * COPY_ITEMS)


def temporal_order(count: int, length: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """In which order did the two marks come?

    Hochreiter & Schmidhuber (1997, experiment 6a), at any length T as in Pascanu, Mikolov & Bengio (2013): one mark in
    [T/10, 2T/10), one in [4T/10, 5T/10) (all four rounded down), each X or Y with equal chance; all other symbols are
    distractors. The class is 2 · (first is Y) + (second is Y), so chance is 1/4.

    Returns:
        tokens (N, T) in 0 … 5 (X = 0, Y = 1, distractors 2 … 5) and classes (N,) in 0 … 3.
    """
    _at_least(count=(count, 1), length=(length, 10))
    tokens = torch.randint(2, 2 + DISTRACTORS, (count, length), generator=generator)  # (N, T)
    marks = torch.randint(2, (count, 2), generator=generator)  # (N, 2)
    for k, (low, high) in enumerate(((length // 10, 2 * length // 10), (4 * length // 10, 5 * length // 10))):
        places = torch.randint(low, high, (count, 1), generator=generator)  # (N, 1)
        tokens.scatter_(1, places, marks[:, k : k + 1])
    return tokens, 2 * marks[:, 0] + marks[:, 1]


def parity(count: int, length: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Is the number of ones so far odd? (An old test; Hochreiter & Schmidhuber 1997 discuss it in section 5.)

    Returns:
        bits (N, T) of fair coins, 0 or 1, and the parity (N, T) of the bits up to and with each step.
    """
    _at_least(count=(count, 1), length=(length, 1))
    bits = torch.randint(2, (count, length), generator=generator)  # (N, T)
    return bits, bits.cumsum(dim=1) % 2


# ---------------------------------------------------------------- formal languages: which symbols may come next?


@dataclass(frozen=True)
class Language:
    """A formal language, known by the symbols that may follow each beginning of a word.

    ``follow(word)`` returns one string per symbol of ``word``: the symbols that may come after it, and an empty string
    where the word must end. It takes beginnings of words too, and raises ValueError at the first symbol out of place.
    """

    name: str
    alphabet: str
    follow: Callable[[str], list[str]]

    def encode(self, words: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Token numbers (N, T), legal next symbols (N, T, V) as 0 and 1, and lengths (N,).

        T is the longest word; beyond its length a word is filled with token 0 and no symbol is legal.

        Raises:
            ValueError: no word, an empty word, or one that is not in the language.
        """
        if isinstance(words, str) or not words or not all(words):
            raise ValueError(f"expected a list of words, at least one, and no empty word, found {words!r}")
        follows = [self.follow(word) for word in words]
        lengths = torch.tensor([len(word) for word in words])  # (N,)
        tokens = torch.zeros(len(words), int(lengths.max()), dtype=torch.long)  # (N, T)
        legal = torch.zeros(*tokens.shape, len(self.alphabet))  # (N, T, V)
        number = {symbol: i for i, symbol in enumerate(self.alphabet)}
        for n, (word, follow) in enumerate(zip(words, follows, strict=True)):
            tokens[n, : len(word)] = torch.tensor([number[symbol] for symbol in word])
            legal[n, : len(word)] = torch.tensor([[float(s in symbols) for s in number] for symbols in follow])
        return tokens, legal, lengths


def _check_text(word: str) -> None:
    if not isinstance(word, str):
        raise ValueError(f"expected a word, found {word!r}")


def _illegal(word: str, t: int, expected: str) -> ValueError:
    expected = " or ".join(expected) if expected else "the end"
    return ValueError(f"{word[:60]!r} is not in the language: symbol {t} is {word[t]!r}, expected {expected}")


Arcs = dict[object, dict[str, object]]  # state: the symbols that may be read there, and where each leads

REBER_ARCS: Arcs = {  # Reber (1967), as drawn in Hochreiter & Schmidhuber (1997)
    0: {"B": 1},
    1: {"T": 2, "P": 3},
    2: {"S": 2, "X": 4},
    3: {"T": 3, "V": 5},
    4: {"X": 3, "S": 6},
    5: {"P": 4, "V": 6},
    6: {"E": 7},
    7: {},
}
EMBEDDED_ARCS: Arcs = {0: {"B": 1}, 1: {side: (side, 0) for side in "TP"}, 2: {"E": 3}, 3: {}}
for _side in "TP":
    for _state, _arcs in REBER_ARCS.items():
        _inner = {symbol: (_side, after) for symbol, after in _arcs.items()}
        EMBEDDED_ARCS[_side, _state] = _inner or {_side: 2}


def reber_words(count: int, generator: torch.Generator | None = None, embedded: bool = True) -> list[str]:
    """Words of the Reber grammar, every arc out of a state equally likely.

    ``embedded`` puts each between B T … T E or B P … P E (Hochreiter & Schmidhuber 1997, experiment 1): the last
    symbol but one is the second one again, and a whole Reber word lies between them.
    """
    _at_least(count=(count, 1))
    arcs, words = EMBEDDED_ARCS if embedded else REBER_ARCS, []
    for _ in range(count):
        state, word = 0, ""
        while arcs[state]:
            choices = list(arcs[state])
            word += choices[int(torch.randint(len(choices), (), generator=generator))]
            state = arcs[state][word[-1]]
        words.append(word)
    return words


def _follow_arcs(word: str, arcs: Arcs) -> list[str]:
    _check_text(word)
    state, follow = 0, []
    for t, symbol in enumerate(word):
        if symbol not in arcs[state]:
            raise _illegal(word, t, "".join(arcs[state]))
        state = arcs[state][symbol]
        follow.append("".join(arcs[state]))
    return follow


def counting_word(n: int, letters: str = "ab") -> str:
    """S aⁿbⁿ T, or S aⁿbⁿcⁿ T with ``letters="abc"`` (Gers & Schmidhuber 2001)."""
    _at_least(n=(n, 1))
    if not letters or len(set(letters + "ST")) < len(letters) + 2:
        raise ValueError(f"letters must be different symbols, none of them S or T, found {letters!r}")
    return "S" + "".join(letter * n for letter in letters) + "T"


def _follow_counting(word: str, letters: str) -> list[str]:
    """After S comes a; after each a one more a, or the first b; and from then on everything is settled."""
    _check_text(word)
    n = len(word[1:]) - len(word[1:].lstrip(letters[0]))  # how many a's there are
    settled = counting_word(n, letters)[n + 2 :] if n else ""  # what must come behind the first b
    allowed = ["S", letters[0], *[letters[:2]] * n, *settled, ""]  # at each place; nothing after the last symbol
    for t, symbol in enumerate(word):
        if symbol not in allowed[t]:
            raise _illegal(word, t, allowed[t])
    return allowed[1 : len(word) + 1]


BRACKETS = "()[]"


def dyck_words(
    count: int, kinds: int = 2, shortest: int = 2, longest: int = 50, generator: torch.Generator | None = None
) -> list[str]:
    """Balanced words of one or two kinds of brackets, from the grammar of Suzgun et al. (2019).

    S → (S) with probability 1/2 (both kinds equally likely), S S with probability 1/4, nothing with probability 1/4;
    words shorter than ``shortest`` or longer than ``longest`` symbols are drawn again. Long words are rare: a large
    ``shortest`` takes time. The generator moves on by whole blocks of 1,024 numbers.
    """
    _at_least(count=(count, 1), shortest=(shortest, 2), longest=(longest, shortest))
    if type(kinds) is not int or kinds not in (1, 2):
        raise ValueError(f"kinds must be 1 or 2, found {kinds!r}")
    if shortest == longest and shortest % 2:
        raise ValueError(f"words of brackets have an even length, found shortest = longest = {shortest}")
    # numbers in blocks, which takes a tenth of the time of one call for each and gives the same ones
    draws = (u for block in iter(lambda: torch.rand(1024, generator=generator).tolist(), None) for u in block)
    words: list[str] = []
    while len(words) < count:
        word = _derive(kinds, longest, draws)
        if shortest <= len(word) <= longest:
            words.append(word)
    return words


def _derive(kinds: int, longest: int, draws: Iterator[float]) -> str:
    """One word of the grammar, or the beginning of one that is too long."""
    pending, word = ["S"], ""  # pending: what is still to be written, last first
    while pending and len(word) <= longest:
        symbol = pending.pop()
        if symbol != "S":
            word += symbol
            continue
        draw = next(draws)
        if draw < 0.5:
            kind = int(2 * draw * kinds)
            pending += [BRACKETS[2 * kind + 1], "S", BRACKETS[2 * kind]]
        elif draw < 0.75:
            pending += ["S", "S"]
    return word  # with symbols pending it has longest + 1 symbols


def _follow_dyck(word: str, alphabet: str) -> list[str]:
    """Any opening bracket, and the one that closes the innermost open one."""
    _check_text(word)
    partner, openings = dict(zip(alphabet[::2], alphabet[1::2], strict=True)), alphabet[::2]
    due, follow = "", []  # due: the closing brackets still wanted, the next one last
    for t, symbol in enumerate(word):
        if symbol not in openings + due[-1:]:
            raise _illegal(word, t, openings + due[-1:])
        due = due + partner[symbol] if symbol in openings else due[:-1]
        follow.append(openings + due[-1:])
    return follow


REBER = Language("Reber", "BTPSXVE", lambda word: _follow_arcs(word, REBER_ARCS))
EMBEDDED_REBER = Language("embedded Reber", "BTPSXVE", lambda word: _follow_arcs(word, EMBEDDED_ARCS))
ANBN = Language("aⁿbⁿ", "SabT", lambda word: _follow_counting(word, "ab"))
ANBNCN = Language("aⁿbⁿcⁿ", "SabcT", lambda word: _follow_counting(word, "abc"))
DYCK1 = Language("Dyck-1", BRACKETS[:2], lambda word: _follow_dyck(word, BRACKETS[:2]))
DYCK2 = Language("Dyck-2", BRACKETS, lambda word: _follow_dyck(word, BRACKETS))
