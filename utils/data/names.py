"""Which language is this name written in? Names of territories, languages, scripts and currencies from the CLDR.

The Unicode Common Locale Data Repository gives them in hundreds of languages; the package Babel ships with it.
A name that is written the same in more than one of the chosen languages, but for the case of its letters, has no
answer and is left out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LANGUAGES = {
    "cs": "Czech", "da": "Danish", "de": "German", "en": "English", "es": "Spanish", "fi": "Finnish", "fr": "French",
    "hu": "Hungarian", "it": "Italian", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "sv": "Swedish", "tr": "Turkish",
}  # fmt: skip
KINDS = ("territories", "languages", "scripts", "currencies")


@dataclass(frozen=True)
class Name:
    """A name as it is written, the code of its language, and what it names (one of ``KINDS``)."""

    text: str
    language: str
    kind: str


def load_names(languages: Iterable[str] = tuple(LANGUAGES)) -> list[Name]:
    """Every name that is written in exactly one of the languages, sorted by language, kind and text.

    Two spellings that differ only in capitals count as one name, and the first is kept: so no split can put
    the one into training and the other into test.

    Raises:
        ValueError: fewer than two languages, one named twice, or one that the CLDR does not know.
    """
    from babel import Locale, UnknownLocaleError

    codes = list(languages)
    if len(codes) < 2 or len(set(codes)) < len(codes):
        raise ValueError(f"expected two or more different language codes, found {codes}")
    found: dict[str, list[Name]] = {}  # spelling without case: the names
    for code in codes:
        try:
            locale = Locale(code)
        except (UnknownLocaleError, ValueError):
            raise ValueError(f"unknown language {code!r}; the CLDR's codes are like {', '.join(LANGUAGES)}") from None
        for kind in KINDS:
            for text in sorted(set(getattr(locale, kind).values())):
                found.setdefault(text.casefold(), []).append(Name(text, code, kind))
    unique = [same[0] for same in found.values() if len({name.language for name in same}) == 1]
    return sorted(unique, key=lambda name: (codes.index(name.language), KINDS.index(name.kind), name.text))


def split_names(
    names: Sequence[Name], seed: int = 0, shares: tuple[float, float, float] = (0.7, 0.1, 0.2)
) -> tuple[list[Name], list[Name], list[Name]]:
    """Training, validation and test names at random, each language in the same shares.

    Raises:
        ValueError: shares that are not positive or do not add up to 1, or a language with too few names.
    """
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"expected three positive shares that add up to 1, found {shares}")
    generator = torch.Generator().manual_seed(seed)
    parts: tuple[list[Name], list[Name], list[Name]] = ([], [], [])
    for language in dict.fromkeys(name.language for name in names):
        mine = [name for name in names if name.language == language]
        mine = [mine[i] for i in torch.randperm(len(mine), generator=generator).tolist()]
        ends = [0, round(shares[0] * len(mine)), round((shares[0] + shares[1]) * len(mine)), len(mine)]
        for part, start, end in zip(parts, ends, ends[1:], strict=False):
            if start == end:
                raise ValueError(f"{len(mine)} names of {language!r} are too few to share out as {shares}")
            part += mine[start:end]
    return parts


class Characters:
    """Numbers for the characters of the training texts: 0 is padding, 1 a character that was never seen.

    Args:
        texts: the training texts.
        n: with n > 1, every step of a text gets n numbers: of its character, of the pair and so on up to the
            n characters around it (a space stands before the first and behind the last).
        min_count: what occurs less often in the training texts counts as never seen.
    """

    PAD, UNKNOWN = 0, 1

    def __init__(self, texts: Iterable[str], n: int = 1, min_count: int = 1):
        self.n = n
        counts = Counter(symbol for text in texts for step in self.windows(text) for symbol in step)
        self.symbols = sorted(symbol for symbol, count in counts.items() if count >= min_count)
        if not self.symbols:
            raise ValueError("no text to learn the characters from")
        self.numbers = {symbol: i for i, symbol in enumerate(self.symbols, start=2)}

    def __len__(self) -> int:
        return len(self.symbols) + 2

    def windows(self, text: str) -> list[list[str]]:
        """Per step its character, the pair that ends with it, the three around it, … up to n."""
        padded = " " * (self.n // 2) + text + " " * self.n
        starts = [self.n // 2 - k // 2 for k in range(1, self.n + 1)]  # of the first step's windows
        return [[padded[i + start : i + start + k] for k, start in enumerate(starts, 1)] for i in range(len(text))]

    def encode(self, text: str) -> Tensor:
        """(T,) numbers of the characters, (T, n) with n > 1; an empty text is refused with a ValueError."""
        if not text:
            raise ValueError("an empty text has no characters")
        numbers = [[self.numbers.get(symbol, self.UNKNOWN) for symbol in step] for step in self.windows(text)]
        return torch.tensor(numbers).squeeze(1) if self.n == 1 else torch.tensor(numbers)
