import { describe, expect, it } from "vitest";
import type { Line } from "../room/model";
import { type Comment, isDark, MOST, nextEnd, shown } from "./feed";

const comment = (at: number): Comment => ({
  kind: "danmaku",
  key: String(at),
  by: "a",
  author: "a",
  text: "x",
  at,
  color: "#ffffff",
  own: false,
  pending: false,
});
const times = (comments: readonly Comment[]): number[] => comments.map((c) => c.at);

describe("the comments of an overlay", () => {
  it("go after their time, in the order in which they came", () => {
    const lines: Line[] = [comment(1000), { kind: "gap", key: "g" }, comment(2000), comment(3000)];
    expect(times(shown(lines, 3000, 5000))).toEqual([1000, 2000, 3000]);
    expect(times(shown(lines, 6000, 5000))).toEqual([2000, 3000]);
    expect(times(shown(lines, 9000, 5000))).toEqual([]);
    expect(nextEnd(shown(lines, 3000, 5000), 5000)).toBe(6000);
    expect(nextEnd(shown(lines, 9000, 5000), 5000)).toBeUndefined();
  });

  it("stay for good where that is wanted", () => {
    const lines = [comment(1), comment(2)];
    expect(times(shown(lines, 1e12, 0))).toEqual([1, 2]);
    expect(nextEnd(lines, 0)).toBeUndefined();
  });

  it("are a bounded number, the newest", () => {
    const lines = Array.from({ length: 300 }, (_, i) => comment(i + 1));
    const last = shown(lines, 300, 0);
    expect(last).toHaveLength(MOST);
    expect(last.at(-1)?.at).toBe(300);
  });

  it("have letters that can be told from their edge", () => {
    expect(isDark("#000000")).toBe(true);
    expect(isDark("#101080")).toBe(true);
    expect(isDark("#ffffff")).toBe(false);
    expect(isDark("#ff5040")).toBe(false);
  });
});
