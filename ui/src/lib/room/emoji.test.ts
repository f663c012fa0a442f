import { describe, expect, it } from "vitest";
import { EMOJI, EMOJI_COLUMNS, EMOJI_GROUPS, readRecent, stepTo, withRecent } from "./emoji";

describe("the emoji", () => {
  it("are there once each, in whole rows, and are emoji", () => {
    const all = EMOJI_GROUPS.flatMap((g) => EMOJI[g]);
    expect(new Set(all).size).toBe(all.length);
    for (const group of EMOJI_GROUPS) expect(EMOJI[group].length % EMOJI_COLUMNS).toBe(0);
    for (const emoji of all) expect(emoji, emoji).toMatch(/^\p{Emoji}\uFE0F?$/u);
  });

  it("are remembered, the latest first and a few only", () => {
    let recent: readonly string[] = [];
    for (const emoji of [...EMOJI.faces, EMOJI.faces[15], EMOJI.faces[0]]) recent = withRecent(recent, emoji);
    expect(recent).toHaveLength(8);
    expect(recent.slice(0, 2)).toEqual([EMOJI.faces[0], EMOJI.faces[15]]);
    expect(readRecent(JSON.stringify(recent))).toEqual(recent);
    for (const bad of [null, "", "{", "7", '["x",3]']) expect(readRecent(bad)).toEqual([]);
    expect(readRecent('["😀","😀"]')).toEqual(["😀"]);
  });

  it("are walked by arrow keys, and the walk ends at the edges", () => {
    expect(stepTo("ArrowRight", 0, 16)).toBe(1);
    expect(stepTo("ArrowDown", 3, 16)).toBe(11);
    expect(stepTo("ArrowDown", 11, 16)).toBe(11);
    expect(stepTo("ArrowLeft", 0, 16)).toBe(0);
    expect(stepTo("End", 3, 16)).toBe(15);
    expect(stepTo("a", 3, 16)).toBeUndefined();
  });
});
