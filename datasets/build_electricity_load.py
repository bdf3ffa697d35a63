"""Rebuild ``electricity_load_2000.csv`` from the PyPI package pmdarima (``pip install pmdarima==2.1.1``).

    python datasets/build_electricity_load.py [TARGET]

The figures are those of Taylor (2003), as the package has them, untouched; the time stamps, which it leaves out, follow
from its description: every half-hour from Monday, 5 June 2000, 00:00, in the local time of England and Wales.
"""

import ast
import sys
from datetime import datetime, timedelta
from importlib.metadata import distribution
from pathlib import Path

START, STEP = datetime(2000, 6, 5), timedelta(minutes=30)


def build() -> bytes:
    """The CSV file: the time a half-hour begins, and the demand in it in MW."""
    # read, not imported: the numbers stand in the source, and the package is slow to load
    source = Path(distribution("pmdarima").locate_file("pmdarima/datasets/taylor.py")).read_text(encoding="utf-8")
    lists = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.List)]
    values = ast.literal_eval(max(lists, key=lambda node: len(node.elts)))
    rows = [f"{(START + i * STEP).isoformat(sep=' ', timespec='minutes')},{mw}" for i, mw in enumerate(values)]
    return "\n".join(["time,demand_mw", *rows, ""]).encode()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("electricity_load_2000.csv")
    target.write_bytes(build())
    print(f"{target.name}: {target.stat().st_size} bytes")
