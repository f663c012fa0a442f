import { describe, expect, it } from "vitest";
import type { RoomView } from "./generated/protocol";
import { AT_ONCE, FORGOTTEN, type Known, news, readKnown } from "./golive";

const room = (id: string, since: number): RoomView => ({
  id,
  title: id,
  category: "",
  tags: [],
  owner: { id: `owner of ${id}`, name: "somebody" },
  stage: "live",
  stage_since: since,
  live_since: since,
  away: null,
  viewers: 0,
});
const ids = (rooms: readonly RoomView[]): string[] => rooms.map((r) => r.id);
/** Looks once each second; gives what was told each time. */
function looks(steps: readonly (readonly RoomView[])[], start?: Known): string[][] {
  let known = start;
  return steps.map((live, i) => {
    const step = news(known, "me", live, 1000 * i);
    known = step.known;
    return ids(step.told);
  });
}

describe("a stream that begins", () => {
  it("is told once, and what ran before is no news", () => {
    const [a, b] = [room("a", 1), room("b", 2)];
    expect(looks([[a], [a], [a, b], [b, a], [b], []])).toEqual([[], [], ["b"], [], [], []]);
  });

  it("is told once also while its streamer is away or its publisher is lost", () => {
    const a = room("a", 1);
    const away: RoomView = { ...a, stage: "away", stage_since: 50 };
    expect(looks([[], [a], [away], [{ ...a, stage: "lost", stage_since: 70 }], [a]])).toEqual([
      [],
      ["a"],
      [],
      [],
      [],
    ]);
  });

  it("is another one after the end", () => {
    expect(looks([[], [room("a", 1)], [], [room("a", 9)]])).toEqual([[], ["a"], [], ["a"]]);
    // Ended and begun between two looks.
    expect(looks([[room("a", 1)], [room("a", 9)]])).toEqual([[], ["a"]]);
  });

  it("is told to who opens the page again soon, and not after a night", () => {
    const known = { who: "me", at: 0, streams: [] };
    const told = (who: string, now: number): string[] => ids(news(known, who, [room("a", 1)], now).told);
    expect(told("me", FORGOTTEN - 1)).toEqual(["a"]);
    expect(told("me", FORGOTTEN)).toEqual([]);
    // Somebody else logged in.
    expect(told("other", 5)).toEqual([]);
    // The clock was put back.
    expect(ids(news({ ...known, at: 10 }, "me", [room("a", 1)], 5).told)).toEqual([]);
  });

  it("comes with few others", () => {
    const many = Array.from({ length: 9 }, (_, i) => room(`room-${String(i)}`, i));
    expect(news({ who: "me", at: 0, streams: [] }, "me", many, 1).told).toHaveLength(AT_ONCE);
  });
});

describe("what is kept", () => {
  it("is read again, and what does not fit is nothing", () => {
    const { known } = news(undefined, "me", [room("a", 7)], 3);
    expect(readKnown(JSON.stringify(known))).toEqual({ who: "me", at: 3, streams: ["a@7"] });
    for (const bad of [
      null,
      "",
      "7",
      "null",
      "{}",
      '{"who":"me","at":"1","streams":[]}',
      '{"who":"me","at":1,"streams":[2]}',
      '{"at":1,"streams":[]}',
    ])
      expect(readKnown(bad), String(bad)).toBeUndefined();
  });
});
