import { describe, expect, it } from "vitest";
import type { Line } from "./model";
import { addressed, mentionsYou, named, namingAt, offered, partsOf, peopleSeen, replaced } from "./mention";

const said = (by: string, author: string, own = false): Line => ({
  kind: "danmaku",
  key: `${by}${author}`,
  by,
  author,
  text: "",
  at: 0,
  color: "#ffffff",
  own,
  pending: false,
});
const named_ = (text: string, names: string[], you?: string): string[] =>
  partsOf(text, names, you).flatMap((p) => (p.kind === "mention" ? [p.text + (p.you ? "!" : "")] : []));

describe("who was seen", () => {
  it("is whoever wrote, the latest first and once, with the streamer and without oneself", () => {
    const lines = [
      said("1", "Anna"),
      said("2", "Bo"),
      { kind: "gap", key: "g" } as const,
      said("1", "Anna B"),
      said("gone", ""),
      said("me", "I", true),
    ];
    const people = peopleSeen(lines, { id: "o", name: "Owner" }, "me");
    expect(people.map((p) => p.name)).toEqual(["Anna B", "Bo", "Owner"]);
    expect(peopleSeen([], { id: "me", name: "I" }, "me")).toEqual([]);
    const crowd = Array.from({ length: 500 }, (_, i) => said(String(i), `n${String(i)}`));
    expect(peopleSeen(crowd, undefined, undefined)).toHaveLength(100);
  });
});

describe("a name in a comment", () => {
  it("is found among those seen, the longest first", () => {
    expect(named_("@小明明 hi", ["小明", "小明明"])).toEqual(["@小明明"]);
    expect(named_("@小明你好", ["小明"])).toEqual(["@小明"]);
    expect(named_("hi ＠Anna B, @bo!", ["Anna", "Anna B", "Bo"])).toEqual(["＠Anna B", "@bo"]);
    expect(named_("@Samantha", ["Sam"])).toEqual([]);
    expect(named_("@Sam你好", ["Sam"])).toEqual(["@Sam"]);
    expect(named_("me@anna.org", ["anna"])).toEqual([]);
    expect(named_("@nobody @", ["anna", ""])).toEqual([]);
  });

  it("is marked where it is one's own, and not where it is a longer one", () => {
    expect(named_("@小明 @小红", ["小红"], "小明")).toEqual(["@小明!", "@小红"]);
    expect(mentionsYou("@小明明", ["小明明"], "小明")).toBe(false);
    expect(mentionsYou("@xiaoming", [], "XiaoMing")).toBe(true);
    expect(mentionsYou("@", [], "")).toBe(false);
    expect(mentionsYou("@a", [], undefined)).toBe(false);
  });

  it("leaves the rest of the text as it is", () => {
    for (const text of ["", "no name", "@Anna", "a @Anna b @Anna", "👋🏽@Anna👋🏽", "@@Anna"]) {
      expect(
        partsOf(text, ["Anna"], undefined)
          .map((p) => p.text)
          .join(""),
      ).toBe(text);
    }
  });
});

describe("writing a name", () => {
  it("begins with @, where it is no part of a word", () => {
    expect(namingAt("hi @An", 6)).toEqual({ from: 3, query: "An" });
    expect(namingAt("hi @An", 3)).toBeUndefined();
    expect(namingAt("你好@", 3)).toEqual({ from: 2, query: "" });
    expect(namingAt("me@an", 5)).toBeUndefined();
    expect(namingAt("", 0)).toBeUndefined();
    expect(namingAt(`@${"x".repeat(90)}`, 91)).toBeUndefined();
  });

  it("offers a few: those that begin so, then those that have it in them", () => {
    const people = ["Marlow", "小满", "Anna", "Joanna"].map((name) => ({ id: name, name }));
    expect(offered(people, "an").map((p) => p.name)).toEqual(["Anna", "Joanna"]);
    expect(offered(people, "").map((p) => p.name)).toEqual(["Marlow", "小满", "Anna", "Joanna"]);
    expect(offered(people, "Anna ")).toEqual([]);
    expect(offered([{ id: "1", name: "Anna B" }], " b")).toEqual([]);
    expect(
      offered(
        Array.from({ length: 50 }, (_, i) => ({ id: String(i), name: "a" })),
        "",
      ),
    ).toHaveLength(6);
  });

  it("puts it in place of what was written of it", () => {
    expect(named("hi @an there", 6, { from: 3, query: "an" }, "Anna B")).toEqual({
      text: "hi @Anna B there",
      caret: 11,
    });
    expect(addressed("", "小明")).toEqual({ text: "@小明 ", caret: 4 });
    expect(addressed("hi", "小明")).toEqual({ text: "hi @小明 ", caret: 7 });
    expect(replaced("ab", 1, 1, "😀")).toEqual({ text: "a😀b", caret: 3 });
  });
});
