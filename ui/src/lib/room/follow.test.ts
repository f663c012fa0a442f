import { describe, expect, it } from "vitest";
import { heldLines, hold, pullsUp, standsStill, waiting, wrote } from "./follow";
import type { Line } from "./model";

const line = (key: string, more: { own?: boolean; pending?: boolean; text?: string } = {}): Line => ({
  kind: "danmaku",
  key,
  by: "a",
  author: "a",
  text: key,
  at: 0,
  color: "#ffffff",
  own: false,
  pending: false,
  ...more,
});
const place = (top: number, height = 1000, view = 400) => ({ top, height, view });

describe("the list of comments", () => {
  it("stands still when a person scrolls up, and follows again from its end", () => {
    expect(standsStill(false, 600, place(500))).toBe(true);
    expect(standsStill(true, 500, place(520))).toBe(true);
    expect(standsStill(true, 520, place(580))).toBe(false);
  });

  it("stands still however slowly one scrolls", () => {
    expect(standsStill(false, 600, place(597))).toBe(true);
    expect(standsStill(true, 597, place(594))).toBe(true);
  });

  it("goes on following when it grew, or shrank to its end", () => {
    expect(standsStill(false, 600, place(600, 1400))).toBe(false);
    expect(standsStill(false, 600, place(560, 960))).toBe(false);
  });

  it("knows who begins to scroll up, and that there is something above", () => {
    expect(pullsUp(place(600), 3)).toBe(true);
    expect(pullsUp(place(600), -3)).toBe(false);
    expect(pullsUp(place(0), 3)).toBe(false);
    expect(pullsUp(place(0, 300), 3)).toBe(false);
  });

  it("counts what waits: others' comments, not one's own and no gaps", () => {
    const held = hold([line("1"), line("2")]);
    const now = [
      line("2"),
      line("3"),
      line("4", { own: true }),
      { kind: "gap", key: "g" } as const,
      line("5"),
    ];
    expect(waiting(held, now)).toEqual({ n: 2, more: false });
    expect(waiting(held, [line("8"), line("9")])).toEqual({ n: 2, more: true });
    expect(waiting(held, [line("1"), line("2")])).toEqual({ n: 0, more: false });
    expect(waiting(hold([]), [line("1")])).toEqual({ n: 1, more: false });
  });

  it("keeps what is read, also when the room has forgotten it", () => {
    const held = hold([line("1"), line("2")]);
    expect(heldLines(held, [line("8")])).toEqual(held.lines);
  });

  it("shows one's own comment as arrived, or takes it out when it was refused", () => {
    const mine = { own: true, text: "hi" };
    const held = hold([
      line("own.a", { ...mine, pending: true }),
      line("own.b", { ...mine, pending: true }),
      line("own.c", { own: true, pending: true }),
    ]);
    const now = [line("1.1", mine), line("1.2", mine), line("own.c", { own: true, pending: true })];
    expect(heldLines(held, now).map((l) => l.key)).toEqual(["1.1", "1.2", "own.c"]);
    expect(heldLines(held, [line("1.1", mine)]).map((l) => l.key)).toEqual(["1.1"]);
  });

  it("is let go by whoever writes", () => {
    const held = hold([line("1")]);
    expect(wrote(held, [line("1"), line("2")])).toBe(false);
    expect(wrote(held, [line("1"), line("own.x", { own: true, pending: true })])).toBe(true);
  });
});
