"""Copies of pictures, and the limits for pictures that are bombs."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from examples.jobs import app
from examples.jobs.images import BadImage, resize
from examples.jobs.settings import JobRefused
from rota import PayloadError
from rota.testing import run_inline_sync

Configure = Callable[..., dict[str, str]]


@pytest.fixture
def photos(configure: Configure, tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    configure(folders={"photos": folder, "web": tmp_path / "web"})
    return folder


def run(name: str, *widths: int, **arguments: object) -> list[str]:
    return run_inline_sync(app, resize.plan("photos", name, "web", list(widths), **arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "format"), [("a.jpg", "JPEG"), ("a.png", "WEBP"), ("a.gif", "PNG"), ("a.webp", "JPEG")]
)
def test_picture_is_copied_in_each_width(photos: Path, tmp_path: Path, source: str, format: str) -> None:
    Image.new("RGB", (600, 400), "red").save(photos / source)

    names = run(source, 300, 150, format=format)

    assert names == [f"a-300.{format.lower()}", f"a-150.{format.lower()}"]
    for name, size in zip(names, [(300, 200), (150, 100)], strict=True):
        with Image.open(tmp_path / "web" / name) as copy:
            assert (copy.size, copy.format) == (size, format)
    assert run(source, 300, 150, format=format) == names
    assert len(list((tmp_path / "web").iterdir())) == 2


def test_picture_is_turned_as_its_camera_says_and_loses_the_data_of_the_camera(photos: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010E] = "at home"
    Image.new("RGB", (600, 400)).save(photos / "a.jpg", exif=exif)

    run("a.jpg", 200)

    with Image.open(tmp_path / "web" / "a-200.jpeg") as copy:
        assert copy.size == (200, 300)
        assert not dict(copy.getexif())


def test_picture_is_not_enlarged(photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(photos / "a.png")

    run("a.png", 500)

    with Image.open(tmp_path / "web" / "a-500.jpeg") as copy:
        assert copy.size == (60, 40)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose head says that it is huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(8000, 8000), (50_000, 50_000), (2**31 - 1, 2**31 - 1)])
def test_picture_of_too_many_pixels_is_refused_before_it_is_unpacked(photos: Path, width: int, height: int) -> None:
    (photos / "bomb.png").write_bytes(bomb(width, height))

    with pytest.raises(BadImage):
        run("bomb.png", 100)


def test_limits_are_those_of_the_settings(photos: Path, configure: Configure) -> None:
    Image.new("RGB", (600, 400)).save(photos / "a.png")
    configure(image_pixels=239_999)
    with pytest.raises(BadImage, match=r"600 x 400 pixels, more than 239999 \(JOBS_IMAGE_PIXELS\)"):
        run("a.png", 100)
    configure(image_pixels=240_000, image_bytes=10)
    with pytest.raises(BadImage, match="more than 10 bytes"):
        run("a.png", 100)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe", b"<svg/>"])
def test_file_that_is_not_a_picture_is_refused_and_leaves_nothing(photos: Path, tmp_path: Path, content: bytes) -> None:
    (photos / "a.png").write_bytes(content)

    with pytest.raises(BadImage):
        run("a.png", 100)
    assert not (tmp_path / "web").exists()


def test_picture_that_is_cut_off_is_refused(photos: Path) -> None:
    Image.effect_noise((300, 300), 50).save(photos / "a.jpg")
    (photos / "a.jpg").write_bytes((photos / "a.jpg").read_bytes()[:5000])

    with pytest.raises(BadImage, match="is damaged"):
        run("a.jpg", 100)


def test_other_formats_and_folders_are_refused(photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(photos / "a.tiff")
    Image.new("RGB", (60, 40)).save(tmp_path / "b.png")

    with pytest.raises(BadImage):
        run("a.tiff", 10)
    with pytest.raises(JobRefused, match="plain name"):
        run("../b.png", 10)
    with pytest.raises(BadImage, match="is not a file"):
        run("none.png", 10)


@pytest.mark.parametrize("widths", [[], [0], [-1], [100_000]])
def test_width_without_sense_is_refused(photos: Path, widths: list[int]) -> None:
    with pytest.raises(PayloadError):
        run("a.png", *widths)
