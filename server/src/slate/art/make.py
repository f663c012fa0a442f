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


HUES = {  # the folds from dark to light, and the hem
    "away": ("#3d0a07", "#6d150e", "#a3251a", "#b32d20", "#98211a", "#5c110c"),
    "game": ("#0c1030", "#191f52", "#303a86", "#3a459a", "#2b3479", "#161b47"),
    "music": ("#200a24", "#3d1444", "#692770", "#793082", "#5f2266", "#34113a"),
    "talk": ("#2c1606", "#54300d", "#8f5a1c", "#a06822", "#845218", "#48280a"),
    "food": ("#330d04", "#63200a", "#a64319", "#b64e1f", "#973c16", "#561a08"),
    "outdoors": ("#06201c", "#0e3d36", "#1e6b5d", "#257a6b", "#1a6055", "#0b332d"),
    "study": ("#08182a", "#112e4b", "#265881", "#2d6692", "#214f75", "#0e2740"),
}


def curtain(hue="away"):
    c = HUES[hue]
    stops = lambda rows: "".join(f'<stop offset="{o}" stop-color="{c}" stop-opacity="{a}"/>' for o, c, a in rows)
    folds = stops([(0, c[0], 1), (.18, c[1], 1), (.42, c[2], 1), (.5, c[3], 1), (.6, c[4], 1),
                   (.84, c[5], 1), (1, c[0], 1)])
    scallops = "".join(f"q 80 {74 if i % 2 == 0 else 66} 160 0 " for i in range(11))
    trim = "".join(f"q 80 {74 if i % 2 == 0 else 66} 160 0 " for i in range(11))
    return f'''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1600 900">
<defs>
<linearGradient id="f" gradientUnits="userSpaceOnUse" x1="0" x2="114" y1="0" y2="3" spreadMethod="repeat">{folds}</linearGradient>
<linearGradient id="g" gradientUnits="userSpaceOnUse" x1="23" x2="294" y1="0" y2="-9" spreadMethod="repeat">{stops([(0, "#000", .34), (.35, "#000", 0), (.7, "#000", .1), (1, "#000", .34)])}</linearGradient>
<linearGradient id="d" x1="0" x2="0" y1="0" y2="1">{stops([(0, "#0d0c0b", .55), (.22, "#0d0c0b", .05), (.62, "#0d0c0b", .22), (1, "#0d0c0b", .9)])}</linearGradient>
<radialGradient id="v" cx=".5" cy=".46" r=".72">{stops([(0, "#0d0c0b", 0), (.6, "#0d0c0b", .18), (1, "#0d0c0b", .78)])}</radialGradient>
<linearGradient id="w" x1="0" x2="0" y1="0" y2="1">{stops([(0, c[5], 1), (.7, c[4], 1), (1, c[2], 1)])}</linearGradient>
</defs>
<rect width="1600" height="900" fill="{c[5]}"/>
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


# ---- the placeholders of the system: a medallion with what the room is about, and words below ----

BOARD = 'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 760"'
DARK = "#0d0c0b"


def layers(static, *moving):
    """The board, then what moves: each layer behind a comment that says how."""
    parts = [f"<svg {BOARD}>{static}</svg>"]
    parts += [f"<!-- {how} -->\n<svg {BOARD}>{svg}</svg>" for how, svg in moving]
    return "\n".join(parts) + "\n"


def board(hue, chinese, english, inside):
    c = HUES[hue]
    ring = "".join(
        f'<path d="M500 {240 - 213}l0 -9" transform="rotate({a} 500 240)" stroke="{GOLD}" stroke-width="2" opacity=".55"/>'
        for a in range(0, 360, 6))
    return f'''<defs><radialGradient id="m" cx=".5" cy=".42" r=".62"><stop offset="0" stop-color="{c[3]}"/><stop offset=".7" stop-color="{c[1]}"/><stop offset="1" stop-color="{c[0]}"/></radialGradient>
