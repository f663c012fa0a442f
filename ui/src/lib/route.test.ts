import { describe, expect, it } from "vitest";
import { wordsOf, withWords } from "./route";

describe("the words in the hall's address", () => {
  it("are kept as they were written, with the rest of the query", () => {
    for (const words of ["听雨 聊天", 'c++ & "rust"', "100%", "a=b?c#d", "👋"]) {
      const query = withWords("?theme=dark", words);
      expect(wordsOf(query)).toBe(words);
      expect(new URLSearchParams(query).get("theme")).toBe("dark");
      expect(withWords(query, "")).toBe("?theme=dark");
    }
    expect(withWords("?q=old", "new")).toBe("?q=new");
    expect(withWords("?q=old", "")).toBe("");
    expect(wordsOf("")).toBe("");
  });

  it("are bounded, by whole characters", () => {
    expect(wordsOf(withWords("", "👋".repeat(100)))).toBe("👋".repeat(64));
  });
});
