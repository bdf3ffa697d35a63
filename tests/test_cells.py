"""The cells written out equal torch.nn's in outputs, states, gradients, first weights and names."""

import math
import warnings

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

from utils import cells

KINDS = {  # ours, torch's, options
    "tanh": (cells.RNN, nn.RNN, {}),
    "relu": (cells.RNN, nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (cells.LSTM, nn.LSTM, {}),
    "gru": (cells.GRU, nn.GRU, {}),
}
FIRST = {**KINDS, "gru 2014": (cells.GRU, nn.GRU, {"reset_after": False})}  # every cell of ours


def pair(kind, d, n, layers=1, dtype=torch.float64, **options):
    """Our module and torch's with the same weights."""
    ours, theirs, more = KINDS[kind]
    theirs = theirs(d, n, layers, dtype=dtype, **more, **options)
    ours = ours(d, n, layers, dtype=dtype, **more, **options)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def parts(state):
    return list(state) if isinstance(state, tuple) else [state]


def everything(module, x, state):
    """Output, last states and all gradients of a loss that looks at each of their numbers."""
    inputs = [x, *(parts(state) if state is not None else [])]
    for tensor in inputs:
        tensor.requires_grad_()
    out, last = module(x, state) if state is not None else module(x)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    loss = (weights * out).sum() + sum((k + 2) * (s**2).sum() for k, s in enumerate(parts(last)))
    return [out, *parts(last), *torch.autograd.grad(loss, [*inputs, *module.parameters()])]


def assert_same(found, expected, dtype=torch.float64):
    assert len(found) == len(expected)
    near = 1e-10 if dtype == torch.float64 else 1e-4
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape
        assert mine.dtype == theirs.dtype == dtype
        torch.testing.assert_close(mine, theirs, rtol=near, atol=near)


# ---------------------------------------------------------------- equal to torch.nn


@settings(max_examples=25)
@given(
    sizes=st.tuples(*[st.integers(1, 4)] * 5),  # B, T, d, n, layers
    kind=st.sampled_from(sorted(KINDS)),
    batch_first=st.booleans(),
    bidirectional=st.booleans(),
    with_state=st.booleans(),
    dtype=st.sampled_from([torch.float64, torch.float32]),
)
@example((1, 1, 1, 1, 1), "lstm", True, True, True, torch.float64)
@example((3, 4, 2, 3, 2), "gru", True, True, True, torch.float64)
@example((3, 4, 2, 3, 2), "lstm", False, True, True, torch.float64)
@example((3, 4, 2, 3, 2), "relu", True, False, True, torch.float64)
def test_equals_torch_in_outputs_states_and_gradients(sizes, kind, batch_first, bidirectional, with_state, dtype):
    B, T, d, n, layers = sizes
    ours, theirs = pair(kind, d, n, layers, dtype, batch_first=batch_first, bidirectional=bidirectional)
    g = torch.Generator().manual_seed(B + 10 * T)
    x = torch.randn((B, T, d) if batch_first else (T, B, d), generator=g, dtype=dtype)
    state = None
    if with_state:
        shape = (layers * (1 + bidirectional), B, n)
        state = tuple(torch.randn(shape, generator=g, dtype=dtype) for _ in range(2 if kind == "lstm" else 1))
        state = state if kind == "lstm" else state[0]
    copies = None if state is None else tuple(s.clone() for s in state) if kind == "lstm" else state.clone()
    assert_same(everything(ours, x.clone(), state), everything(theirs, x.clone(), copies), dtype)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [[5, 3, 1], [2, 5, 5, 1], [4]])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_torch_on_packed_sequences(kind, lengths, bidirectional):
    ours, theirs = pair(kind, 3, 4, 2, bidirectional=bidirectional)
    x = torch.randn(max(lengths), len(lengths), 3, dtype=torch.float64)
    found = []
    for module in (ours, theirs):
        packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
        data = packed.data.clone().requires_grad_()
        out, last = module(packed._replace(data=data))
        assert isinstance(out, PackedSequence)
        assert torch.equal(out.batch_sizes, packed.batch_sizes)
        assert torch.equal(out.sorted_indices, packed.sorted_indices)
        assert torch.equal(out.unsorted_indices, packed.unsorted_indices)
        loss = (out.data**3).sum() + sum((s**2).sum() for s in parts(last))
        found.append([out.data, *parts(last), *torch.autograd.grad(loss, [data, *module.parameters()])])
    assert_same(*found)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_in_sorted_order_need_no_indices(kind):
    ours, theirs = pair(kind, 2, 3)
    packed = pack_sequence([torch.randn(length, 2, dtype=torch.float64) for length in (4, 2, 2)])
    assert packed.sorted_indices is None
    (mine, last), (out, their_last) = ours(packed), theirs(packed)
    assert mine.sorted_indices is None
    assert_same([mine.data, *parts(last)], [out.data, *parts(their_last)])


