"""Stock prices: the built-in series, files that cannot be right, windows that know no future, and the training task."""

import json

import numpy as np
import pytest
import torch

from utils import train
from utils.data.files import DataError
from utils.data.series import SeriesError, Standardizer
from utils.data.stocks import load_prices, log_returns, return_windows
from utils.metrics import qlike
from utils.models.forecaster import return_loss


def test_google_from_its_first_day_on():
    dates, prices = load_prices()
    assert len(dates) == len(prices) == 1047
    assert (str(dates[0])[:10], str(dates[-1])[:10]) == ("2004-08-19", "2008-10-14")
    assert (np.diff(dates) > np.timedelta64(0)).all()
    assert (prices[0], prices[-1], prices.max()) == (100.34, 362.71, 741.79)


def test_a_file_of_the_readers_own(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("day,open,close\n2024-01-02,9,10\n2024-01-03,10.5,12.5\n", encoding="utf-8")
    assert load_prices(path)[1].tolist() == [9, 10.5]
    dates, prices = load_prices(path, "close")
    assert (str(dates[1]), prices.tolist()) == ("2024-01-03T00:00:00", [10, 12.5])
    assert log_returns(prices) == pytest.approx([100 * np.log(1.25)])


BAD = {
    "a price of zero": ("day,close\n2024-01-02,10\n2024-01-03,0\n", "2024-01-03.* is 0.0; .* above zero"),
    "a negative price": ("day,close\n2024-01-02,-1\n2024-01-03,2\n", "2024-01-02.* is -1.0"),
    "text": ("day,close\n2024-01-02,10\n2024-01-03,n/a\n", "line 3, column 'close'"),
    "unsorted": ("day,close\n2024-01-03,10\n2024-01-02,11\n", "is earlier than"),
    "no change": ("day,close\n2024-01-02,10\n2024-01-03,10\n", "2 price.* never change"),
    "one day": ("day,close\n2024-01-02,10\n", "1 price.* never change"),
    "a missing price": ("day,close\n2024-01-02,10\n2024-01-03,nan\n", "2024-01-03.* is nan"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_is_named(text, message, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_prices(path)


def test_windows_know_nothing_of_the_future():
    r = np.random.default_rng(0).normal(size=60)
    scale, origins = Standardizer.fit(r[:40]), np.array([4, 20, 50])
    x, z, rose = return_windows(r, origins, 5, scale)
    assert (x.shape, z.shape, rose.shape) == ((3, 5, 2), (3,), (3,))
    assert x.dtype == z.dtype == rose.dtype == torch.float32
    np.testing.assert_allclose(x[1, -1, 0], scale.transform(r[20]).clip(-4, 4), rtol=1e-6)
    np.testing.assert_allclose(z, scale.transform(r[origins + 1]), rtol=1e-5)
    assert rose.tolist() == (r[origins + 1] > 0).tolist()
    other = r.copy()
    other[21:] = 99.0
    x_other, z_other, _ = return_windows(other, origins, 5, scale)
    assert torch.equal(x[:2], x_other[:2])
    assert not torch.equal(x[2], x_other[2])
    assert z_other[1] != z[1]
    with pytest.raises(SeriesError, match="has no full window"):
        return_windows(r, np.array([3]), 5, scale)


def test_qlike_is_least_at_the_true_variance():
    r = np.random.default_rng(1).normal(scale=2.0, size=100_000)
    risk = {h: qlike(np.full_like(r, h), r).mean() for h in (2.0, 3.0, 3.6, 4.0, 4.4, 5.0, 8.0)}
    assert min(risk, key=risk.get) == 4.0
    assert qlike(np.array([4.0]), np.array([2.0])) == pytest.approx(np.log(4) + 1)


@pytest.mark.parametrize(("variance", "returns"), [([1.0], [1.0, 2.0]), ([1.0, 0.0], [1.0, 2.0]), ([1.0], [np.nan])])
def test_qlike_refuses_what_has_no_meaning(variance, returns):
    with pytest.raises(ValueError, match="expected positive variances"):
        qlike(np.array(variance), np.array(returns))


def test_return_loss_is_two_likelihoods():
    out, z = torch.randn(7, 3, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    rose = (z > 0).double()
    total, count = return_loss(lambda x: out, (None, z, rose))
    normal = torch.distributions.Normal(out[:, 0], (out[:, 1] / 2).exp()).log_prob(z) + np.log(2 * np.pi) / 2
    coin = torch.distributions.Bernoulli(logits=out[:, 2]).log_prob(rose)
    assert count == 7
    assert float(total) == pytest.approx(-float((normal + coin).sum()), rel=1e-10)


def test_stock_task_stands_beside_its_baselines(tmp_path):
    assert train.main(["stock", "--epochs", "2", "--out", str(tmp_path / "run")]) == 0
    got = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert got["data"] == "goog"
    naive = got["baselines"]["persistence, always up, variance so far"]
    assert got["test"]["mae"] == pytest.approx(naive["mae"], rel=0.06)  # no gain is to be had, and no disaster
    assert 0.3 < got["test"]["sign"] < 0.6
    assert got["test"]["qlike"] < naive["qlike"] + 0.3


def test_stock_task_reads_a_file_and_names_its_faults(tmp_path, capsys):
    rng, path = np.random.default_rng(0), tmp_path / "own.csv"
    days = np.arange("2020-01-01", "2021-01-01", dtype="M8[D]")
    prices = 50 * np.exp(0.02 * rng.normal(size=len(days)).cumsum())
    rows = [f"{d},{p:.4f}" for d, p in zip(days, prices, strict=True)]
    path.write_text("\n".join(["day,price", *rows]), encoding="utf-8")
    command = ["stock", "--data", str(path), "--epochs", "1", "--out"]
    assert train.main([*command, str(tmp_path / "run")]) == 0
    path.write_text("\n".join(["day,price", *rows[:50], "2021-02-01,much", *rows[50:]]), encoding="utf-8")
    capsys.readouterr()
    assert train.main([*command, str(tmp_path / "again")]) != 0
    assert "line 52, column 'price'" in capsys.readouterr().err
    path.write_text("\n".join(["day,price", *rows[:22]]), encoding="utf-8")
    assert train.main([*command, str(tmp_path / "short")]) != 0
    assert "too short to split" in capsys.readouterr().err
