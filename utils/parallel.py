"""All steps of a linear recurrence at once: the parallel scan, and the minGRU that it makes possible (chapter 7.2).

Time is dimension 1: tensors are (B, T, …).
"""

import torch
from torch import Tensor, nn


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a: Tensor, b: Tensor) -> Tensor:
        h = _states(a, b)
        ctx.save_for_backward(a, h)
        return h

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        """G_t = grad_t + a_{t+1} G_{t+1}: the same recurrence, read from the end."""
        a, h = ctx.saved_tensors
        nothing = torch.zeros_like(a[:, :1])
        following = torch.cat([a[:, 1:], nothing], dim=1).conj()  # (B, T, …) what h_t is multiplied by next
        G = _Scan.apply(following.flip(1), grad.flip(1)).flip(1)  # (B, T, …)
        before = torch.cat([nothing, h[:, :-1]], dim=1).conj()  # (B, T, …) h_{t-1}
        return G * before, G


def _states(a: Tensor, b: Tensor) -> Tensor:
    """Two steps are one step of the same kind: solve for every second state, then fill in the others."""
    if b.shape[1] == 1:
        return b
    a_first, a_second = a[:, 0:-1:2], a[:, 1::2]  # (B, T // 2, …)
    seconds = _states(a_second * a_first, torch.addcmul(b[:, 1::2], a_second, b[:, 0:-1:2]))  # (B, T // 2, …)
    h = torch.empty_like(b)
    h[:, 0], h[:, 1::2] = b[:, 0], seconds
    h[:, 2::2] = torch.addcmul(b[:, 2::2], a[:, 2::2], seconds[:, : (b.shape[1] - 1) // 2])
    return h


def scan(a: Tensor, b: Tensor, h_0: Tensor | None = None) -> Tensor:
    """All states of h_t = a_t * h_{t-1} + b_t, in about 2 log2 T rounds of operations on whole tensors.

    Source: Blelloch (1990), Prefix sums and their applications. The work is in proportion to T; values and gradients
    (of any order) are those of the loop, up to rounding.

    Args:
        a, b: (B, T, …), real or complex, or of shapes that broadcast to one such shape.
        h_0: (B, …) the state before the first step; zeros if not given.

    Returns:
        (B, T, …) h_1 … h_T.

    Raises:
        ValueError: fewer than two dimensions, or no time step.
    """
    if min(a.dim(), b.dim()) < 2 or 0 in (a.shape[1], b.shape[1]):
        raise ValueError(f"a and b must be (B, T, …) with T >= 1, found {tuple(a.shape)} and {tuple(b.shape)}")
    a, b = torch.broadcast_tensors(a, b)
    if h_0 is not None:
        b = torch.cat([b[:, :1] + a[:, :1] * h_0.unsqueeze(1), b[:, 1:]], dim=1)  # (B, T, …)
    dtype = torch.promote_types(a.dtype, b.dtype)
    return _Scan.apply(a.to(dtype), b.to(dtype))


def scan_log(log_a: Tensor, log_b: Tensor) -> Tensor:
    """:func:`scan` from zeros for positive a and b, given and returned as logarithms (Heinsen 2023).

    ``-inf`` stands for b_t = 0; a_t must be greater than 0.
    """
    A = log_a.cumsum(dim=1)  # (B, T, …) log of a_1 ⋯ a_t
    return A + torch.logcumsumexp(log_b - A, dim=1)


class MinGRU(nn.Module):
    """The GRU without what makes it wait (Feng et al. 2024): gate and candidate see the input only.

    z_t = σ(W_z x_t + b_z), g_t = W_g x_t + b_g, h_t = (1 - z_t) * h_{t-1} + z_t * g_t.

    Args:
        input_size, hidden_size: d inputs, n units.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.W = nn.Linear(input_size, 2 * hidden_size)

    def forward(self, x: Tensor, h_0: Tensor | None = None) -> Tensor:
        """All states (B, T, n) of the inputs (B, T, d), by a scan."""
        z, g = self.W(x).chunk(2, dim=-1)  # (B, T, n) each
        z = z.sigmoid()
        return scan(1 - z, z * g, h_0)

    def step(self, x_t: Tensor, h: Tensor | float = 0.0) -> Tensor:
        """The next state (B, n) after the input (B, d)."""
        z, g = self.W(x_t).chunk(2, dim=-1)  # (B, n) each
        return torch.lerp(torch.zeros_like(g) + h, g, z.sigmoid())
