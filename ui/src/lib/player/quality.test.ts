import { describe, expect, it } from "vitest";
import { QualityMeter } from "./quality";

describe("the read-out", () => {
  it("is the mean of the last seconds", () => {
    const meter = new QualityMeter();
    expect(meter.read()).toBeUndefined();
    for (let s = 0; s <= 10; s++) {
      // Ten a second at first, thirty later, of which one is not shown.
      const frames = s <= 5 ? s * 10 : 50 + (s - 5) * 30;
      meter.add({ at: s * 1000, frames, dropped: s <= 5 ? 0 : s - 5, bytes: s * 125_000 });
    }
    expect(meter.read()).toEqual({ fps: 29, kbps: 1000, dropped: 5, frames: 200 });
  });

  it("begins anew with a new source, and says nothing too early", () => {
    const meter = new QualityMeter();
    meter.add({ at: 0, frames: 900, dropped: 9, bytes: undefined });
    meter.add({ at: 1000, frames: 10, dropped: 0, bytes: undefined });
    expect(meter.read()).toBeUndefined();
    meter.add({ at: 2000, frames: 40, dropped: 0, bytes: undefined });
    expect(meter.read()).toEqual({ fps: 30, kbps: undefined, dropped: 0, frames: 40 });
  });
});
