"""From a model that scores the next token to a text: sampling, greedy choice, beam search (chapters 5.1 to 5.3, 5.8).

A model takes part by one function, ``step(tokens, state) -> (log_probs, state)``: tokens (N,) that were written last,
log-probabilities (N, V) of the token that follows. A state is a tensor or a nested tuple of tensors whose first
dimension is the batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

State = Tensor | tuple
Step = Callable[[Tensor, State], tuple[Tensor, State]]


def take(state: State, rows: Tensor) -> State:
    """The given rows of every tensor of a state."""
    return state.index_select(0, rows) if isinstance(state, Tensor) else tuple(take(part, rows) for part in state)


def _device(state: State) -> torch.device | None:
    if isinstance(state, Tensor):
        return state.device
    return next((device for part in state if (device := _device(part)) is not None), None)


# ---------------------------------------------------------------- one token


def keep(logits: Tensor, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """Logits (N, V) divided by the temperature, with what is not to be drawn at minus infinity.

    ``top_k`` keeps the k largest (Fan, Lewis & Dauphin 2018); ``top_p`` then keeps the smallest set of the most
    probable tokens that together have at least this probability (nucleus: Holtzman et al. 2020). Of equals the
    first ones stay.
    """
    if not temperature > 0 or (top_k is not None and top_k < 1) or (top_p is not None and not 0 < top_p <= 1):
        found = f"temperature = {temperature}, top_k = {top_k}, top_p = {top_p}"
        raise ValueError(f"expected temperature > 0, top_k >= 1 and 0 < top_p <= 1, found {found}")
    logits = logits / temperature
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)  # (N, V)
    if top_k is not None:
        ordered[..., top_k:] = float("-inf")
    if top_p is not None:
        p = ordered.softmax(dim=-1)
        ordered = ordered.masked_fill(p.cumsum(dim=-1) - p >= top_p, float("-inf"))  # the mass before a token is enough
    return torch.empty_like(logits).scatter(-1, order, ordered)


def greedy(logits: Tensor) -> Tensor:
    """The most probable token (N,) of logits or log-probabilities (N, V)."""
    return logits.argmax(dim=-1)


def sampler(generator: torch.Generator | None = None, **limits) -> Callable[[Tensor], Tensor]:
    """A function that draws tokens (N,) from logits (N, V); ``limits`` are those of :func:`keep`."""

    def draw(logits: Tensor) -> Tensor:
        return torch.multinomial(keep(logits, **limits).softmax(dim=-1), 1, generator=generator).squeeze(-1)

    return draw


# ---------------------------------------------------------------- whole texts


@torch.inference_mode()
def generate(
    step: Step,
    state: State,
    first: Tensor,
    *,
    max_length: int,
    end: int | None = None,
    choose: Callable[[Tensor], Tensor] = greedy,
) -> tuple[Tensor, Tensor]:
    """Write on from the tokens ``first`` (N,), one token at a time.

    Returns:
        tokens (N, T), T <= max_length, and lengths (N,): how many of them come before ``end``, behind which
        there is only ``end``. Without ``end`` every row is ``max_length`` long.
    """
    if max_length < 1:
        raise ValueError(f"expected max_length >= 1, found {max_length}")
    token, written = first, []
    alive = torch.ones_like(first, dtype=torch.bool)  # (N,)
    lengths = torch.zeros_like(first)
    for _ in range(max_length):
        log_probs, state = step(token, state)  # (N, V)
        token = choose(log_probs)  # (N,)
        if end is not None:
            token = torch.where(alive, token, end)
            alive = alive & (token != end)
        written.append(token)
        lengths += alive
        if not alive.any():
            break
    return torch.stack(written, dim=1), lengths


@dataclass(frozen=True)
class Hypothesis:
    """A text that beam search found: its tokens without start and end, log p(tokens, end), and that normalised."""

    tokens: list[int]
    log_prob: float
    score: float


@torch.inference_mode()
def beam_search(
    step: Step,
    state: State,
    batch: int,
    *,
    start: int,
    end: int,
    max_length: int,
    width: int = 5,
    length_penalty: float = 0.0,
) -> list[list[Hypothesis]]:
    """The texts of highest score that a beam finds, for each of ``batch`` items, best first.

    At every length the ``width`` most probable beginnings live on, and the ``width`` best ended texts are kept. The
    score is log p / ((5 + length) / 6) ** length_penalty, the length counting ``end`` (Wu et al. 2016, equation 14);
    with 0 it is the log-probability. The search of an item is over when no beginning can still overtake. After
    ``max_length`` tokens a text is ended, at the price the model asks. A beam as wide as there are beginnings is an
    exhaustive search.

    Args:
        state: of ``batch`` rows.

    Returns:
        per item at most ``width`` hypotheses, which do not depend on the other items.
    """
    if min(batch, max_length, width) < 1 or length_penalty < 0:
        found = f"batch = {batch}, max_length = {max_length}, width = {width}, length_penalty = {length_penalty}"
        raise ValueError(f"expected sizes of at least 1 and length_penalty >= 0, found {found}")
    device, nothing = _device(state), float("-inf")
    first_row = torch.arange(batch, device=device).unsqueeze(1) * width  # (batch, 1)
    state = take(state, torch.arange(batch, device=device).repeat_interleave(width))
    tokens = torch.full((batch, width, max_length + 1), end, device=device)
    tokens[:, :, 0] = start
    live = torch.full((batch, width), nothing, dtype=torch.float64, device=device)  # log p of the beginnings
    done = torch.full((batch, width, 2), nothing, dtype=torch.float64, device=device)  # score and log p of the ended
    ended, live[:, 0] = tokens.clone(), 0.0
    for t in range(max_length + 1):
        log_probs, state = step(tokens[:, :, t].flatten(), state)  # (batch * width, V)
        if log_probs.isnan().any():
            raise ValueError(f"step gave NaN as a log-probability, {t} tokens after the start")
        total = live.unsqueeze(2) + log_probs.view(batch, width, -1)  # (batch, width, V)
        fresh = total[:, :, end]
        pool = torch.cat([done, torch.stack([fresh / _penalty(t + 1, length_penalty), fresh], dim=2)], dim=1)
        best = pool[:, :, 0].topk(width, dim=1).indices  # (batch, width)
        done = pool.gather(1, best.unsqueeze(2).expand(-1, -1, 2))
        ended = torch.cat([ended, tokens], dim=1).gather(1, best.unsqueeze(2).expand_as(tokens))
        if t == max_length:
            break
        total[:, :, end] = nothing
        live, flat = total.flatten(1).topk(width, dim=1)
        parent, token = flat // total.size(2), flat % total.size(2)  # (batch, width)
        if (done[:, -1, 0] >= live[:, 0] / _penalty(max_length + 1, length_penalty)).all():
            break
        state = take(state, (first_row + parent).flatten())
        tokens = tokens.gather(1, parent.unsqueeze(2).expand_as(tokens))
        tokens[:, :, t + 1] = token
    return [_hypotheses(*item, end) for item in zip(ended[:, :, 1:].tolist(), done.tolist(), strict=True)]


def _penalty(length: int, power: float) -> float:
    return ((5 + length) / 6) ** power


def _hypotheses(rows: list[list[int]], scores: list[list[float]], end: int) -> list[Hypothesis]:
    """The ended texts of one item; a place that was never taken has log p = -inf."""
    found = [(row[: row.index(end)] if end in row else row, *pair) for row, pair in zip(rows, scores, strict=True)]
    return [Hypothesis(row, log_p, score) for row, score, log_p in found if log_p > float("-inf")]
