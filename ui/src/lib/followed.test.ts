import { describe, expect, it } from "vitest";
import { FollowedList, programme } from "./followed";
import type { RoomView, Stage } from "./generated/protocol";

const room = (id: string, stage: Stage = "off", viewers = 0): RoomView => ({
  id,
  title: id,
  category: "",
  tags: [],
  owner: { id: `owner of ${id}`, name: "somebody" },
  stage,
  stage_since: 0,
  live_since: stage === "off" ? null : 0,
  away: null,
  viewers,
});
const ids = (rooms: readonly RoomView[] | undefined): string[] => (rooms ?? []).map((r) => r.id);

describe("the list of what is followed", () => {
  it("is not known before it was fetched", () => {
    const list = new FollowedList();
    expect(list.rooms).toBeUndefined();
    expect(list.fetched([], 0).rooms).toEqual([]);
  });

  it("follows presses, each once", () => {
    const list = new FollowedList([room("a")]).set(room("b"), true).set(room("b"), true);
    expect(ids(list.rooms)).toEqual(["b", "a"]);
    expect([list.has("a"), list.has("b"), list.has("c")]).toEqual([true, true, false]);
    expect(ids(list.set(room("b"), false).set(room("c"), false).rooms)).toEqual(["a"]);
  });

  it("does not forget a press for an answer that was asked for before it", () => {
    const before = new FollowedList([room("a")]);
    const pressed = before.set(room("b"), true);
    expect(ids(pressed.fetched([room("a")], before.edition).rooms)).toEqual(["b", "a"]);
    expect(ids(pressed.fetched([room("b")], pressed.edition).rooms)).toEqual(["b"]);
  });
});

describe("the hall", () => {
  it("shows what is followed at its head and nothing twice", () => {
    const hall = [room("a", "live"), room("b", "away"), room("c"), room("d")];
    const shown = programme(hall, [room("b", "away"), room("d"), room("e")]);
    expect(ids(shown.followedLive)).toEqual(["b"]);
    expect(ids(shown.followedOff)).toEqual(["d", "e"]);
    expect(ids(shown.live)).toEqual(["a"]);
    expect(ids(shown.off)).toEqual(["c"]);
  });

  it("believes the list that was fetched last about what is live", () => {
    const shown = programme([room("a", "live", 7)], [room("a")]);
    expect(shown.followedLive.map((r) => r.viewers)).toEqual([7]);
    expect(shown.followedOff).toEqual([]);
  });

  it("is as it was where nothing is followed", () => {
    const hall = [room("a", "lost"), room("b")];
    const shown = programme(hall, []);
    expect([ids(shown.live), ids(shown.off), ids(shown.followedLive)]).toEqual([["a"], ["b"], []]);
  });
});
