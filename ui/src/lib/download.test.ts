import { describe, expect, it } from "vitest";
import { fileName } from "./download";

describe("a file's name", () => {
  it("is one that every system takes", () => {
    expect(fileName("mujian", "Anna", "2026-11-21")).toBe("mujian-Anna-2026-11-21");
    expect(fileName("mujian", "小 明", "x")).toBe("mujian-小-明-x");
    expect(fileName("mujian", "../..\\:*?", "x")).toBe("mujian-x");
    expect(fileName("a/b", "-", "<c>")).toBe("a-b-c");
  });
});
