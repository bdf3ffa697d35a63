"""Rebuild ``phrases.tsv.xz``: English phrases with their French, German and Chinese translations.

    python datasets/build_phrases.py [TARGET]

Every piece comes from a library: dates, times, lists, units, currencies and the names of territories from the
Unicode CLDR (Babel 2.18.0), numbers in words from num2words 0.5.14, Chinese ones from the rules in :func:`chinese`.
A row holds what it is made of (``items``). Each item that could be learnt by heart, a day, a time, a duration, a
number, belongs to one part by a hash of its value, and a row is made of items of its own part only. The names of
territories and the numbers up to a hundred are the words that the rest is made of; they stand in training.
"""

import functools
import hashlib
import lzma
import random
import sys
from datetime import date, time, timedelta
from pathlib import Path

from babel import Locale
from babel.dates import format_date, format_interval, format_time
from babel.lists import format_list
from babel.numbers import format_currency, get_currency_name
from babel.units import format_unit
from num2words import num2words

LANGUAGES = ("en", "fr", "de", "zh")
COLUMNS = ("split", "kind", "style", "items", *LANGUAGES)
CURRENCIES = ("USD", "EUR", "JPY", "GBP", "CHF", "CNY", "INR", "SEK")
WHOLE = {"JPY"}  # currencies without cents
UNITS = (
    "mass-kilogram", "mass-gram", "length-kilometer", "length-meter", "length-mile", "volume-liter", "area-hectare",
    "temperature-celsius", "digital-gigabyte", "speed-kilometer-per-hour", "duration-week", "duration-month",
)  # fmt: skip
DURATIONS = {"year": (9, "month", 11), "week": (9, "day", 6), "day": (29, "hour", 23), "hour": (23, "minute", 59)}
LOCALES = {language: Locale(language) for language in LANGUAGES}
NAMES = {language: dict(locale.territories) for language, locale in LOCALES.items()}
TERRITORIES = sorted(  # of at most eight letters in English, and one word in every language
    code
    for code in set.intersection(*map(set, NAMES.values()))
    if len(code) == 2 and code not in {"EZ", "ZZ", "XA", "XB"} and len(NAMES["en"][code]) <= 8
    if all(name[code].isalpha() for name in NAMES.values())
)
DATE_STYLES = ("full", "long", "medium", "short")
SIZES = {  # rows of each kind: training, validation, test
    "date": (4000, 300, 800), "interval": (1600, 100, 300), "time": (500, 80, 150), "duration": (900, 100, 250),
    "number": (3500, 300, 800), "amount": (3500, 250, 600), "quantity": (2500, 150, 400), "names": (2000, 150, 400),
    "phrase": (13500, 600, 1600),
}  # fmt: skip
LONGER = 800  # rows of more items than any in training, made of test items
rng = random.Random(53)


def pick(options):
    """One of them; by ``random()``, the only method whose numbers Python promises never to change."""
    return options[int(rng.random() * len(options))]


def part_of(item: str) -> str:
    """The part an item belongs to: a tenth for validation, a fifth for the test.

    The whole numbers up to a hundred are the words that all others are put together from: they are for training.
    """
    name, _, value = item.partition("=")
    if name == "number" and value.isdigit() and int(value) <= 100:
        return "train"
    share = int(hashlib.sha256(item.encode()).hexdigest()[:8], 16) % 10
    return "test" if share < 2 else "validation" if share == 2 else "train"


def of_part(part: str, make) -> tuple:
    """Draw ``(item, …)`` until the item is of this part."""
    while True:
        drawn = make()
        if part_of(drawn[0]) == part:
            return drawn


# ---------------------------------------------------------------- numbers


def chinese(n: int) -> str:
    """0 to 9,999 in Chinese: one 零 for any run of zeros inside, none at the end; 10 to 19 without 一."""
    if n == 0:
        return "零"
    text, gap = "", False
    for power, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = n // power % 10
        if digit:
            text += ("零" if gap and text else "") + "零一二三四五六七八九"[digit] + unit
        gap = digit == 0
    return text.removeprefix("一") if 10 <= n < 20 else text


