"""Makes the page's fonts: Ubuntu Light and Hack without their hinting.

Hinting is half of each file, and egui hints by itself at the sizes that the page uses. Box drawing,
dingbats and private characters are left out, and no script. The originals are those of the crate
epaint_default_fonts; cargo keeps its sources:

    pip install fonttools==4.68.0
    python web/fonts/make.py ~/.cargo/registry/src/*/epaint_default_fonts-0.37.0/fonts
"""

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

# Original, name of the file made, name of the font made. The Ubuntu Font Licence (2c) asks for the new name.
FONTS = [
    ("Ubuntu-Light.ttf", "Ubuntu-Light-derivative-nitp.ttf", "Ubuntu Light derivative nitp"),
    ("Hack-Regular.ttf", "Hack-Regular-unhinted.ttf", "Hack Regular unhinted"),
]
# Box drawing; dingbats but for circled digits and arrows; private use.
LEFT_OUT = [(0x2500, 0x257F), (0x2701, 0x2775), (0xE000, 0xF8FF)]
UNIQUE_NAME, FAMILY, FULL_NAME, POSTSCRIPT_NAME, TYPOGRAPHIC_FAMILY = 3, 1, 4, 6, 16


def make(original: Path, made: Path, name: str) -> None:
    options = subset.Options(
        hinting=False,
        layout_features=["kern", "mark", "mkmk"],
        name_IDs=["*"],
        notdef_outline=True,
        drop_tables=subset.Options().drop_tables + ["TTFA"],
    )
    font = TTFont(original, recalcTimestamp=False)
    left_out = [code for first, last in LEFT_OUT for code in range(first, last + 1)]
    characters = font.getBestCmap().keys() - left_out
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    lost = characters - font.getBestCmap().keys()
    assert not lost, [hex(code) for code in lost]
    for record in font["name"].names:
        if record.nameID in (UNIQUE_NAME, FAMILY, FULL_NAME, TYPOGRAPHIC_FAMILY):
            record.string = name
        elif record.nameID == POSTSCRIPT_NAME:
            record.string = name.replace(" ", "-")
    font.save(made)
    print(f"{made}: {made.stat().st_size} bytes, {len(characters)} characters")


if __name__ == "__main__":
    for original, made, name in FONTS:
        make(Path(sys.argv[1]) / original, Path(__file__).parent / made, name)
