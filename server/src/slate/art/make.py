#!/usr/bin/env python3
"""Draws the slates' SVG files. Run by hand when the art changes: pip install fonttools; python3 make.py

The words are outlines of Noto Serif CJK SC (SIL Open Font License 1.1), so that no font is needed
where a slate is made.
"""
from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.pens.transformPen import TransformPen
from fontTools.ttLib import TTCollection

FONTS = "/usr/share/fonts/opentype/noto/NotoSerifCJK-%s.ttc"
PAPER, QUIET, GOLD = "#f3eadb", "#cfc4b3", "#dcb46a"


def face(weight):
    fonts = TTCollection(FONTS % weight).fonts
    return next(f for f in fonts if f["name"].getDebugName(4).startswith("Noto Serif CJK SC"))


FACES = {w: face(w) for w in ("Regular", "Bold")}


def words(text, weight, size, middle, baseline, spacing):
    font = FACES[weight]
    glyphs, cmap, scale = font.getGlyphSet(), font.getBestCmap(), size / font["head"].unitsPerEm
    names = [cmap[ord(c)] for c in text]
    widths = [glyphs[n].width * scale for n in names]
    x = middle - (sum(widths) + spacing * (len(names) - 1)) / 2
    paths = []
    for name, width in zip(names, widths):
        pen = SVGPathPen(glyphs, ntos=lambda v: f"{v:.1f}".rstrip("0").rstrip("."))
        glyphs[name].draw(TransformPen(pen, (scale, 0, 0, -scale, x, baseline)))
        paths.append(pen.getCommands())
        x += width + spacing
    return "".join(paths)


def curtain():
    stops = lambda rows: "".join(f'<stop offset="{o}" stop-color="{c}" stop-opacity="{a}"/>' for o, c, a in rows)
    folds = stops([(0, "#3d0a07", 1), (.18, "#6d150e", 1), (.42, "#a3251a", 1), (.5, "#b32d20", 1), (.6, "#98211a", 1),
                   (.84, "#5c110c", 1), (1, "#3d0a07", 1)])
    scallops = "".join(f"q 80 {74 if i % 2 == 0 else 66} 160 0 " for i in range(11))
    trim = "".join(f"q 80 {74 if i % 2 == 0 else 66} 160 0 " for i in range(11))
    return f'''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1600 900">
<defs>
<linearGradient id="f" gradientUnits="userSpaceOnUse" x1="0" x2="114" y1="0" y2="3" spreadMethod="repeat">{folds}</linearGradient>
<linearGradient id="g" gradientUnits="userSpaceOnUse" x1="23" x2="294" y1="0" y2="-9" spreadMethod="repeat">{stops([(0, "#000", .34), (.35, "#000", 0), (.7, "#000", .1), (1, "#000", .34)])}</linearGradient>
<linearGradient id="d" x1="0" x2="0" y1="0" y2="1">{stops([(0, "#0d0c0b", .55), (.22, "#0d0c0b", .05), (.62, "#0d0c0b", .22), (1, "#0d0c0b", .9)])}</linearGradient>
<radialGradient id="v" cx=".5" cy=".46" r=".72">{stops([(0, "#0d0c0b", 0), (.6, "#0d0c0b", .18), (1, "#0d0c0b", .78)])}</radialGradient>
<linearGradient id="w" x1="0" x2="0" y1="0" y2="1">{stops([(0, "#521009", 1), (.7, "#8e1f16", 1), (1, "#a3291d", 1)])}</linearGradient>
</defs>
<rect width="1600" height="900" fill="#5c110c"/>
<rect width="1600" height="900" fill="url(#f)"/>
<rect width="1600" height="900" fill="url(#g)"/>
<rect width="1600" height="900" fill="url(#d)"/>
<path d="M-80 118 {scallops} L1700 0 L-80 0 Z" fill="#0d0c0b" opacity=".5" transform="translate(0 16)"/>
<path d="M-80 108 {scallops} L1700 0 L-80 0 Z" fill="url(#w)"/>
<path d="M-80 108 {trim}" fill="none" stroke="#6d5426" stroke-width="7"/>
<path d="M-80 107 {trim}" fill="none" stroke="#dcb46a" stroke-width="2.5" opacity=".85"/>
<rect width="1600" height="900" fill="url(#v)"/>
</svg>
'''


def glow():
    return '''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1600 900">
<defs><radialGradient id="l" cx=".5" cy=".5" r=".5" gradientTransform="translate(.5 .5) scale(1 .86) translate(-.5 -.5)"><stop offset="0" stop-color="#f0a45a" stop-opacity=".3"/><stop offset=".55" stop-color="#e4472f" stop-opacity=".12"/><stop offset="1" stop-color="#e4472f" stop-opacity="0"/></radialGradient></defs>
<rect x="80" y="-40" width="1440" height="940" fill="url(#l)"/>
</svg>
'''


def plaque(chinese, english):
    big = words(chinese, "Bold", 118, 800, 447, 30)
    small = words(english, "Regular", 40, 800, 541, 4)
    return f'''<svg xmlns="http://www.w3.org/2000/svg" viewBox="400 225 800 450">
<rect x="446" y="276" width="708" height="348" rx="12" fill="#0d0c0b" opacity=".34"/>
<rect x="458" y="288" width="684" height="324" rx="7" fill="#0d0c0b" opacity=".9"/>
<rect x="459.5" y="289.500" width="681" height="321" rx="6" fill="none" stroke="{GOLD}" stroke-width="2.2" opacity=".8"/>
<rect x="468" y="298" width="664" height="304" rx="3" fill="none" stroke="{GOLD}" stroke-width=".9" opacity=".35"/>
<path d="M640 485H770M830 485H960" stroke="{GOLD}" stroke-width="1.2" opacity=".45"/>
<path d="M800 478l7 7-7 7-7-7z" fill="{GOLD}"/>
<path fill="{PAPER}" d="{big}"/>
<path fill="{QUIET}" d="{small}"/>
</svg>
'''


for name, svg in {
    "curtain": curtain(),
    "glow": glow(),
    "moment": plaque("请稍候", "One moment"),
    "sound_only": plaque("声音还在", "Sound only"),
}.items():
    with open(f"{name}.svg", "w", encoding="utf-8") as out:
        out.write(svg)
    print(name, len(svg))
