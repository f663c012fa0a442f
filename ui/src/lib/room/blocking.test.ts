import { describe, expect, it } from "vitest";
import {
  addPerson,
  addWord,
  type Blocked,
  filterOf,
  type NotAdded,
  NOTHING,
  PEOPLE_MAX,
  readBlocked,
  removePerson,
  removeWord,
  WORD_MAX,
  WORDS_MAX,
} from "./blocking";

function added(next: Blocked | NotAdded): Blocked {
  if (typeof next === "string") throw new Error(next);
  return next;
}
const said = (text: string, by = "x", own = false) => ({ text, by, own });

describe("what somebody does not want to see", () => {
  it("is hidden by its words, however they are written", () => {
    const hides = filterOf(added(addWord(added(addWord(NOTHING, " Spoiler ")), "剧透")));
    for (const text of ["a SPOILER!", "ｓｐｏｉｌｅｒ", "spo\u200biler", "不要剧透啊"]) {
      expect(hides(said(text)), text).toBe(true);
    }
    for (const text of ["spoil", "剧 透", ""]) expect(hides(said(text)), text).toBe(false);
  });

  it("is hidden by who wrote it, under any name", () => {
    const blocked = added(addPerson(NOTHING, { id: "7", name: "Troll" }));
    expect(filterOf(blocked)(said("hello", "7"))).toBe(true);
    expect(filterOf(blocked)(said("Troll", "8"))).toBe(false);
    expect(filterOf(removePerson(blocked, "7"))(said("hello", "7"))).toBe(false);
  });

  it("is never one's own", () => {
    const blocked = added(addWord(added(addPerson(NOTHING, { id: "7", name: "me" })), "a"));
    expect(filterOf(blocked)(said("a", "7", true))).toBe(false);
  });

  it("is bounded, and says why something was not added", () => {
    let blocked = NOTHING;
    for (let i = 0; i < WORDS_MAX; i++) blocked = added(addWord(blocked, `w${String(i)}`));
    expect(addWord(blocked, "one more")).toBe("full");
    expect(addWord(blocked, "W3")).toBe("there");
    expect(addWord(removeWord(blocked, "w3"), "one more")).not.toBe("full");
    expect(addWord(NOTHING, " \u200b ")).toBe("empty");
    expect(addWord(NOTHING, "字".repeat(WORD_MAX + 1))).toBe("long");
    for (let i = 0; i < PEOPLE_MAX; i++) {
      blocked = added(addPerson(blocked, { id: String(i), name: "n" }));
    }
    expect(addPerson(blocked, { id: "new", name: "n" })).toBe("full");
    expect(addPerson(blocked, { id: "3", name: "other" })).toBe("there");
    expect(addPerson(NOTHING, { id: "1", name: "n".repeat(25) })).toBe("long");
    expect(addPerson(NOTHING, { id: "", name: "n" })).toBe("empty");
    expect(readBlocked(JSON.stringify(blocked))).toEqual(blocked);
  });

  it("is read as far as it is ours", () => {
    for (const bad of [null, "", "{", "7", "null", "[]", '{"words":7,"people":"x"}', "x".repeat(300_000)]) {
      expect(readBlocked(bad), String(bad).slice(0, 20)).toEqual(NOTHING);
    }
    expect(
      readBlocked('{"words":["a",3,"A","  "],"people":[{"id":"1","name":"n","x":1},{"id":2},null]}'),
    ).toEqual({ words: ["a"], people: [{ id: "1", name: "n" }] });
    const many = JSON.stringify({ words: Array.from({ length: 5000 }, (_, i) => `w${String(i)}`) });
    expect(readBlocked(many).words).toHaveLength(WORDS_MAX);
  });
});
