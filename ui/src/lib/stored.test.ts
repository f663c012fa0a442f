import { afterEach, describe, expect, it, vi } from "vitest";
import { store, stored } from "./stored";

const kept = (items: Map<string, string>, most: number): void => {
  vi.stubGlobal("localStorage", {
    getItem: (name: string) => items.get(name) ?? null,
    setItem: (name: string, text: string) => {
      if (text.length > most) throw new DOMException("full", "QuotaExceededError");
      items.set(name, text);
    },
    removeItem: (name: string) => items.delete(name),
  });
};

describe("what a browser keeps", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("is kept until it is taken away", () => {
    const items = new Map<string, string>();
    kept(items, 100);
    expect(stored("a")).toBeNull();
    store("a", "1");
    expect([stored("a"), items.get("a")]).toEqual(["1", "1"]);
    store("a", undefined);
    expect([stored("a"), items.size]).toEqual([null, 0]);
  });

  it("is known as long as the page is open where it is full", () => {
    const items = new Map([["b", "old"]]);
    kept(items, 3);
    store("b", "long text");
    expect(stored("b")).toBe("long text");
    store("b", "s");
    expect([stored("b"), items.get("b")]).toEqual(["s", "s"]);
  });

  it("is known as long as the page is open where nothing may be kept", () => {
    vi.stubGlobal("localStorage", undefined);
    Object.defineProperty(globalThis, "localStorage", {
      configurable: true,
      get: () => {
        throw new DOMException("denied", "SecurityError");
      },
    });
    expect(stored("c")).toBeNull();
    store("c", "1");
    expect(stored("c")).toBe("1");
    store("c", undefined);
    expect(stored("c")).toBeNull();
  });
});