<radialGradient id="s" cx=".5" cy=".5" r=".5"><stop offset=".55" stop-color="{DARK}" stop-opacity=".72"/><stop offset="1" stop-color="{DARK}" stop-opacity="0"/></radialGradient><clipPath id="c"><circle cx="500" cy="240" r="190"/></clipPath></defs>
<ellipse cx="500" cy="420" rx="640" ry="430" fill="url(#s)"/>
<circle cx="500" cy="240" r="206" fill="{DARK}" opacity=".55"/><circle cx="500" cy="240" r="190" fill="url(#m)"/>
<g clip-path="url(#c)"><g transform="translate(500 240)">{inside}</g></g>
<circle cx="500" cy="240" r="190" fill="none" stroke="{GOLD}" stroke-width="3"/><circle cx="500" cy="240" r="200" fill="none" stroke="{GOLD}" stroke-width="1" opacity=".6"/>{ring}
<path fill="{PAPER}" d="{words(chinese, "Bold", 92, 500, 566, 18)}"/>
<path d="M330 604H478M522 604H670" stroke="{GOLD}" stroke-width="1.2" opacity=".5"/><path d="M500 597l7 7-7 7-7-7z" fill="{GOLD}"/>
<path fill="{QUIET}" d="{words(english, "Regular", 36, 500, 662, 2.5)}"/>'''


def at_medallion(svg):
    return f'<g transform="translate(500 240)">{svg}</g>'


def game():
    body = f'''<path d="M-92 -52 C-128 -52 -146 -8 -152 44 C-156 84 -118 98 -94 66 L-72 36 H72 L94 66 C118 98 156 84 152 44 C146 -8 128 -52 92 -52 C74 -52 70 -42 52 -42 H-52 C-70 -42 -74 -52 -92 -52Z" fill="{DARK}" fill-opacity=".55" stroke="{GOLD}" stroke-width="4" stroke-linejoin="round"/>
<path d="M-98 -26h18v18h18v18h-18v18h-18v-18h-18v-18h18z" fill="{PAPER}"/>
<rect x="-21" y="-22" width="12" height="36" rx="3" fill="{GOLD}"/><rect x="9" y="-22" width="12" height="36" rx="3" fill="{GOLD}"/>'''
    spots = [(89, -27), (113, -3), (89, 21), (65, -3)]
    rings = "".join(f'<circle cx="{x}" cy="{y}" r="9.500" fill="none" stroke="{PAPER}" stroke-width="2.500"/>' for x, y in spots)
    stars = "".join(f'<rect x="{x}" y="{y}" width="{w}" height="{w}" fill="{PAPER}" opacity="{o}"/>' for x, y, w, o in [
        (-120, -112, 8, .5), (-60, -140, 6, .35), (40, -124, 8, .45), (118, -98, 6, .4), (-20, -96, 5, .3), (-104, 118, 6, .3), (96, 122, 7, .35), (8, 132, 5, .3)])
    moving = [(f"breathe 1 {i * .25}", at_medallion(f'<circle cx="{x}" cy="{y}" r="9.500" fill="{GOLD}"/>')) for i, (x, y) in enumerate(spots)]
    return layers(board("game", "存个档，马上回来", "Game saved. Back in a moment.", stars + body + rings), *moving)


def music():
    grooves = "".join(f'<circle r="{r}" fill="none" stroke="{PAPER}" stroke-opacity=".13" stroke-width="1.500"/>' for r in range(58, 138, 8))
    disc = f'<circle r="142" fill="{DARK}"/><circle r="142" fill="none" stroke="{GOLD}" stroke-width="2" opacity=".6"/>{grooves}<circle r="46" fill="{GOLD}"/><circle r="38" fill="none" stroke="#6d5426" stroke-width="1.500"/>'
    spin = f'<path d="M0 0L130 -44A137 137 0 0 1 137 -6Z" fill="{PAPER}" opacity=".13"/><path d="M0 0L-130 44A137 137 0 0 1 -137 6Z" fill="{PAPER}" opacity=".13"/><path d="M-30 -9A31 31 0 0 1 -9 -30" fill="none" stroke="#6d5426" stroke-width="4" stroke-linecap="round"/><path d="M30 9A31 31 0 0 1 9 30" fill="none" stroke="#6d5426" stroke-width="4" stroke-linecap="round"/>'
    arm = f'<circle cx="132" cy="-118" r="19" fill="{DARK}" stroke="{PAPER}" stroke-width="3"/><path d="M132 -118L112 10L72 60" fill="none" stroke="{PAPER}" stroke-width="7" stroke-linejoin="round" stroke-linecap="round"/><path d="M78 50l-17 21 12 9 17-21z" fill="{PAPER}"/>'
    return layers(board("music", "换口气，再唱", "Between two songs", disc),
                  ("spin 500 240 1", at_medallion(spin)),
                  ("still", at_medallion(f'<circle r="7" fill="{DARK}"/>' + arm)))


def talk():
    left = f'<path d="M-118 -92h150a26 26 0 0 1 26 26v60a26 26 0 0 1 -26 26h-96l-40 34v-34h-14a26 26 0 0 1 -26 -26v-60a26 26 0 0 1 26 -26z" fill="{PAPER}"/>'
    right = f'<path d="M2 -2h112a24 24 0 0 1 24 24v50a24 24 0 0 1 -24 24h-8v30l-36 -30h-68a24 24 0 0 1 -24 -24v-50a24 24 0 0 1 24 -24z" fill="{DARK}" stroke="{GOLD}" stroke-width="4"/>'
    lines = f'<path d="M8 34h84M8 60h56" stroke="{GOLD}" stroke-width="6" stroke-linecap="round" opacity=".8"/>'
    moving = [(f"breathe 2 {i * .16}", at_medallion(f'<circle cx="{-82 + 40 * i}" cy="-36" r="11" fill="#8f5a1c"/>')) for i in range(3)]
    pale = "".join(f'<circle cx="{-82 + 40 * i}" cy="-36" r="11" fill="#8f5a1c" opacity=".25"/>' for i in range(3))
    return layers(board("talk", "喝口水，接着聊", "A sip of water, then we talk on", left + pale + right + lines), *moving)


def food():
    bowl = f'''<path d="M-130 18H130C130 84 88 118 44 124V138H-44V124C-88 118 -130 84 -130 18Z" fill="{DARK}" stroke="{GOLD}" stroke-width="4" stroke-linejoin="round"/>
