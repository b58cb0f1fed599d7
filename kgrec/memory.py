"""Whether an error says that the memory does not suffice."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that the memory of the machine or of its GPU does not suffice.

    Parameters
    ----------
    error
        What was raised.

    Returns
    -------
    bool
        PyTorch has a class of its own for a GPU and none for the machine.

    Examples
    --------
    >>> try:
    ...     torch.empty(1 << 50)
    ... except RuntimeError as error:
    ...     is_out_of_memory(error)
    True
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
