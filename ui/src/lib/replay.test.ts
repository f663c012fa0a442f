import { describe, expect, it } from "vitest";
import type { ReplayDanmaku } from "./generated/protocol";
import { playedAt, skipTo, startOf, wholeAt } from "./replay";

const SPANS = [
  { from_ms: 0, to_ms: 3000, played_ms: 0 },
  { from_ms: 7000, to_ms: 9000, played_ms: 3000 },
];
const said = (ms: number): ReplayDanmaku => ({
  played_ms: ms,
  danmaku: {
    author: { id: "a", name: "a" },
    text: "t",
    mode: "scroll",
    color: "#ffffff",
    client_ref: String(ms),
  },
});

describe("times of a recording", () => {
  it("lead there and back, around what is left out", () => {
    expect([0, 2999, 3000, 5000, 7000, 8000, 9999].map((t) => playedAt(SPANS, t))).toEqual([
      0, 2999, 3000, 3000, 3000, 4000, 5000,
    ]);
    expect([0, 2999, 3000, 4000, 5000, 9999].map((t) => wholeAt(SPANS, t))).toEqual([
      0, 2999, 7000, 8000, 9000, 9000,
    ]);
    expect([0, 2999, 3000, 6999, 7000, 9000].map((t) => skipTo(SPANS, t))).toEqual([
      undefined,
      undefined,
      7000,
      7000,
      undefined,
      undefined,
    ]);
    expect([playedAt(null, 5), wholeAt(null, 5)]).toEqual([5, 5]);
  });

  it("say which danmaku were played", () => {
    const all = [said(0), said(1000), said(1000), said(2000)];
    expect([-1, 0, 999, 1000, 5000].map((t) => startOf(all, t))).toEqual([0, 1, 1, 3, 4]);
    expect(startOf([], 5)).toBe(0);
  });
});