<path d="M-110 48C-74 66 -36 38 0 54C36 70 74 40 110 50" fill="none" stroke="{GOLD}" stroke-width="3" opacity=".7"/>
<ellipse cx="0" cy="18" rx="130" ry="20" fill="{PAPER}"/><ellipse cx="0" cy="19" rx="112" ry="13" fill="#a64319"/>
<circle cx="-46" cy="17" r="10" fill="{GOLD}"/><circle cx="22" cy="21" r="8" fill="{PAPER}"/><path d="M-14 12l22 7-26 5z" fill="#5bb89b"/><path d="M50 13l26 4-22 7z" fill="#5bb89b"/>
<path d="M38 16L150 -74M62 22L164 -54" stroke="{PAPER}" stroke-width="6" stroke-linecap="round"/>'''
    steam = lambda x: f'<path d="M{x} -12c-18 -22 18 -34 0 -58s16 -32 2 -52" fill="none" stroke="{PAPER}" stroke-width="6" stroke-linecap="round" opacity=".8"/>'
    moving = [(f"rise 34 1 {lag}", at_medallion(steam(x))) for x, lag in ((-64, 0), (-14, .36), (36, .7))]
    return layers(board("food", "锅里还炖着", "Something is on the stove", bowl), *moving)


def outdoors():
    sky = f'<path d="M80 -128A34 34 0 1 0 112 -84A29 29 0 0 1 80 -128Z" fill="{PAPER}"/>'
    far = '<path d="M-200 70L-120 -40L-76 8L-10 -96L60 10L104 -36L200 70V200H-200Z" fill="#0e3d36"/><path d="M-10 -96L-42 -46L-20 -54L-4 -38L14 -56L26 -41Z" fill="#cfc4b3"/><path d="M-120 -40L-141 -11L-124 -17L-112 -6L-98 -16Z" fill="#cfc4b3" opacity=".8"/>'
    near = '<path d="M-200 96C-120 56 -60 78 0 92S140 66 200 92V200H-200Z" fill="#06201c"/>'
    pines = "".join(f'<path d="M{x} {y}l{w} {h}h-{w * .4:.0f}l{w * .5:.0f} {h}h-{w * 2.2:.0f}l{w * .5:.0f} -{h}h-{w * .4:.0f}z" fill="#06201c"/>' for x, y, w, h in [(-122, 22, 22, 34), (-86, 44, 17, 26), (126, 34, 20, 30)])
    tent = f'<path d="M-14 136L44 52L102 136Z" fill="{GOLD}"/><path d="M44 52L28 136H62Z" fill="#6d5426"/><path d="M44 52l-6 -12M44 52l6 -12" stroke="{GOLD}" stroke-width="3"/>'
    stars = [(-130, -96), (-84, -132), (-40, -118), (20, -150), (130, -30), (-150, -34), (150, -86)]
    moving = [(f"breathe {1 + i % 2} {i * .29:.2f}", at_medallion(f'<path d="M{x} {y - 7}l2 5 5 2-5 2-2 5-2-5-5-2 5-2z" fill="{PAPER}"/>')) for i, (x, y) in enumerate(stars)]
    moving.append(("breathe 1 0.3", at_medallion('<path d="M44 60L30 132H60Z" fill="#f0a45a"/>')))
    return layers(board("outdoors", "去前面看看", "Gone to see what is ahead", sky + far + near + pines + tent), *moving)


def study():
    book = f'''<path d="M0 70C-34 46 -88 42 -134 54V116C-88 104 -34 108 0 130C34 108 88 104 134 116V54C88 42 34 46 0 70Z" fill="{PAPER}"/><path d="M0 70V130" stroke="#8e7f66" stroke-width="3"/>
