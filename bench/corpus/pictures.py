"""Seeded pictures: colour fields with rectangles, and pages of dark text; NCHW, float32, 0 to 1."""

from __future__ import annotations

import numpy as np

Random = np.random.Generator

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)

# a 5x7 font: for each sign five columns, the lowest bit on top
_COLUMNS = (
    "0:3E 51 49 45 3E|1:00 42 7F 40 00|2:42 61 51 49 46|3:21 41 45 4B 31|4:18 14 12 7F 10|5:27 45 45 45 39|"
    "6:3C 4A 49 49 30|7:01 71 09 05 03|8:36 49 49 49 36|9:06 49 49 29 1E|A:7E 11 11 11 7E|B:7F 49 49 49 36|"
    "C:3E 41 41 41 22|D:7F 41 41 22 1C|E:7F 49 49 49 41|F:7F 09 09 09 01|G:3E 41 49 49 7A|H:7F 08 08 08 7F|"
    "I:00 41 7F 41 00|K:7F 08 14 22 41|L:7F 40 40 40 40|M:7F 02 0C 02 7F|N:7F 04 08 10 7F|O:3E 41 41 41 3E|"
    "P:7F 09 09 09 06|R:7F 09 19 29 46|S:46 49 49 49 31|T:01 01 7F 01 01|U:3F 40 40 40 3F|V:1F 20 40 20 1F|"
    "X:63 14 08 14 63|Y:07 08 70 08 07|Z:61 51 49 45 43"
)
_FONT = {
    sign: [int(column, 16) for column in columns.split()]
    for sign, columns in (c.split(":") for c in _COLUMNS.split("|"))
}
_SIGNS = sorted(_FONT)


def colour_field(random: Random, batch: int, channels: int, height: int, width: int) -> np.ndarray:
    """Smooth fields of colour with some rectangles and a little noise."""
    pictures = np.empty((batch, channels, height, width), np.float32)
    for picture in pictures:
        grid = random.random((channels, max(2, height // 32 + 1), max(2, width // 32 + 1)))
        smooth = _enlarge(grid, height, width)
        for _ in range(6):
            y, x = random.integers(0, max(1, height - 4)), random.integers(0, max(1, width - 4))
            tall, wide = random.integers(3, max(4, height // 3)), random.integers(3, max(4, width // 3))
            smooth[:, y : y + tall, x : x + wide] = random.random((channels, 1, 1))
        picture[:] = np.clip(smooth + random.normal(0, 0.02, smooth.shape), 0, 1)
    return pictures


def text_page(random: Random, batch: int, channels: int, height: int, width: int) -> np.ndarray:
    """Pages with lines of dark text."""
    return _pages(random, batch, channels, height, width, single=False)


def text_line(random: Random, batch: int, channels: int, height: int, width: int) -> np.ndarray:
    """One line of dark text that fills the height."""
    return _pages(random, batch, channels, height, width, single=True)


def normalised(pictures: np.ndarray) -> np.ndarray:
    """Pictures as networks trained on ImageNet expect them."""
    return ((pictures - IMAGENET_MEAN) / IMAGENET_DEVIATION).astype(np.float32)


def _enlarge(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    y, x = np.linspace(0, grid.shape[1] - 1.001, height), np.linspace(0, grid.shape[2] - 1.001, width)
    top, left = y.astype(int), x.astype(int)
    down, right = (y - top)[None, :, None], (x - left)[None, None, :]
    bottom, far = np.minimum(top + 1, grid.shape[1] - 1), np.minimum(left + 1, grid.shape[2] - 1)
    return (
        grid[:, top][:, :, left] * (1 - down) * (1 - right)
        + grid[:, bottom][:, :, left] * down * (1 - right)
        + grid[:, top][:, :, far] * (1 - down) * right
        + grid[:, bottom][:, :, far] * down * right
    )


def _write_line(random: Random, signs: int, scale: int) -> np.ndarray:
    line = np.zeros((9, signs * 6 + 2), np.float32)
    for i in range(signs):
        if random.random() < 0.12:
            continue
        for x, column in enumerate(_FONT[_SIGNS[random.integers(len(_SIGNS))]]):
            for y in range(7):
                line[1 + y, 1 + i * 6 + x] = (column >> y) & 1
    return line.repeat(scale, 0).repeat(scale, 1)


def _pages(random: Random, batch: int, channels: int, height: int, width: int, *, single: bool) -> np.ndarray:
    pages = np.empty((batch, channels, height, width), np.float32)
    for out in pages:
        page = np.full((height, width), random.uniform(0.85, 1.0), np.float32)
        ink = random.uniform(0, 0.25)
        if single:
            scale = max(1, height // 10)
            line = _write_line(random, max(1, (width - 4) // (6 * scale)), scale)[:height, :width]
            _print(page, line, (height - line.shape[0]) // 2, 0, ink)
        else:
            _fill(random, page, ink)
        paper = 1 - 0.05 * random.random((channels, 1, 1))
        out[:] = np.clip(_blur(page)[None] * paper + random.normal(0, 0.01, out.shape), 0, 1)
    return pages


def _fill(random: Random, page: np.ndarray, ink: float) -> None:
    height, width = page.shape
    y = 6
    while y < height - 12:
        scale = int(random.integers(2, 4))
        signs = int(random.integers(3, max(4, (width - 20) // (6 * scale) + 1)))
        line = _write_line(random, signs, scale)[: height - y, : width - 8]
        _print(page, line, y, int(random.integers(0, max(1, width - line.shape[1]))), ink)
        y += 9 * scale + int(random.integers(4, 24))


def _print(page: np.ndarray, line: np.ndarray, y: int, x: int, ink: float) -> None:
    page[y : y + line.shape[0], x : x + line.shape[1]][line > 0] = ink


def _blur(page: np.ndarray) -> np.ndarray:
    wide = np.pad(page, 1, mode="edge")  # edges as in a photograph
    return (wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] + 4 * page) / 8
