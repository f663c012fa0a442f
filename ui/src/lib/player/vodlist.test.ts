import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lengthOf, parse, pieceAt, pieces } from "./vodlist";

const TEXT = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:2
#EXT-X-MAP:URI="init0.mp4?token=x"
#EXTINF:2.00000,
f0.m4s?token=x
#EXTINF:1.50000,
f1.m4s?token=x
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init1.mp4?token=x"
#EXTINF:2.00000,
f2.m4s?token=x
#EXT-X-ENDLIST
`;
const BASE = "https://a.example/replays/1/full.m3u8?token=x";

describe("the playlist of a recording", () => {
  it("is read with its times and maps", () => {
    const found = parse(TEXT, BASE);
    expect(found.map((s) => [s.start, s.duration])).toEqual([
      [0, 2],
      [2, 1.5],
      [3.5, 2],
    ]);
    expect(found[2]).toMatchObject({
      url: "https://a.example/replays/1/f2.m4s?token=x",
      map: "https://a.example/replays/1/init1.mp4?token=x",
    });
  });

  it("survives whatever comes instead", () => {
    fc.assert(fc.property(fc.string(), (text) => parse(text, BASE).every((s) => s.duration >= 0)));
  });

  it("is played without the stretches that are left out", () => {
    const spans = [
      { from_ms: 0, to_ms: 2000, played_ms: 0 },
      { from_ms: 3500, to_ms: 5500, played_ms: 2000 },
    ];
    const found = pieces(parse(TEXT, BASE), spans);
    expect(found.map((p) => [p.start, p.at])).toEqual([
      [0, 0],
      [3.5, 2],
    ]);
    expect(lengthOf(found)).toBe(4);
    expect(pieces(parse(TEXT, BASE), null)).toHaveLength(3);
    expect(lengthOf([])).toBe(0);
  });

  it("is found by time", () => {
    const found = pieces(parse(TEXT, BASE), null);
    expect([-1, 0, 1.99, 2, 3.5, 99].map((t) => pieceAt(found, t))).toEqual([0, 0, 0, 1, 2, 2]);
  });
});
