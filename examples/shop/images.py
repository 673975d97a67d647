"""Photographs in the sizes that the shop's pages need."""

from pathlib import Path

from PIL import Image

from examples.shop.files import replaced


def resize(source: Path, target: Path, width: int) -> tuple[int, int]:
    """Write a copy of the image in the given width and return its size. The proportions stay."""
    with Image.open(source) as image:
        height = round(image.height * width / image.width)
        copy = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    with replaced(target) as unfinished:
        copy.save(unfinished, format="JPEG", quality=85)
    return copy.size
