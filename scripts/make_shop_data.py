"""Makes the input of the example shop, the same bytes on each run: a year of sales and the photographs of its goods."""

import csv
import random
from datetime import date, timedelta

from PIL import Image, ImageDraw, ImageFilter

from scripts.tree import ROOT

DATA = ROOT / "examples" / "shop" / "data"
PRODUCTS = {
    "amber-lamp": (3950, (235, 160, 60)),
    "blue-vase": (2490, (60, 110, 200)),
    "clay-teapot": (4200, (180, 95, 70)),
    "fern-pot": (1580, (70, 150, 90)),
    "plum-cushion": (2200, (135, 60, 125)),
    "walnut-stool": (8900, (120, 80, 50)),
}
COUNTRIES = ["BR", "CN", "DE", "FR", "SE"]
NAMES = ["Ada", "Bao", "Chiara", "Dmitri", "Elif", "Farid", "Grete", "Hana", "Ines", "Jun", "Karim", "Lin"]
SALES = 2400


def write_sales() -> None:
    """Write a year of sales, growing towards its end."""
    chance = random.Random(2025)
    days = sorted(chance.triangular(0, 364.99, 330) for _ in range(SALES))
    with (DATA / "sales.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["order", "date", "name", "email", "country", "product", "quantity", "unit_cents"])
        for number, day in enumerate(days, start=1001):
            name, country = chance.choice(NAMES), chance.choice(COUNTRIES)
            product = chance.choice(list(PRODUCTS))
            email = f"{name.lower()}.{number}@example.org"
            when = date(2025, 1, 1) + timedelta(days=int(day))
            quantity = chance.choices([1, 2, 3, 5], [6, 3, 2, 1])[0]
            rows.writerow([number, when, name, email, country, product, quantity, PRODUCTS[product][0]])


def write_image(product: str, colour: tuple[int, int, int], form: str) -> None:
    """Draw a still life in the product's colour: a wall, a table, and some shapes with a soft shadow."""
    chance = random.Random(product)
    width, height = 1200, 800
    wall = tuple(200 + part // 6 for part in colour)
    image = Image.new("RGB", (width, height), wall)
    draw = ImageDraw.Draw(image)
    for line in range(520, height):
        draw.line([(0, line), (width, line)], fill=(150 - line // 12, 120 - line // 14, 95 - line // 16))
    for _ in range(7):
        x, size = chance.randrange(100, 1000), chance.randrange(90, 240)
        top = 620 - size
        draw.ellipse([x - 20, 600, x + size + 60, 650], fill=(70, 58, 48))
        shade = tuple(min(255, max(0, part + chance.randrange(-40, 40))) for part in colour)
        draw.rounded_rectangle([x, top, x + size, 630], radius=size // 4, fill=shade)
    image = image.filter(ImageFilter.GaussianBlur(3))
    if form == "png":
        image.quantize(32).save(DATA / "images" / f"{product}.png", optimize=True)
    else:
        image.save(DATA / "images" / f"{product}.jpg", quality=70, optimize=True)


def main() -> None:
    (DATA / "images").mkdir(parents=True, exist_ok=True)
    write_sales()
    for number, (product, (_, colour)) in enumerate(PRODUCTS.items()):
        write_image(product, colour, "png" if number == 3 else "jpg")


if __name__ == "__main__":
    main()
