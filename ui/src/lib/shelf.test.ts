import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Mirror,
  PLACEHOLDER_NAME_MAX,
  type PlaceholderState,
  type ShelfView,
} from "./generated/protocol";
import { askAgain, backIn, length, lookAgain, nameOfFile, nextTime, saysOfItself, showable } from "./shelf";

const MINUTE = 60_000;

function shelf(...states: PlaceholderState[]): ShelfView {
  return {
    placeholders: states.map((state, i) => ({
      id: `own-${String(i)}`,
      name: "n",
      keywords: [],
      text: "",
      kind: "picture",
      sound: false,
      bytes: 1,
      digest: "d",
      duration_ms: null,
      state,
      stands: false,
      created_at: 0,
      changed_at: 0,
    })),
    built_in: [{ id: "away", zh: "去去就来", en: "Away for a moment" }],
    next: null,
    choice: { id: "away", reason: "empty", words: [], threshold: 0.3, ranking: [], why_not: null },
    ordered_at: 0,
    removed: [],
  };
}

describe("a file's name", () => {
  it("loses its ending and what is too long", () => {
    expect(nameOfFile("雨天.jpeg")).toBe("雨天");
    expect(nameOfFile("v1.2 final.mp4")).toBe("v1.2 final");
    expect(nameOfFile(".png")).toBe(".png");
    expect([...nameOfFile("🐱".repeat(90))].length).toBe(PLACEHOLDER_NAME_MAX);
  });
});

describe("an upload", () => {
  it("says what it is so that the server reads it back", () => {
    const draft = { name: "A & b=c+d", keywords: ["唱歌", "music"], text: "一\nb?" };
    const query = saysOfItself(draft);
    expect(query).not.toMatch(/[+\s]/);
    expect(Object.fromEntries(new URLSearchParams(query))).toEqual({ ...draft, keywords: "唱歌,music" });
    expect(saysOfItself({ name: "n", keywords: [], text: "" })).toBe("name=n");
  });
});

describe("the shelf", () => {
  const refused: PlaceholderState = { state: "refused", code: "damaged", message: "No." };

  it("is looked at again while something may change by itself", () => {
    expect(lookAgain(shelf({ state: "ready" }, refused))).toBeUndefined();
    const waiting = lookAgain(shelf({ state: "waiting" })) ?? 0;
    const making = lookAgain(shelf({ state: "waiting" }, { state: "checking" })) ?? 0;
    expect(making).toBeGreaterThan(0);
    expect(making).toBeLessThan(waiting);
  });

  it("is looked at again while one is on its way to the server", () => {
    const view = shelf({ state: "ready" }, { state: "ready" });
    const mirrored = (mirror: Mirror): ShelfView => ({
      ...view,
      placeholders: view.placeholders.map((p) => ({ ...p, mirror })),
    });
    expect(lookAgain(mirrored({ state: "mirrored" }))).toBeUndefined();
    const sending = lookAgain(mirrored({ state: "waiting" })) ?? 0;
    const error = { code: "unreachable", message: "No." } as const;
    const offline = lookAgain(mirrored({ state: "waiting", error })) ?? 0;
    expect(sending).toBeGreaterThan(0);
    expect(offline).toBeGreaterThan(sending);
  });

  it("offers one that is shown as it was until its new words are ready", () => {
    const view = shelf({ state: "checking" });
    const stands = view.placeholders.map((p) => ({ ...p, stands: true }));
    expect(showable({ ...view, placeholders: stands })).toEqual(["own-0", "away"]);
  });

  it("offers what can be shown, one's own first", () => {
    const all = shelf({ state: "waiting" }, { state: "ready" }, refused, { state: "checking" });
    expect(showable(all)).toEqual(["own-1", "away"]);
  });
});

describe("times", () => {
  it("are as long as they are", () => {
    expect([0, 999, 42_000, 184_000, 600_000].map(length)).toEqual(["0:00", "0:01", "0:42", "3:04", "10:00"]);
  });

  it("to be back in are on a whole minute, never earlier than was said, and less than one later", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 0, max: 4e12 }), (minutes, now) => {
        const at = backIn(minutes, now);
        expect(at % MINUTE).toBe(0);
        expect(at - now).toBeGreaterThanOrEqual(minutes * MINUTE);
        expect(at - now).toBeLessThan((minutes + 1) * MINUTE);
      }),
    );
  });

  it("of a clock are the next such, today or tomorrow", () => {
    const now = new Date(2026, 10, 21, 20, 0, 30).getTime();
    expect(nextTime("20:15", now)).toBe(new Date(2026, 10, 21, 20, 15).getTime());
    expect(nextTime("20:00", now)).toBe(new Date(2026, 10, 22, 20, 0).getTime());
    expect(nextTime("00:05", now)).toBe(new Date(2026, 10, 22, 0, 5).getTime());
    expect(nextTime("", now)).toBeUndefined();
    expect(nextTime("later", now)).toBeUndefined();
  });
});

describe("a picture that could not be had", () => {
  it("is asked for again, less and less often, and not for ever", () => {
    const pauses = [0, 1, 2, 3, 4, 5, 6].map(askAgain);
    expect(pauses).toEqual([2000, 4000, 8000, 16_000, 32_000, 64_000, undefined]);
  });
});
