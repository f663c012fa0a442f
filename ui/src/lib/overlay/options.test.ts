import { describe, expect, it } from "vitest";
import { KEEP, overlayPath, readAddress, readOptions, SIZE } from "./options";

describe("the address of an overlay", () => {
  it("has the room in its path and the key where no server is told of it", () => {
    const key = "A".repeat(42) + "_";
    const url = new URL(overlayPath("rain-cafe", key), "http://127.0.0.1:8080/account");
    expect(readAddress(url.pathname, url.hash)).toEqual({ room: "rain-cafe", key });
    expect(url.pathname + url.search).not.toContain(key);
  });

  it("is none without either", () => {
    for (const [path, hash] of [
      ["/overlay/rain-cafe", ""],
      ["/overlay/rain-cafe", "#"],
      ["/overlay/rain-cafe", "#short"],
      ["/overlay/rain-cafe", `#${"<".repeat(43)}`],
      ["/overlay/", `#${"a".repeat(43)}`],
      ["/overlay/../x", `#${"a".repeat(43)}`],
      ["/watch/rain-cafe", `#${"a".repeat(43)}`],
    ] as const) {
      expect(readAddress(path, hash), path + hash).toBeUndefined();
    }
  });
});

describe("the options of an overlay", () => {
  it("have defaults", () => {
    const usual = {
      language: undefined,
      size: undefined,
      side: "left",
      at: "bottom",
      keep: KEEP.usual,
      hidden: new Set(),
    };
    expect(readOptions("")).toEqual(usual);
    expect(readOptions("?lang=fr&size=big&side=middle&at=x&keep=-1&hide=me,,")).toEqual(usual);
  });

  it("are read from the query", () => {
    expect(readOptions("?lang=en&size=32&side=right&at=top&keep=0&hide=viewers,ballot")).toEqual({
      language: "en",
      size: 32,
      side: "right",
      at: "top",
      keep: 0,
      hidden: new Set(["viewers", "ballot"]),
    });
    expect(readOptions("?lang=zh").language).toBe("zh-CN");
  });

  it("are bounded", () => {
    expect(readOptions("?size=1").size).toBe(SIZE.min);
    expect(readOptions("?size=99999").size).toBe(SIZE.max);
    expect(readOptions("?size=9999999999").size).toBeUndefined();
    expect(readOptions("?keep=999999").keep).toBe(KEEP.max);
  });
});
