import { describe, expect, it } from "vitest";
import { en } from "./en";
import { characters, clock, fill, places } from "./format";
import { languageOf } from "./language";
import { type Key, zh } from "./zh";

const keys = Object.keys(zh) as Key[];

describe("both catalogues", () => {
  it("have the same messages, and no empty one", () => {
    expect(Object.keys(en).sort()).toEqual([...keys].sort());
    for (const key of keys) {
      expect(zh[key].trim(), key).not.toBe("");
      expect(en[key].trim(), key).not.toBe("");
    }
  });

  it("have the same places in each message", () => {
    for (const key of keys) expect(places(en[key]), key).toEqual(places(zh[key]));
  });

  it("are each in their own language", () => {
    const han = /\p{Script=Han}/u;
    for (const key of keys) {
      expect(han.test(en[key]), `en ${key}`).toBe(false);
      const latin = /^[\s\p{Script=Latin}\d{}.·/]+$/u.test(zh[key].replace(/\{\w+\}/g, ""));
      if (!han.test(zh[key])) expect(latin || zh[key].startsWith("{"), `zh ${key}`).toBe(true);
    }
  });
});

describe("words", () => {
  it("are filled, and what is filled in is text", () => {
    expect(fill("{a} and {b}", { a: 1, b: "{a}" })).toBe("1 and {a}");
    expect(fill("{a}", {})).toBe("{a}");
    expect(fill("{a}", { a: "$& <b>" })).toBe("$& <b>");
  });

  it("count as the server counts: characters, not code units", () => {
    expect(characters("幕间")).toBe(2);
    expect(characters("👍🏽a")).toBe(3);
  });

  it("tell time as a clock", () => {
    expect(clock(0)).toBe("00:00:00");
    expect(clock(5047.9)).toBe("01:24:07");
    expect(clock(-3)).toBe("00:00:00");
    expect(clock(360_000)).toBe("100:00:00");
  });

  it("follow the system's language", () => {
    expect(languageOf(["zh-TW", "en"])).toBe("zh-CN");
    expect(languageOf(["fr", "zh-CN"])).toBe("zh-CN");
    expect(languageOf(["en-GB", "zh"])).toBe("en");
    expect(languageOf(["zha"])).toBe("en");
    expect(languageOf([])).toBe("en");
  });
});
