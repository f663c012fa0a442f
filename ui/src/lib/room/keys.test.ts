import { describe, expect, it } from "vitest";
import { actionOf, type Press, SHOWN_KEYS, type Where, whereIs } from "./keys";

const press = (key: string, more: Partial<Press> = {}): Press => ({
  key,
  code: "",
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  repeat: false,
  isComposing: false,
  ...more,
});
const room = { onAir: true, shortcuts: true };
const at = (key: string, where: Where = "page", more: Partial<Press> = {}) =>
  actionOf(press(key, more), where, room);

describe("a key in a room", () => {
  it("does what is listed for it", () => {
    for (const { action, keys } of SHOWN_KEYS) {
      expect(
        at(keys[0] === "space" ? " " : keys[0] === "↑" ? "ArrowUp" : keys[0] === "Esc" ? "Escape" : keys[0]),
        action,
      ).toBe(action);
    }
    expect(at("k")).toBe("play");
    expect(at("ArrowDown")).toBe("quieter");
    expect(at("x")).toBeUndefined();
    expect(at("constructor")).toBeUndefined();
  });

  it("is text while one types, and the browser's with Ctrl, Alt or Meta", () => {
    for (const key of [" ", "m", "f", "d", "t", "i", "Enter", "Escape", "?"]) {
      expect(at(key, "field"), key).toBeUndefined();
      for (const held of ["ctrlKey", "metaKey", "altKey", "isComposing"] as const) {
        expect(at(key, "page", { [held]: true }), `${held} ${key}`).toBeUndefined();
      }
    }
  });

  it("leaves buttons and the list what is theirs", () => {
    expect(at(" ", "control")).toBeUndefined();
    expect(at("Enter", "control")).toBeUndefined();
    expect(at("ArrowUp", "control")).toBeUndefined();
    expect(at("m", "control")).toBe("mute");
    expect(at(" ", "list")).toBeUndefined();
    expect(at("ArrowDown", "list")).toBeUndefined();
    expect(at("Enter", "list")).toBe("write");
  });

  it("does a thing once however long it is held, except louder and quieter", () => {
    expect(at("f", "page", { repeat: true })).toBeUndefined();
    expect(at("ArrowUp", "page", { repeat: true })).toBe("louder");
  });

  it("is known by its place while an input method is on, or by another alphabet's letter", () => {
    expect(at("Process", "page", { code: "KeyM" })).toBe("mute");
    expect(at("ь", "page", { code: "KeyM" })).toBe("mute");
    expect(at("Process", "page", { code: "Digit1" })).toBeUndefined();
    // A Latin letter is what it says, wherever it is.
    expect(at("a", "page", { code: "KeyM" })).toBeUndefined();
    expect(at("M", "page", { code: "KeyM" })).toBe("mute");
  });

  it("can be turned off, except the way out", () => {
    const off = { onAir: true, shortcuts: false };
    expect(actionOf(press("m"), "page", off)).toBeUndefined();
    expect(actionOf(press("Escape"), "page", off)).toBe("leave");
  });

  it("plays nothing where nothing plays, and still writes", () => {
    const offAir = { onAir: false, shortcuts: true };
    for (const key of [" ", "m", "f", "p", "i", "ArrowUp"]) {
      expect(actionOf(press(key), "page", offAir), key).toBeUndefined();
    }
    expect(actionOf(press("Enter"), "page", offAir)).toBe("write");
    expect(actionOf(press("t"), "page", offAir)).toBe("theatre");
  });
});

describe("where a key goes", () => {
  /** Stands in one element that answers to these of the selectors. */
  const inside = (...kinds: string[]) => ({
    closest: (selectors: string) => (kinds.some((k) => selectors.split(", ").includes(k)) ? {} : null),
  });
  it("is told by what has the focus", () => {
    expect(whereIs(null, false)).toBe("page");
    expect(whereIs(inside(), false)).toBe("page");
    expect(whereIs(inside("textarea"), false)).toBe("field");
    expect(whereIs(inside("[contenteditable]"), false)).toBe("field");
    expect(whereIs(inside("input"), false)).toBe("control");
    expect(whereIs(inside("button", "[role=log]"), false)).toBe("control");
    expect(whereIs(inside("[role=log]"), false)).toBe("list");
    expect(whereIs(inside(), true)).toBe("field");
  });
});
