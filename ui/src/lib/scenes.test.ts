import fc from "fast-check";
import { expect, test } from "vitest";
import type { Inset, VideoSource } from "./generated/protocol";
import { CORNERS, cornerOf, isShown, kept, moved, SCENES_MAX, spotOf } from "./scenes";

const SCREEN: VideoSource = { kind: "screen", device: ":0" };
const CAMERA: VideoSource = { kind: "camera", device: "/dev/video0" };
const inset: Inset = { source: CAMERA, width: 0.25, ...CORNERS.bottom_right };

test("what is kept under a name is known again, and replaced under it", () => {
  const shown = { source: SCREEN, inset };
  const one = kept([], " Game ", shown) ?? [];
  expect(one.map((s) => s.name)).toEqual(["Game"]);
  const [game] = one;
  if (!game) throw new Error("nothing is kept");
  expect(isShown(game, shown)).toBe(true);
  // As it comes back from the app: 32 bits, fields in another order.
  const back = { ...inset, width: Math.fround(0.25), x: Math.fround(0.97), y: Math.fround(0.97) };
  expect(isShown(game, { source: { device: ":0", kind: "screen" }, inset: back })).toBe(true);
  expect(isShown(game, { source: SCREEN, inset: null })).toBe(false);
  expect(isShown(game, { source: CAMERA, inset })).toBe(false);
  const two = kept(one, "Game", { source: CAMERA, inset: null });
  expect(two).toEqual([{ name: "Game", source: CAMERA, inset: null }]);
});

test("a name is needed, and there is an end to it", () => {
  expect(kept([], "  ", { source: SCREEN, inset: null })).toBeUndefined();
  expect(kept([], "长".repeat(41), { source: SCREEN, inset: null })).toBeUndefined();
  const many = Array.from({ length: SCENES_MAX }, (_, i) => ({
    name: String(i),
    source: SCREEN,
    inset: null,
  }));
  expect(kept(many, "one more", { source: SCREEN, inset: null })).toBeUndefined();
  expect(kept(many, "3", { source: CAMERA, inset: null })).toHaveLength(SCENES_MAX);
});

test("corners are known", () => {
  expect(cornerOf(inset)).toBe("bottom_right");
  expect(cornerOf({ ...inset, x: 0.5 })).toBeUndefined();
});

const share = fc.double({ min: 0, max: 1, noNaN: true });
const anywhere = fc.record({ width: fc.double({ min: 0.1, max: 0.5, noNaN: true }), x: share, y: share });
const shape = fc.double({ min: 0.2, max: 4, noNaN: true });

test("wherever it is moved, it lies inside and keeps its size", () => {
  const way = fc.double({ min: -2, max: 2, noNaN: true });
  fc.assert(
    fc.property(anywhere, shape, way, way, (place, of, x, y) => {
      const before = { source: CAMERA, ...place };
      const after = moved(before, { x, y }, of, 16 / 9);
      const spot = spotOf(after, of, 16 / 9);
      expect(spot.left).toBeGreaterThanOrEqual(0);
      expect(spot.top).toBeGreaterThanOrEqual(0);
      expect(spot.left + spot.width).toBeLessThanOrEqual(1 + 1e-9);
      expect(spot.top + spot.height).toBeLessThanOrEqual(1 + 1e-9);
      expect(spot.width).toBe(spotOf(before, of, 16 / 9).width);
    }),
  );
});

test("moved by as much as it has room, it is where it was moved to", () => {
  const spot = spotOf(inset, 16 / 9, 16 / 9);
  const there = spotOf(moved(inset, { x: -0.2, y: -0.1 }, 16 / 9, 16 / 9), 16 / 9, 16 / 9);
  expect(there.left).toBeCloseTo(spot.left - 0.2);
  expect(there.top).toBeCloseTo(spot.top - 0.1);
  // A camera of 4:3 is higher.
  expect(spotOf(inset, 4 / 3, 16 / 9).height).toBeCloseTo(0.25 * (4 / 3));
});
