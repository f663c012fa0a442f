import { describe, expect, it } from "vitest";
import { PASSWORD_MAX } from "./generated/protocol";
import { passwordFault } from "./password";

describe("a new password", () => {
  it("is long enough in characters, and short enough in bytes", () => {
    expect(passwordFault("1234567")).toBe("short");
    expect(passwordFault("幕间幕间幕间幕")).toBe("short");
    expect(passwordFault("幕间幕间幕间幕间")).toBeUndefined();
    expect(passwordFault("a".repeat(PASSWORD_MAX))).toBeUndefined();
    expect(passwordFault("间".repeat(PASSWORD_MAX / 2))).toBe("long");
  });

  it("is the same both times", () => {
    expect(passwordFault("correct horse", "correct horse")).toBeUndefined();
    expect(passwordFault("correct horse", "correct horses")).toBe("differs");
    expect(passwordFault("short", "other")).toBe("short");
  });
});