@pytest.mark.parametrize("kind", FIRST)
def test_a_sequence_alone_and_in_a_padded_batch_give_the_same(kind):
    ours, _, options = FIRST[kind]
    ours = ours(3, 4, 2, bidirectional=True, dtype=torch.float64, **options)
    lengths = [3, 6, 1]
    sequences = [torch.randn(length, 3, dtype=torch.float64) for length in lengths]
    out, last = ours(pack_sequence(sequences, enforce_sorted=False))
    out, _ = nn.utils.rnn.pad_packed_sequence(out)
    for k, (length, sequence) in enumerate(zip(lengths, sequences, strict=True)):
        alone, alone_last = ours(sequence[:, None])
        assert_same([out[:length, k]], [alone[:, 0]])
        assert_same([s[:, k] for s in parts(last)], [s[:, 0] for s in parts(alone_last)])
        assert not out[length:, k].any()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_first_weights_names_and_order_are_torchs(kind, bidirectional):
    ours, theirs, options = KINDS[kind]
    modules = []
    for module in (ours, theirs):
        torch.manual_seed(3)
        modules.append(module(2, 5, 2, bidirectional=bidirectional, **options))
        modules[-1].after = torch.rand(())  # the random state behind it
    ours, theirs = modules
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert torch.equal(ours.after, theirs.after)
    assert max(p.abs().max().item() for p in ours.parameters()) <= 1 / math.sqrt(5)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_go_to_torch_and_back(kind):
    ours, theirs = pair(kind, 2, 3, 2, bidirectional=True)
    theirs.load_state_dict(cells.RNN.state_dict(ours), strict=True)
    assert ours.load_state_dict(theirs.state_dict(), strict=True).missing_keys == []


def test_a_network_of_one_step_is_the_step():
    a_t, h, c = (torch.randn(3, k, dtype=torch.float64) for k in (16, 4, 4))
    W_hh, b_hh = torch.randn(16, 4, dtype=torch.float64), torch.randn(16, dtype=torch.float64)
    cell = nn.LSTMCell(16, 4, dtype=torch.float64)
    cell.load_state_dict(
        {"weight_ih": torch.eye(16), "bias_ih": torch.zeros(16), "weight_hh": W_hh, "bias_hh": b_hh}
    )  # the input says a_t itself
    assert_same(list(cells.lstm_step(a_t, h, c, W_hh, b_hh)), list(cell(a_t, (h, c))))
    i, f, g, o = cells.lstm_gates(a_t, h, W_hh, b_hh)
    assert all(gate.min() > 0 and gate.max() < 1 for gate in (i, f, o))
    assert g.min() < 0
    assert_same([f * c + i * g], [cells.lstm_step(a_t, h, c, W_hh, b_hh)[1]])


# ---------------------------------------------------------------- the functions of one step


def gru_2014(a_t, h, W_hh, b_hh):
    """Cho et al. (2014), equations 5 to 8, one number at a time; z keeps the old state."""
    B, n = h.shape
    new = torch.empty_like(h)
    for b in range(B):
        u = W_hh @ h[b] + b_hh
        r, z = [1 / (1 + torch.exp(-(a_t[b, k * n : (k + 1) * n] + u[k * n : (k + 1) * n]))) for k in (0, 1)]
        for j in range(n):
            recalled = sum(W_hh[2 * n + j, k] * r[k] * h[b, k] for k in range(n))
            new[b, j] = z[j] * h[b, j] + (1 - z[j]) * torch.tanh(a_t[b, 2 * n + j] + recalled + b_hh[2 * n + j])
    return new


