"""float16 to float32, exactly, in a fraction of the time that numpy takes number by number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Numbers that are widened at once: they stay in the processor's cache for all steps.
_AT_ONCE = 1 << 16
_SIGN_AND_LOW_BITS = np.int32(-0x70000001)
_BEYOND_HALF = 65536


def widened(float16: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    """The same numbers as float32, in an array of the same shape.

    The bits of a float16 moved to where float32 has its exponent and fraction are the same number times 2^-112.
    """
    numbers = np.empty(float16.shape, np.float32)
    source, target = np.ascontiguousarray(float16).reshape(-1), numbers.reshape(-1)
    for start in range(0, len(source), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        bits = target[part].view(np.int32)
        np.copyto(bits, source[part].view(np.int16))  # the sign fills the upper half
        bits <<= 13
        bits &= _SIGN_AND_LOW_BITS
        target[part] *= np.float32(2.0**112)
        if not -_BEYOND_HALF < target[part].min(initial=0) <= target[part].max(initial=0) < _BEYOND_HALF:
            target[part] = source[part]  # infinity and NaN have an exponent of their own
    return numbers
