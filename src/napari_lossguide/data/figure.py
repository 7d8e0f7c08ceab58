"""A grid of images with captions, as one picture: every place is made as large as what must fit into it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_lossguide.data.montage import montage

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

FONT_SIZE = 15
MARGIN = 10
SMALLEST = 192
"""Pixels of an image's longer side, at least: smaller images are enlarged by a whole factor."""
MISSING = 225
"""Grey of a place without an image."""


@dataclass(frozen=True)
class Panel:
    """One place of the grid.

    Attributes
    ----------
    image : real (ny, nx); None: the caption stands on grey in its place.
    caption : under the image.
    """

    image: np.ndarray | None
    caption: str


def captioned_grid(
    panels: Sequence[Sequence[Panel]], rows: Sequence[str], columns: Sequence[str], title: str, white: float
) -> np.ndarray:
    """Images in rows and columns, named at the left and at the top.

    Parameters
    ----------
    panels : row by row, all rows equally long; images of one shape, at least one of them.
    rows, columns : their captions, of one line or several.
    title : over everything; its lines are not broken.
    white : value that becomes white; zero is black.

    Returns
    -------
    uint8 (height, width)
    """
    from PIL import Image

    font = font_of(FONT_SIZE)
    ny, nx = next(p.image.shape for row in panels for p in row if p.image is not None)
    factor = math.ceil(SMALLEST / max(ny, nx))
    texts = [*columns, *(p.caption for row in panels for p in row)]
    width = max(nx * factor, *(extent(t, font)[0] for t in texts)) + MARGIN
    below = max(extent(p.caption, font)[1] for row in panels for p in row) + MARGIN
    tiles = [tile(p, (ny, nx), factor, width, below, white) for row in panels for p in row]
    body = montage(np.stack(tiles), columns=len(columns), gap=0)
    left = max(extent(t, font)[0] for t in rows) + 2 * MARGIN
    head = extent(title, font)[1] + 2 * MARGIN
    top = head + max(extent(t, font)[1] for t in columns) + MARGIN
    size = max(left + body.shape[1] + MARGIN, extent(title, font)[0] + 2 * MARGIN), top + body.shape[0] + MARGIN
    page = Image.new("L", size, 255)
    page.paste(Image.fromarray(body.astype(np.uint8)), (left, top))
    write(page, (MARGIN, MARGIN), title, "la")
    for i, text in enumerate(columns):
        write(page, (left + i * width + width // 2, top - MARGIN // 2), text, "md")
    for i, text in enumerate(rows):
        write(page, (MARGIN, top + i * tiles[0].shape[0] + ny * factor // 2), text, "lm")
    return np.asarray(page)


def tile(panel: Panel, shape: tuple[int, int], factor: int, width: int, below: int, white: float) -> np.ndarray:
    """One image, enlarged, with its caption, float32 (ny factor + below, width) of grey values."""
    from PIL import Image

    ny, nx = (n * factor for n in shape)
    grey = np.full((ny, nx), MISSING, np.uint8)
    if panel.image is not None:
        values = 255 * np.clip(panel.image / white, 0, 1)
        grey = values.round().astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1)
    out = Image.new("L", (width, ny + below), 255)
    out.paste(Image.fromarray(grey), ((width - nx) // 2, 0))
    place, anchor = ((width // 2, ny // 2), "mm") if panel.image is None else ((width // 2, ny + 3), "ma")
    write(out, place, panel.caption, anchor)
    return np.asarray(out, np.float32)


def font_of(size: int) -> FreeTypeFont:
    """Pillow's own font: the same letters on every machine."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def extent(text: str, font: FreeTypeFont) -> tuple[int, int]:
    """Width and height of a text of several lines, in pixels."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), plain(text), font)
    return math.ceil(right - min(left, 0)), math.ceil(bottom - min(top, 0))


def write(page: object, place: tuple[int, int], text: str, anchor: str) -> None:
    """Black text on a picture; ``anchor`` as Pillow's."""
    from PIL import Image, ImageDraw

    assert isinstance(page, Image.Image)
    align = "left" if anchor[0] == "l" else "center"
    ImageDraw.Draw(page).multiline_text(place, plain(text), fill=0, font=font_of(FONT_SIZE), anchor=anchor, align=align)


def plain(text: str) -> str:
    """What the font has letters for; a question mark in the place of others."""
    return text.encode("ascii", "replace").decode()
