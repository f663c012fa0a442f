import { expect, it } from "vitest";
import { BACKOFF, backoff } from "./backoff";

it("doubles, is capped, and spreads over the upper half", () => {
  expect(backoff(0, 0)).toBe(BACKOFF.first / 2);
  expect(backoff(0, 0.999_999)).toBeCloseTo(BACKOFF.first, 1);
  expect(backoff(1, 0)).toBe(BACKOFF.first);
  for (let n = 0; n < 2000; n++) {
    expect(backoff(n, 0)).toBeGreaterThanOrEqual(BACKOFF.first / 2);
    expect(backoff(n, 1)).toBeLessThanOrEqual(BACKOFF.max);
  }
  expect(backoff(1000, 0)).toBe(BACKOFF.max / 2);
});