@functools.cache
def words(n: int, language: str) -> str:
    """A whole number in words."""
    return chinese(n) if language == "zh" else num2words(n, lang=language)


@functools.cache
def unit(value, name: str, language: str) -> str:
    """A quantity with its unit written out; where the CLDR has no long form it takes the short one."""
    long = LOCALES[language]._data["unit_patterns"][name].get("long", {})
    return format_unit(value, name, "long" if "other" in long else "short", locale=LOCALES[language])


def whole_number() -> tuple[str, int]:
    n = int(10 ** (4 * rng.random())) if rng.random() < 0.4 else int(10000 * rng.random())
    return f"number={n}", n


def cents() -> tuple[str, float]:
    n = (
        int(10 ** (2 + 4 * rng.random())) // 10 * 10 if rng.random() < 0.5 else int(10 ** (2 + 4 * rng.random()))
    ) / 100
    return f"number={n:.10g}", n


# ---------------------------------------------------------------- kinds: (style, items, texts by language)


def make_date(part: str) -> tuple:
    item, day = of_part(part, lambda: (f"date={(d := date(1930, 1, 1) + timedelta(int(36525 * rng.random())))}", d))
    # "May 4, 2013" is the long and the medium style in English, but not in German
    style = pick([s for s in DATE_STYLES if s != "medium" or day.month != 5])
    return style, item, {lang: format_date(day, style, locale=LOCALES[lang]) for lang in LANGUAGES}


def make_interval(part: str) -> tuple:
    while True:
        start = date(1930, 1, 1) + timedelta(int(36500 * rng.random()))
        end = start + timedelta(1 + int((20 if rng.random() < 0.5 else 300) * rng.random()))
        items = f"date={start}", f"date={end}"
        if start.year == end.year and {part_of(item) for item in items} == {part}:
            texts = {lang: format_interval(start, end, "yMMMd", locale=LOCALES[lang]) for lang in LANGUAGES}
            return "yMMMd", " ".join(items), texts


def make_time(part: str) -> tuple:
    item, moment = of_part(
        part, lambda: (f"time={(t := time(int(24 * rng.random()), int(60 * rng.random()))):%H:%M}", t)
    )
    return "short", item, {lang: format_time(moment, "short", locale=LOCALES[lang]) for lang in LANGUAGES}


def make_duration(part: str) -> tuple:
    def drawn():
        large = pick(list(DURATIONS))
        most, small, rest = DURATIONS[large]
        values = (1 + int(most * rng.random()), large), (1 + int(rest * rng.random()), small)
        return "duration=" + "+".join(f"{n}{name}" for n, name in values), values

    item, values = of_part(part, drawn)
    pieces = {lang: [unit(n, f"duration-{name}", lang) for n, name in values] for lang in LANGUAGES}
    return "long", item, {lang: format_list(pieces[lang], locale=LOCALES[lang]) for lang in LANGUAGES}


def make_number(part: str) -> tuple:
    item, n = of_part(part, whole_number)
    return "words", item, {lang: words(n, lang) for lang in LANGUAGES}


def make_amount(part: str) -> tuple:
    code, style = pick(CURRENCIES), pick(("name", "symbol", "words"))
    if style == "words":  # a 1 at the end bends to the noun in French and German; 2 is another word in Chinese
        item, n = of_part(part, lambda: next(x for x in iter(whole_number, None) if x[1] > 2 and x[1] % 10 != 1))
        names = {lang: get_currency_name(code, count=n, locale=LOCALES[lang]) for lang in LANGUAGES}
        patterns = {lang: LOCALES[lang]._data["currency_unit_patterns"]["other"] for lang in LANGUAGES}
        texts = {lang: patterns[lang].format(words(n, lang), names[lang]) for lang in LANGUAGES}
    else:
        item, n = of_part(part, whole_number if code in WHOLE else cents)
        form = "name" if style == "name" else "standard"
        texts = {lang: format_currency(n, code, locale=LOCALES[lang], format_type=form) for lang in LANGUAGES}
    return f"{style}-{code}", item, texts


