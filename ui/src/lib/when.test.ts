import { describe, expect, it } from "vitest";
import { ago, daysBetween, ofField, toField, tomorrowEvening } from "./when";

const at = (text: string): number => new Date(text).getTime();

describe("days", () => {
  it("are counted by midnights, not by hours", () => {
    expect(daysBetween(at("2026-11-22T23:59"), at("2026-11-23T00:01"))).toBe(1);
    expect(daysBetween(at("2026-11-22T00:01"), at("2026-11-22T23:59"))).toBe(0);
    expect(daysBetween(at("2026-12-31T12:00"), at("2027-01-02T01:00"))).toBe(2);
    expect(daysBetween(at("2026-11-22T00:01"), at("2026-11-21T23:59"))).toBe(-1);
    // A week in which clocks are changed somewhere has seven days.
    expect(daysBetween(at("2026-03-26T12:00"), at("2026-04-02T12:00"))).toBe(7);
  });
});

describe("what lies back", () => {
  it("is said in the largest unit that fits", () => {
    const minute = 60_000;
    expect(ago(-5)).toEqual({ n: 0, unit: "minute" });
    expect(ago(59 * minute)).toEqual({ n: 59, unit: "minute" });
    expect(ago(60 * minute)).toEqual({ n: 1, unit: "hour" });
    expect(ago(25 * 60 * minute)).toEqual({ n: 1, unit: "day" });
    expect(ago(71 * 60 * minute)).toEqual({ n: 2, unit: "day" });
  });
});

describe("a field for a time", () => {
  it("gives back what was put into it", () => {
    for (const text of ["2026-11-22T20:00", "2026-01-02T03:04", "2028-02-29T23:59"]) {
      expect(toField(at(text))).toBe(text);
      expect(ofField(text)).toBe(at(text));
    }
  });

  it("may be written by hand, and what is no time is none", () => {
    expect(ofField(" 2026-11-22  20:00 ")).toBe(at("2026-11-22T20:00"));
    expect(ofField("2026-11-22T20:00:00")).toBe(at("2026-11-22T20:00"));
    for (const text of [
      "",
      "tomorrow",
      "2026-02-31T10:00",
      "2026-13-01T10:00",
      "2026-11-22T24:10",
      "2026-11-22",
    ]) {
      expect(ofField(text), text).toBeUndefined();
    }
  });

  it("begins with tomorrow evening", () => {
    expect(tomorrowEvening(at("2026-12-31T23:00"))).toBe(at("2027-01-01T20:00"));
  });
});
