"""What can be known of a batch before the device sees it: where it is masked, where its packed segments end.

The model finds both out by itself where they are not passed to it. On a GPU that means waiting for it: how many places
are masked decides the shapes of what follows. A loader that computes them on the CPU, in a worker, spares the step
that wait.
"""

import torch

from .masking import IGNORE_INDEX

Layout = dict[str, torch.Tensor | int]
# What transformers' flash attention takes for rows of uneven lengths, in any order.
SEGMENT_ARGUMENTS = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")


def masked_places(labels: torch.Tensor) -> Layout:
    """Where labels ``[B, L]`` are not -100: what ``ChineseBertForMaskedLM.forward`` takes for it.

    Returns:
        ``masked_positions``, int64 ``[M]``, the masked places numbered row by row (row x L + column), ascending; and
        ``masked_per_row``, the most that one row has.
    """
    masked = labels != IGNORE_INDEX
    return {"masked_positions": place_numbers(masked), "masked_per_row": int(masked.sum(dim=1).max())}


def segment_bounds(segment_ids: torch.Tensor) -> Layout:
    """Where the segments of packed rows ``[B, L]`` begin, as transformers' flash attention takes it.

    The rows are read one after the other; a segment ends where the id changes and at the end of its row. Padding, with
    its id of 0, is a segment too.

    Returns:
        ``cu_seq_lens_q`` and ``cu_seq_lens_k``, one int32 tensor ``[segments + 1]`` from 0 to B x L; ``max_length_q``
        and ``max_length_k``, the length of the longest segment, or, on a GPU, of a row, which costs no look at it.
    """
    begins = torch.ones_like(segment_ids, dtype=torch.bool)
    begins[:, 1:] = segment_ids[:, 1:] != segment_ids[:, :-1]
    bounds = torch.nn.functional.pad(place_numbers(begins), (0, 1), value=segment_ids.numel()).int()
    on_cpu = segment_ids.device.type == "cpu"
    longest = int(bounds.diff().max()) if on_cpu else segment_ids.shape[1]
    return dict(zip(SEGMENT_ARGUMENTS, (bounds, bounds, longest, longest), strict=True))


def place_numbers(places: torch.Tensor) -> torch.Tensor:
    """The places that are true in a bool ``[B, L]``, numbered row by row, ascending: int64 ``[M]``."""
    return places.flatten().nonzero().squeeze(1)
