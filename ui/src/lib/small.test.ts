import { describe, expect, it } from "vitest";
import { readPrefs } from "./saved";
import { parseRoute } from "./route";
import { parseTags } from "./tags";

describe("addresses", () => {
  it("lead to their screens", () => {
    expect(parseRoute("/")).toEqual({ screen: "hall" });
    expect(parseRoute("/index.html")).toEqual({ screen: "hall" });
    expect(parseRoute("/watch/rain-cafe")).toEqual({ screen: "watch", room: "rain-cafe" });
    expect(parseRoute("/studio")).toEqual({ screen: "studio" });
    expect(parseRoute("/account/")).toEqual({ screen: "account" });
    expect(parseRoute("/setup")).toEqual({ screen: "account" });
    expect(parseRoute("/parts")).toEqual({ screen: "parts" });
  });

  it("lead nowhere where there is nothing", () => {
    for (const path of [
      "/watch",
      "/watch/ab",
      "/watch/UPPER",
      "/watch/a/b",
      "/watch/%2e%2e",
      "/x",
      "/studio/x",
    ]) {
      expect(parseRoute(path), path).toEqual({ screen: "missing" });
    }
  });
});

describe("tags", () => {
  it("are taken apart, bounded, and without doubles", () => {
    expect(parseTags("#咖啡，雨声 咖啡、rain,  night", 8, 16)).toEqual(["咖啡", "雨声", "rain", "night"]);
    expect(parseTags("a b c d", 3, 16)).toEqual(["a", "b", "c"]);
    expect(parseTags("一二三四五", 8, 3)).toEqual(["一二三"]);
    expect(parseTags("  ,, ", 8, 16)).toEqual([]);
  });
});

describe("what was saved", () => {
  it("is read, and replaced by the defaults where it does not fit", () => {
    expect(readPrefs('{"volume":0.4,"theme":"light","danmaku":false}')).toMatchObject({
      volume: 0.4,
      theme: "light",
      danmaku: false,
      muted: false,
    });
    expect(readPrefs('{"size":1.4,"speed":0.5,"area":"half","opacity":0.3,"shortcuts":false}')).toMatchObject(
      {
        size: 1.4,
        speed: 0.5,
        area: "half",
        opacity: 0.3,
        shortcuts: false,
      },
    );
    const wrong =
      '{"volume":"x","theme":4,"opacity":9,"size":40,"speed":0,"area":"toString","shortcuts":0,"notify":1}';
    for (const bad of [null, "", "{", "null", "7", wrong]) {
      expect(readPrefs(bad), String(bad)).toEqual({
        theme: "system",
        volume: 1,
        muted: false,
        danmaku: true,
        opacity: 1,
        size: 1,
        speed: 1,
        area: "whole",
        shortcuts: true,
        keepSound: false,
        notify: null,
      });
    }
  });
});