def make_quantity(part: str) -> tuple:
    def drawn():
        item, n = whole_number()
        if rng.random() < 0.4:
            n = (n + int(9 * rng.random()) + 1) / 10
            item = f"number={n:.10g}"
        return item, n

    name, (item, n) = pick(UNITS), of_part(part, drawn)
    return name, item, {lang: unit(n, name, lang) for lang in LANGUAGES}


def make_names(part: str) -> tuple:
    style, count = pick(("standard", "or")), 1 + pick((1, 2, 3))

    def drawn():
        codes = []
        while len(codes) < count:
            code = pick(TERRITORIES)
            codes += [] if code in codes else [code]
        return "names=" + "+".join(sorted(codes)), codes

    item, codes = of_part(part, drawn)
    texts = {lang: [NAMES[lang][code] for code in codes] for lang in LANGUAGES}
    return style, item, {lang: format_list(texts[lang], style, locale=LOCALES[lang]) for lang in LANGUAGES}


SIMPLE = {
    "date": make_date, "interval": make_interval, "time": make_time, "duration": make_duration, "number": make_number,
    "amount": make_amount, "quantity": make_quantity, "names": make_names,
}  # fmt: skip
PARTS_OF_PHRASES = ("date", "date", "time", "duration", "number", "amount", "amount", "quantity", "name")


def make_phrase(part: str, counts: tuple[int, ...]) -> tuple:
    """A list of things of several kinds."""
    style, pieces = pick(("standard", "standard", "or")), []
    for _ in range(pick(counts)):
        kind = pick(PARTS_OF_PHRASES)
        if kind == "name":
            code = pick(TERRITORIES)
            pieces.append(("name", f"name={code}", {lang: NAMES[lang][code] for lang in LANGUAGES}))
        else:
            pieces.append(SIMPLE[kind](part))
    texts = {lang: format_list([piece[2][lang] for piece in pieces], style, locale=LOCALES[lang]) for lang in LANGUAGES}
    return f"{style}-{len(pieces)}", " ".join(piece[1] for piece in pieces), texts


# ---------------------------------------------------------------- the file


def rows() -> list[tuple[str, ...]]:
    """All rows, sorted; English texts are unique, so no phrase has two translations and none stands in two parts."""
    found: dict[str, tuple[str, ...]] = {}
    plan = [
        (part, kind, n)
        for kind, sizes in SIZES.items()
        for part, n in zip(("train", "validation", "test"), sizes, strict=True)
    ]
    for part, kind, n in [*plan, ("longer", "phrase", LONGER)]:
        made, tries = 0, 0
        while made < n and tries < 20 * n:
            tries += 1
            if kind == "phrase":
                counts = (4, 5, 6) if part == "longer" else (2, 2, 3)
                style, items, texts = make_phrase("test" if part == "longer" else part, counts)
            else:
                style, items, texts = SIMPLE[kind](part)
            row = (part, kind, style, items, *texts.values())
            if texts["en"] not in found:
                found[texts["en"]] = row
                made += 1
            elif found[texts["en"]][4:] != row[4:]:
                raise ValueError(f"two translations: {found[texts['en']]} and {row}")
    return sorted(found.values())


def build() -> bytes:
    """The tab-separated file, compressed."""
    rng.seed(53)
    lines = ["\t".join(row) for row in [COLUMNS, *rows()]]
    return lzma.compress(("\n".join(lines) + "\n").encode(), preset=9)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("phrases.tsv.xz")
    target.write_bytes(build())
    print(f"{target.name}: {target.stat().st_size} bytes")
