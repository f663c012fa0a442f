import Danmaku from "danmaku/dist/esm/danmaku.canvas.js";
import { expect, it, vi } from "vitest";
import { type Given, isEmpty, KEPT_MAX, letGo } from "./flown";

vi.stubGlobal("window", { performance });

it("lets go of comments that have set out, and of no other", () => {
  const given: Given & { media?: { currentTime: number } } = {
    comments: [],
    _: { position: 0, runningList: [] },
  };
  const emit = (text: string): unknown => Danmaku.prototype.emit.call(given as unknown as Danmaku, { text });
  for (let i = 0; i <= KEPT_MAX; i++) emit(String(i));
  given._.position = KEPT_MAX - 1;
  letGo(given);
  expect(given.comments).toHaveLength(KEPT_MAX + 1);
  given._.position = KEPT_MAX;
  letGo(given);
  expect(given.comments).toMatchObject([{ text: String(KEPT_MAX) }]);
  expect(given._.position).toBe(0);
  // Where it says how many have set out is the library's own: in a film it takes what is new from there.
  given._.position = 1;
  given.media = { currentTime: 5 };
  emit("next");
  expect(given.comments).toMatchObject([{ text: String(KEPT_MAX) }, { text: "next" }]);
});

it("is empty when nothing flies and nothing is about to", () => {
  const given = (position: number, flying: number): Given => ({
    comments: [{}, {}],
    _: { position, runningList: Array.from({ length: flying }) },
  });
  expect(isEmpty(given(2, 0))).toBe(true);
  expect(isEmpty(given(2, 1))).toBe(false);
  expect(isEmpty(given(1, 0))).toBe(false);
});
