"""The task `image:resize`: copies of a picture in other widths, with limits for pictures that are bombs.

A small file can unpack to gigabytes. So the size of the file and the number of pixels, which stands in the head of the
file, are compared with the limits before anything is unpacked, and only formats that web pages use are read. The work
is done in a process of its own, which the time limit can kill.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval, MinLen
from PIL import Image, ImageOps, UnidentifiedImageError

from examples.jobs.settings import JobRefused, JobSettings, plain_file
from examples.jobs.whole_file import whole_file
from rota import Retry, Tasks

tasks = Tasks()
_READABLE = ("JPEG", "PNG", "WEBP", "GIF")
_MODES = {"JPEG": "RGB", "PNG": "RGBA", "WEBP": "RGBA"}
Width = Annotated[int, Interval(ge=1, le=16_384)]


class BadImage(JobRefused):
    """The file is not a picture that can be read within the limits."""


@tasks.task(
    "resize",
    run="process",
    timeout="2m",
    retention="7d",
    retry=Retry(max=3, backoff="exponential", base="10s", never=[JobRefused]),
)
def resize(
    folder: str,
    name: str,
    target: str,
    widths: Annotated[list[Width], MinLen(1)],
    format: Literal["JPEG", "PNG", "WEBP"] = "JPEG",
    quality: Annotated[int, Interval(ge=1, le=100)] = 85,
) -> list[str]:
    """Write a copy of a picture in each width, and return the names of the copies: `<name>-<width>.<format>`.

    The proportions stay, a picture is never enlarged, and it is turned as its camera says. The copies do not have the
    other data of the camera, such as the place. A second run writes the same files again.
    """
    settings = JobSettings.read()
    source, directory = plain_file(settings.folder(folder), name), settings.folder(target)
    with opened(settings, source) as image:
        made = []
        for width in sorted(set(widths), reverse=True):
            path = directory / f"{source.stem}-{width}.{format.lower()}"
            _write(image, path, width, format, quality)
            made.append(path.name)
    return made


@contextmanager
def opened(settings: JobSettings, source: Path) -> Iterator[Image.Image]:
    """Give a picture, upright and unpacked. Raises BadImage if it is not one, or is over the limits."""
    if not source.is_file():
        raise BadImage(f"{source} is not a file.")
    if source.stat().st_size > settings.image_bytes:
        raise BadImage(f"{source} has more than {settings.image_bytes} bytes (JOBS_IMAGE_BYTES).")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is ours
            image = Image.open(source, formats=_READABLE)
        with image:
            if image.width * image.height > settings.image_pixels:
                size = f"{image.width} x {image.height}"
                raise BadImage(f"{source} has {size} pixels, more than {settings.image_pixels} (JOBS_IMAGE_PIXELS).")
            image.load()
            yield ImageOps.exif_transpose(image)
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise BadImage(f"{source} is not a picture that can be read: {error}") from None
    except OSError as error:
        if error.errno is None:  # Pillow's word for a file that is cut off or damaged
            raise BadImage(f"{source} is damaged: {error}") from None
        raise


def _write(image: Image.Image, target: Path, width: int, format: str, quality: int) -> None:
    width = min(width, image.width)
    height = max(1, round(image.height * width / image.width))
    copy = image.convert(_MODES[format]).resize((width, height), Image.Resampling.LANCZOS)
    with whole_file(target, mode=0o644) as unfinished:
        copy.save(unfinished.file, format=format, quality=quality)