<path d="M-116 70C-84 63 -48 66 -18 80M-116 88C-84 81 -48 84 -18 98M116 70C84 63 48 66 18 80M116 88C84 81 48 84 18 98" fill="none" stroke="#968b7c" stroke-width="3" stroke-linecap="round"/>
<path d="M84 47v54l10 -10 10 12v-54z" fill="#e4472f"/>'''
    lamp = f'<path d="M-118 54V-40L-52 -104" fill="none" stroke="{GOLD}" stroke-width="7" stroke-linejoin="round" stroke-linecap="round"/><circle cx="-118" cy="-40" r="9" fill="{GOLD}"/><path d="M-66 -122L-34 -94L-2 -66C-2 -66 -22 -50 -44 -70S-66 -122 -66 -122Z" fill="{GOLD}" stroke="{GOLD}" stroke-width="6" stroke-linejoin="round"/>'
    light = '<path d="M-40 -76L-92 52C-40 42 -20 56 0 70C26 54 74 46 118 51L-8 -62Z" fill="#f0c674" opacity=".3"/>'
    glow = '<path d="M-40 -76L-92 52C-40 42 -20 56 0 70C26 54 74 46 118 51L-8 -62Z" fill="#f0c674" opacity=".34"/><circle cx="-20" cy="-62" r="12" fill="#fff3d6"/>'
    return layers(board("study", "合上书，歇一歇", "A short rest for the eyes", light + book + lamp), ("breathe 1 0", at_medallion(glow)))


def away():
    dots = [(f"breathe 2 {i * .16:.2f}", f'<circle cx="{476 + 24 * i}" cy="612" r="4.600" fill="{GOLD}"/>') for i in range(3)]
    plaque = f'''<rect x="86" y="150" width="828" height="520" rx="14" fill="{DARK}" opacity=".34"/><rect x="100" y="164" width="800" height="492" rx="8" fill="{DARK}" opacity=".9"/>
<rect x="101.500" y="165.500" width="797" height="489" rx="7" fill="none" stroke="{GOLD}" stroke-width="2.400" opacity=".8"/><rect x="112" y="176" width="776" height="468" rx="3" fill="none" stroke="{GOLD}" stroke-width="1" opacity=".35"/>
<path fill="{PAPER}" d="{words("去去就来", "Bold", 126, 500, 350, 30)}"/>
<path d="M320 404H470M530 404H680" stroke="{GOLD}" stroke-width="1.200" opacity=".45"/><path d="M500 397l7 7-7 7-7-7z" fill="{GOLD}"/>
<path fill="{QUIET}" d="{words("Away for a moment", "Regular", 44, 500, 472, 3)}"/>'''
    return layers(plaque, *dots)


BOARDS = {"away": away, "game": game, "music": music, "talk": talk, "food": food, "outdoors": outdoors, "study": study}
files = {f"{name}.board.svg": make() for name, make in BOARDS.items()}
files |= {f"{hue}.curtain.svg": curtain(hue) for hue in HUES}
files |= {f"{name}.svg": svg for name, svg in {
    "glow": glow(),
    "moment": plaque("请稍候", "One moment"),
    "sound_only": plaque("声音还在", "Sound only"),
}.items()}
for name, svg in files.items():
    with open(name, "w", encoding="utf-8") as out:
        out.write(svg)
    print(name, len(svg))