def test_reset_before_is_the_cell_of_the_2014_paper():
    a_t, h = torch.randn(3, 12, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    W_hh, b_hh = torch.randn(12, 4, dtype=torch.float64), torch.randn(12, dtype=torch.float64)
    found = cells.gru_step(a_t, h, W_hh, b_hh, reset_after=False)
    assert_same([found], [gru_2014(a_t, h, W_hh, b_hh)])
    assert (found - cells.gru_step(a_t, h, W_hh, b_hh)).abs().max() > 1e-3


def test_reset_before_runs_through_the_whole_module():
    ours = cells.GRU(2, 3, reset_after=False, dtype=torch.float64)
    x, h = torch.randn(4, 2, 2, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.float64)
    for x_t, out in zip(x, ours(x)[0], strict=True):
        h = gru_2014(x_t @ ours.weight_ih_l0.T + ours.bias_ih_l0, h, ours.weight_hh_l0, ours.bias_hh_l0)
        assert_same([out], [h])


STEPS = {  # function, blocks, states
    "rnn": (cells.rnn_step, 1, 1),
    "relu": (lambda *a: cells.rnn_step(*a, torch.relu), 1, 1),
    "lstm": (cells.lstm_step, 4, 2),
    "gru": (cells.gru_step, 3, 1),
    "gru 2014": (lambda *a: cells.gru_step(*a, False), 3, 1),
}


def step_inputs(name, n=3, lead=(2,), **options):
    _, blocks, states = STEPS[name]
    shapes = [(*lead, blocks * n), *[(*lead, n)] * states, (blocks * n, n), (blocks * n,)]
    return [torch.randn(shape, dtype=torch.float64, **options) for shape in shapes]


@pytest.mark.parametrize("name", STEPS)
def test_gradcheck_of_one_step(name):
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(STEPS[name][0], step_inputs(name, requires_grad=True))


@pytest.mark.parametrize("name", STEPS)
def test_steps_take_leading_dimensions(name):
    step, _, _ = STEPS[name]
    *inputs, W_hh, b_hh = step_inputs(name, lead=(2, 5))
    whole = parts(step(*inputs, W_hh, b_hh))
    for k in range(2):
        assert_same([s[k] for s in whole], parts(step(*(x[k] for x in inputs), W_hh, b_hh)))


@pytest.mark.parametrize("name", STEPS)
def test_steps_run_networks_side_by_side(name):
    step, _, _ = STEPS[name]
    networks = [step_inputs(name, lead=(5,)) for _ in range(3)]
    *inputs, b_hh = [torch.stack(tensors) for tensors in zip(*networks, strict=True)]
    together = parts(step(*inputs, b_hh[:, None]))
    for k, network in enumerate(networks):
        assert_same([s[k] for s in together], parts(step(*network)))


def test_another_activation():
    a_t, h, W_hh, b_hh = step_inputs("rnn")
    assert_same([cells.rnn_step(a_t, h, W_hh, b_hh, torch.sigmoid)], [torch.sigmoid(a_t + h @ W_hh.T + b_hh)])


# ---------------------------------------------------------------- dropout, devices, autocast


def test_dropout_acts_between_layers_in_training_alone():
    x = torch.randn(7, 3, 2)
    ours, theirs = pair("gru", 2, 6, 2, torch.float32, dropout=0.5)
    plain, _ = pair("gru", 2, 6, 2, torch.float32)
    plain.load_state_dict(ours.state_dict())
    first = cells.GRU(2, 6)
    first.load_state_dict({name: p for name, p in ours.state_dict().items() if name.endswith("_l0")})
    assert not torch.allclose(ours(x)[0], plain(x)[0])
    assert torch.allclose(ours(x)[1][0], first(x)[1][0])  # the first layer's own last state is whole
    assert torch.allclose(ours.eval()(x)[0], plain(x)[0])
    assert torch.allclose(theirs.eval()(x)[0], plain(x)[0], atol=1e-6)


def test_dropout_of_everything_leaves_the_upper_layer_its_biases():
    ours, theirs = pair("lstm", 2, 3, 2, torch.float32, dropout=1.0)
    x, other = torch.randn(4, 2, 2), torch.randn(4, 2, 2)
    assert torch.equal(ours(x)[0], ours(other)[0])
    assert torch.allclose(ours(x)[0], theirs(x)[0], atol=1e-6)


def test_dropout_behind_a_single_layer_does_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that there is nothing to drop
        ours, _ = pair("gru", 2, 3, 1, dropout=0.9)
    x = torch.randn(3, 1, 2, dtype=torch.float64)
    assert torch.equal(ours(x)[0], ours.eval()(x)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_device_and_dtype_reach_the_parameters(kind):
    ours, _, options = KINDS[kind]
    module = ours(2, 3, device="meta", dtype=torch.bfloat16, **options)
    assert {(p.device.type, p.dtype) for p in module.parameters()} == {("meta", torch.bfloat16)}


def test_autocast_may_mix_dtypes():
    ours = cells.LSTM(2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, _ = ours(torch.randn(4, 1, 2, dtype=torch.bfloat16))
    assert out.shape == (4, 1, 3)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("kind", FIRST)
@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((5, 2), r"\(5, 2\)"),
        ((5, 1, 4), r"\(5, 1, 4\)"),
        ((0, 1, 2), r"\(0, 1, 2\)"),
        ((5, 0, 2), r"\(5, 0, 2\)"),
        ((5, 1, 2, 1), r"\(5, 1, 2, 1\)"),
    ],
)
def test_wrong_input_shape_names_the_right_one(kind, shape, found):
    ours, _, options = FIRST[kind]
    with pytest.raises(ValueError, match=r"\(time, batch, input_size = 2\).*found " + found):
        ours(2, 3, **options)(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"\(batch, time, input_size = 2\).*found " + found):
        ours(2, 3, batch_first=True, **options)(torch.zeros(shape))


def test_wrong_input_dtype_is_named():
    with pytest.raises(ValueError, match=r"float32.*found \(4, 1, 2\) of torch.float64"):
        cells.RNN(2, 3)(torch.zeros(4, 1, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"float32.*torch.int64"):
        cells.GRU(2, 3)(torch.zeros(4, 1, 2, dtype=torch.long))


@pytest.mark.parametrize(
    ("cell", "state", "words"),
    [
        (cells.RNN, torch.zeros(1, 2, 3), r"a tensor of shape .* \(2, 4, 3\).*found \(1, 2, 3\)"),
        (cells.RNN, torch.zeros(4, 3), r"found \(4, 3\)"),
        (cells.GRU, (torch.zeros(2, 4, 3),) * 2, r"a tensor of shape"),
        (cells.LSTM, torch.zeros(2, 4, 3), r"a tuple of 2 tensors"),
        (cells.LSTM, (torch.zeros(2, 4, 3), torch.zeros(2, 4, 5)), r"found \(2, 4, 3\) .*, \(2, 4, 5\)"),
        (cells.LSTM, (torch.zeros(2, 4, 3), None), r"NoneType"),
        (cells.LSTM, (), r"found nothing"),
        (cells.GRU, torch.zeros(2, 4, 3).double(), r"float32, found \(2, 4, 3\) of torch.float64"),
    ],
)
def test_wrong_first_state_names_the_right_one(cell, state, words):
    with pytest.raises(ValueError, match=words):
        cell(2, 3, 2)(torch.zeros(5, 4, 2), state)


@pytest.mark.parametrize(
    "sizes", [(0, 3), (2, 0), (2, -3), (2, 3, 0), (2.0, 3), ("2", 3), (True, 3), (None, 3), (2, 3, 1.5)]
)
def test_wrong_sizes_are_refused(sizes):
    for cell in (cells.RNN, cells.LSTM, cells.GRU):
        with pytest.raises(ValueError, match="whole numbers of at least 1"):
            cell(*sizes)


@pytest.mark.parametrize("dropout", [-0.1, 1.1, float("nan"), "0.5", True, None])
def test_wrong_dropout_is_refused(dropout):
    with pytest.raises(ValueError, match=r"a number in \[0, 1\]"):
        cells.LSTM(2, 3, 2, dropout=dropout)


def test_unknown_nonlinearity_is_refused():
    with pytest.raises(ValueError, match="'gelu'; choose tanh or relu"):
        cells.RNN(2, 3, nonlinearity="gelu")
