"""Convolution as a product of the weights and panels of pixels, gathered as it goes (implicit GEMM, im2col by panels).

A panel holds, for 32 float32 pixels of the output side by side, every element of the input that they need, one row for
each channel and tap.  The rows of W meet a group of panels that fits the second-level cache; channels are cut into
blocks, and a later block adds to what Y holds.  Members share the panels, or the outputs where these are shared more
evenly.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from graphopt_kernels.abi import KernelSpec, float_field
from graphopt_kernels.bind import convolution as f
from graphopt_kernels.cpu import tile as t
from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.runs import make_copy_run
from graphopt_kernels.cpu.tile import make_tile, tile_shape
from graphopt_kernels.cpu.words import put_word, stack_words, word_at
from graphopt_kernels.targets import Target

LOWEST, HIGHEST, ONE = float_field(-math.inf), float_field(math.inf), float_field(1.0)


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The convolution for `spec["dtype"]` of operands in `spec["layout"]`."""
    dtype = spec["dtype"]
    itemsize = 4 if dtype == "float32" else 8
    shape = tile_shape(target, itemsize)
    tile = make_tile(shape, dtype, masked=shape.masked_rows == shape.rows)
    copy_every, copy_second, copy_any = (make_copy_run(shape.lanes, dtype, way) for way in ("every", "second", "any"))
    descriptor = stack_words(t.DESCRIPTOR_WORDS)
    most, columns, panel, lanes = shape.rows, shape.columns, shape.panel, shape.lanes

    @device
    def gather_panel(block: int, x: int, target: int, channels: int, p0: int, count: int) -> None:
        """The panel of pixels p0.. for some channels, the first of which lies at `x`."""
        depth, height, width = word_at(block, f.IN), word_at(block, f.IN + 1), word_at(block, f.IN + 2)
        out_height, out_width = word_at(block, f.OUT + 1), word_at(block, f.OUT + 2)
        kd, kh, kw = word_at(block, f.KERNEL), word_at(block, f.KERNEL + 1), word_at(block, f.KERNEL + 2)
        stride = word_at(block, f.STRIDE + 2)
        plane, step = depth * height * width * itemsize, kd * kh * kw * t.PANEL_BYTES
        done = 0
        while done < count:
            p = p0 + done
            ow, row = p % out_width, p // out_width
            oh, od = row % out_height, row // out_height
            length = min(min(out_width - ow, count - done), lanes)
            place = target + done * itemsize
            for a in range(kd):
                z = od * word_at(block, f.STRIDE) - word_at(block, f.PAD) + a * word_at(block, f.DILATION)
                for b in range(kh):
                    y = (
                        oh * word_at(block, f.STRIDE + 1)
                        - word_at(block, f.PAD + 1)
                        + b * word_at(block, f.DILATION + 1)
                    )
                    exists = z >= 0 and z < depth and y >= 0 and y < height
                    source = x + (z * height + y) * width * itemsize if exists else x
                    wide = width if exists else 0
                    first = ow * stride - word_at(block, f.PAD + 2)
                    for _ in range(kw):
                        if stride == 1:
                            copy_every(source, first, 1, wide, plane, place, step, channels, length)
                        elif stride == 2:
                            copy_second(source, first, 2, wide, plane, place, step, channels, length)
                        else:
                            copy_any(source, first, stride, wide, plane, place, step, channels, length)
                        first += word_at(block, f.DILATION + 2)
                        place += t.PANEL_BYTES
            done += length

    @device
    def panels_of(block: int, image: int, group: int, p0: int, p1: int, o0: int, o1: int, room: int) -> None:
        """Outputs o0..o1 of a group at pixels p0..p1, which fit into the room for panels."""
        channels, outputs, taps = word_at(block, f.CHANNELS), word_at(block, f.OUTPUTS), 1
        plane = itemsize
        pixels = 1
        for d in range(3):
            taps *= word_at(block, f.KERNEL + d)
            plane *= word_at(block, f.IN + d)
            pixels *= word_at(block, f.OUT + d)
        groups, w_row = word_at(block, f.GROUPS), word_at(block, f.W_ROW) * itemsize
        first_output = group * outputs
        x = word_at(block, f.X) + (image * groups + group) * channels * plane
        w = word_at(block, f.W) + first_output * w_row
        y = word_at(block, f.Y) + (image * groups * outputs + first_output) * pixels * itemsize
        bias, residual = word_at(block, f.BIAS), word_at(block, f.RESIDUAL)
        d = descriptor()
        put_word(d, t.A_ROW, w_row)
        put_word(d, t.A_STEP, itemsize)
        put_word(d, t.B_STEP, t.PANEL_BYTES)
        put_word(d, t.C_ROW, pixels * itemsize)
        put_word(d, t.BIAS_ROW, itemsize)
        put_word(d, t.BIAS_COLUMN, 0)
        put_word(d, t.RESIDUAL_ROW, pixels * itemsize)
        put_word(d, t.RESIDUAL_COLUMN, itemsize)
        put_word(d, t.BIAS, 0)
        put_word(d, t.BIAS_SCALE, ONE)
        put_word(d, t.RESIDUAL, 0)
        c_block = word_at(block, f.C_BLOCK)
        tiles = (o1 - o0 + most - 1) // most
        c0 = 0
        while True:
            c1 = min(c0 + c_block, channels)
            k = (c1 - c0) * taps
            for p in range(p0, p1, panel):
                place = room + (p - p0) // panel * c_block * taps * t.PANEL_BYTES
                gather_panel(block, x + c0 * plane, place, c1 - c0, p, min(p1 - p, panel))
            put_word(d, t.K, k)
            put_word(d, t.ACCUMULATE, 1 if c0 > 0 else 0)
            put_word(d, t.LOW, word_at(block, f.LOW) if c1 == channels else LOWEST)
            put_word(d, t.HIGH, word_at(block, f.HIGH) if c1 == channels else HIGHEST)
            for i in range(tiles):
                r0 = o0 + (o1 - o0) * i // tiles
                r1 = o0 + (o1 - o0) * (i + 1) // tiles
                put_word(d, t.A, w + r0 * w_row + c0 * taps * itemsize)
                if c0 == 0 and bias != 0:
                    put_word(d, t.BIAS, bias + (first_output + r0) * itemsize)
                for p in range(p0, p1, columns):
                    place = room + (p - p0) // panel * c_block * taps * t.PANEL_BYTES
                    put_word(d, t.B, place + (p - p0) % panel * itemsize)
                    put_word(d, t.COUNT, min(p1 - p, columns))
                    offset = (r0 * pixels + p) * itemsize
                    put_word(d, t.C, y + offset)
                    if c0 == 0 and residual != 0:
                        start = (image * groups * outputs + first_output) * pixels * itemsize
                        put_word(d, t.RESIDUAL, residual + start + offset)
                    tile(d, r1 - r0)
            put_word(d, t.BIAS, 0)
            put_word(d, t.RESIDUAL, 0)
            c0 = c1
            if c0 >= channels:
                break

    def convolution(block: int, member: int, team: int) -> None:
        team = min(team, word_at(block, f.MEMBERS))
        if member >= team:
            return
        groups, outputs = word_at(block, f.GROUPS), word_at(block, f.OUTPUTS)
        images = word_at(block, f.N) * groups
        pixels = word_at(block, f.OUT) * word_at(block, f.OUT + 1) * word_at(block, f.OUT + 2)
        panels = (pixels + panel - 1) // panel
        room = word_at(block, f.SCRATCH) + member * word_at(block, f.MEMBER_BYTES)
        together = word_at(block, f.PANELS)
        units, tiles = images * panels, (outputs + most - 1) // most
        u0, u1, o0, o1 = units * member // team, units * (member + 1) // team, 0, outputs
        # the busiest member's share of all the work, were panels or were tiles shared
        if (units + team - 1) // team * tiles > (tiles + team - 1) // team * units * 5 // 4:
            u0, u1 = 0, units
            o0, o1 = min(tiles * member // team * most, outputs), min(tiles * (member + 1) // team * most, outputs)
        u = u0
        while u < u1 and o0 < o1:
            index, p = u // panels, u % panels
            end = min(min(p + together, panels), p + u1 - u)
            p1 = min(end * panel, pixels)
            panels_of(block, index // groups, index % groups, p * panel, p1, o0, o1, room)
            u += end - p

    return convolution
