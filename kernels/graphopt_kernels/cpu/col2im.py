"""The second half of a transposed convolution: the product's columns added up where they overlap.

Y[n, o] = clip(Σ over taps of columns[n, o, tap] laid `stride` apart + bias[o] + residual).  Members share the rows of
Y.
"""

from __future__ import annotations

from collections.abc import Callable

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.bind import convolution as f
from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.words import float_word, make_load, make_store, word_at


def core(spec: KernelSpec) -> Callable[[int, int, int], None]:
    """The sum for `spec["dtype"]`."""
    dtype = spec["dtype"]
    itemsize = 4 if dtype == "float32" else 8
    load, store = make_load(dtype), make_store(dtype)

    @device
    def add_taps(block: int, columns: int, y: int, od: int, oh: int) -> None:
        """Add every tap that reaches one row of Y; `columns` are those of its channel."""
        depth, height, width = word_at(block, f.IN), word_at(block, f.IN + 1), word_at(block, f.IN + 2)
        kd, kh, kw = word_at(block, f.KERNEL), word_at(block, f.KERNEL + 1), word_at(block, f.KERNEL + 2)
        sd, sh, sw = word_at(block, f.STRIDE), word_at(block, f.STRIDE + 1), word_at(block, f.STRIDE + 2)
        out_width = word_at(block, f.OUT + 2)
        for a in range(kd):
            z = od + word_at(block, f.PAD) - a * word_at(block, f.DILATION)
            if z < 0 or z % sd != 0 or z // sd >= depth:
                continue
            for b in range(kh):
                row = oh + word_at(block, f.PAD + 1) - b * word_at(block, f.DILATION + 1)
                if row < 0 or row % sh != 0 or row // sh >= height:
                    continue
                for c in range(kw):
                    shift = c * word_at(block, f.DILATION + 2) - word_at(block, f.PAD + 2)
                    line = (((a * kh + b) * kw + c) * depth + z // sd) * height + row // sh
                    source = columns + line * width * itemsize
                    first = max(0, (sw - 1 - shift) // sw)
                    last = min(width, (out_width - shift + sw - 1) // sw)
                    for i in range(first, last):
                        place = y + (i * sw + shift) * itemsize
                        store(place, load(place) + load(source + i * itemsize))

    def col2im(block: int, member: int, team: int) -> None:
        outputs, out_depth, out_height = word_at(block, f.OUTPUTS), word_at(block, f.OUT), word_at(block, f.OUT + 1)
        out_width = word_at(block, f.OUT + 2)
        inside = itemsize
        for d in range(3):
            inside *= word_at(block, f.IN + d) * word_at(block, f.KERNEL + d)
        bias, residual = word_at(block, f.BIAS), word_at(block, f.RESIDUAL)
        low, high = float_word(word_at(block, f.LOW)), float_word(word_at(block, f.HIGH))
        total = word_at(block, f.N) * outputs * out_depth * out_height
        for unit in range(total * member // team, total * (member + 1) // team):
            oh, rest = unit % out_height, unit // out_height
            od, channel = rest % out_depth, rest // out_depth
            y = word_at(block, f.Y) + unit * out_width * itemsize
            start = 0.0
            if bias != 0:
                start = float(load(bias + channel % outputs * itemsize))
            for i in range(out_width):
                store(y + i * itemsize, start)
            add_taps(block, word_at(block, f.COLUMNS) + channel * inside, y, od, oh)
            for i in range(out_width):
                value = float(load(y + i * itemsize))
                if residual != 0:
                    value = float(load(y + i * itemsize) + load(residual + (unit * out_width + i) * itemsize))
                value = low if low > value else value
                store(y + i * itemsize, high if high < value else value)

    return col2im
