import { describe, expect, it } from "vitest";
import { pause } from "./cover";

describe("when a cover is asked for again", () => {
  it("comes soon while there is none yet, and rarely once there is one", () => {
    expect(pause(40_000, 0)).toBe(45_000);
    expect(pause(0, 0)).toBe(3000);
    expect(pause(undefined, 0)).toBe(3000);
  });

  it("comes more rarely the longer there is none", () => {
    const pauses = [0, 1, 2, 3, 4, 50].map((failures) => pause(0, failures));
    expect(pauses).toEqual([3000, 6000, 12_000, 24_000, 45_000, 45_000]);
  });
});
