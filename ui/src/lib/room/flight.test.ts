import { describe, expect, it } from "vitest";
import { AREAS, fontSize, inkOf, rateOf, speedOf } from "./flight";

describe("a comment over the picture", () => {
  it("is as large as the picture and the person say", () => {
    expect(fontSize(440, 1)).toBe(20);
    expect(fontSize(100, 1)).toBe(16);
    expect(fontSize(4000, 1)).toBe(30);
    expect(fontSize(440, 1.5)).toBe(30);
    expect(speedOf(2)).toBe(2 * speedOf(1));
  });

  it("has room only beside so many others", () => {
    expect(AREAS.map((area) => rateOf(area, 1))).toEqual([30, 60, 90, 120]);
    expect(rateOf("whole", 1.5)).toBe(80);
    expect(rateOf("whole", 0.6)).toBe(120);
  });

  it("is drawn in a colour, whatever the colour says", () => {
    const flight = { text: "", color: "#12ab34", mode: "scroll", own: false, mention: false };
    expect(inkOf(flight).fill).toBe("#12ab34");
    expect(inkOf({ ...flight, color: "url(x)" }).fill).toBe("#ffffff");
    expect(inkOf({ ...flight, own: true }).fill).toBe("#dcb46a");
    expect(inkOf({ ...flight, mention: true })).toEqual({ fill: "#ffffff", edge: "#c4321a", width: 6 });
  });
});
