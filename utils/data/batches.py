"""From sequences of unequal lengths to padded batches, in plain PyTorch (chapters 4.2 and 4.3)."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Sampler


def pad(sequences: Sequence[Tensor], value: float = 0) -> tuple[Tensor, Tensor]:
    """Lay sequences side by side in one batch, and remember where each ends.

    Args:
        sequences: tensors (T_i, …) that differ in their first dimension only.
        value: what stands behind the end of the shorter ones.

    Returns:
        the batch (B, T, …), T being the longest length, and the lengths (B,).

    Raises:
        ValueError: no sequence, or an empty one (a packed batch cannot hold it).
    """
    lengths = torch.tensor([len(sequence) for sequence in sequences])  # (B,)
    if len(lengths) == 0 or lengths.min() == 0:
        empty = (lengths == 0).nonzero().flatten().tolist()
        raise ValueError(f"expected at least one sequence, and none empty; found {len(lengths)}, empty ones at {empty}")
    return pad_sequence(list(sequences), batch_first=True, padding_value=value), lengths


def mask(lengths: Tensor, time: int | None = None) -> Tensor:
    """(B, T) true where a step belongs to its sequence, false in the padding; T: ``time``, else the longest length.

    Raises:
        ValueError: lengths that are no vector of at least one number.
    """
    if lengths.dim() != 1 or len(lengths) == 0:
        raise ValueError(f"expected lengths of shape (B,) with B >= 1, found shape {tuple(lengths.shape)}")
    time = int(lengths.max()) if time is None else time
    return torch.arange(time, device=lengths.device) < lengths.unsqueeze(1)  # (B, T)


def torch_shuffled(items: Sequence) -> list:
    """The items in a new order, drawn from torch's global random numbers."""
    return [items[i] for i in torch.randperm(len(items)).tolist()]


class BucketSampler(Sampler[list[int]]):
    """Batches of similar lengths, in a new order every epoch.

    The method of torchtext's ``BucketIterator``: shuffle everything, cut it into pools of ``pool`` batches, sort
    each pool by length, cut it into batches, shuffle those. A large pool gives little padding, a small one more
    chance. Within a batch the longest sequence comes first.

    Args:
        lengths: (N,) length of every item.
        batch_size: items per batch; the last batch of the last pool may be smaller.
        pool: batches per pool.
        shuffled: returns the items it is given in a new order; ``None`` leaves every order as it is.

    Raises:
        ValueError: no item, or a batch size or pool that is no whole number of at least 1.
    """

    def __init__(
        self,
        lengths: Sequence[int] | Tensor,
        batch_size: int,
        *,
        pool: int = 100,
        shuffled: Callable[[Sequence], list] | None = torch_shuffled,
    ):
        self.lengths = [int(length) for length in lengths]
        if not self.lengths or not all(type(size) is int and size >= 1 for size in (batch_size, pool)):
            raise ValueError(
                "expected at least one item, and for batch_size and pool whole numbers of at least 1; "
                f"found {len(self.lengths)} items, batch_size = {batch_size}, pool = {pool}"
            )
        self.batch_size, self.pool = batch_size, pool
        self.shuffled = list if shuffled is None else shuffled

    def __iter__(self) -> Iterator[list[int]]:
        order = self.shuffled(range(len(self.lengths)))
        for pool in _chunks(order, self.batch_size * self.pool):
            by_length = sorted(pool, key=self.lengths.__getitem__)
            for batch in self.shuffled(_chunks(by_length, self.batch_size)):
                yield sorted(batch, key=self.lengths.__getitem__, reverse=True)

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)  # whole batches of whole pools, and the rest rounded up


def _chunks(items: list, size: int) -> list[list]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def padded_batches(
    sequences: Sequence[Tensor],
    targets: Tensor | None = None,
    *,
    batch_size: int,
    shuffle: bool = True,
    pool: int = 100,
    value: float = 0,
) -> DataLoader:
    """Bucketed, padded batches (x, lengths) or (x, lengths, y).

    The items never come in the order of ``sequences``, not even without ``shuffle`` (each pool is sorted by length):
    list ``loader.batch_sampler`` to know which item stands where.

    Args:
        sequences: N tensors (T_i, …).
        targets: (N, …) one per sequence.
        shuffle: a new order every epoch, from torch's global random numbers, so that ``seed_everything`` fixes it.
        pool: see :class:`BucketSampler`; ``pool=1`` is plain shuffling without buckets.

    Returns:
        a sized loader of batches: x (B, T, …), lengths (B,), y (B, …).

    Raises:
        ValueError: as many targets as sequences are expected, no sequence empty, and sizes of at least 1.
    """
    empty = [i for i, sequence in enumerate(sequences) if len(sequence) == 0]
    if empty:  # said now and not in the middle of an epoch
        raise ValueError(f"expected no empty sequence; found {len(empty)}, the first at index {empty[0]}")
    if targets is not None and len(targets) != len(sequences):
        raise ValueError(f"{len(sequences)} sequences, but {len(targets)} targets")
    sampler = BucketSampler(
        [len(s) for s in sequences], batch_size, pool=pool, shuffled=torch_shuffled if shuffle else None
    )

    def collate(batch: list[int]) -> tuple[Tensor, ...]:
        x, lengths = pad([sequences[i] for i in batch], value)
        return (x, lengths) if targets is None else (x, lengths, targets[batch])

    return DataLoader(range(len(sequences)), batch_sampler=sampler, collate_fn=collate)
