/** What a key does in a room. Pure: where the focus is goes in as a word. */

export type KeyAction =
  | "play"
  | "mute"
  | "louder"
  | "quieter"
  | "fullscreen"
  | "theatre"
  | "small"
  | "danmaku"
  | "readout"
  | "write"
  | "leave"
  | "help";

/**
 * Where the focus is: in what takes text or asks a question (`field`), on what a key presses or moves
 * (`control`), on the list that keys scroll (`list`), or on nothing in particular.
 */
export type Where = "page" | "list" | "control" | "field";

export type Press = Readonly<
  Pick<KeyboardEvent, "key" | "code" | "ctrlKey" | "metaKey" | "altKey" | "repeat" | "isComposing">
>;

const KEYS: Readonly<Record<string, KeyAction>> = {
  " ": "play",
  k: "play",
  m: "mute",
  arrowup: "louder",
  arrowdown: "quieter",
  f: "fullscreen",
  t: "theatre",
  p: "small",
  d: "danmaku",
  i: "readout",
  enter: "write",
  escape: "leave",
  "?": "help",
};

/** They need a picture. */
const ON_AIR: ReadonlySet<KeyAction> = new Set<KeyAction>([
  "play",
  "mute",
  "louder",
  "quieter",
  "fullscreen",
  "small",
  "readout",
]);

/** The list for a person, in the order of use. `space` is a word in each language. */
export const SHOWN_KEYS = [
  { action: "play", keys: ["space", "K"] },
  { action: "mute", keys: ["M"] },
  { action: "louder", keys: ["↑", "↓"] },
  { action: "write", keys: ["Enter"] },
  { action: "danmaku", keys: ["D"] },
  { action: "theatre", keys: ["T"] },
  { action: "fullscreen", keys: ["F"] },
  { action: "small", keys: ["P"] },
  { action: "readout", keys: ["I"] },
  { action: "help", keys: ["?"] },
  { action: "leave", keys: ["Esc"] },
] as const satisfies readonly { action: KeyAction; keys: readonly string[] }[];

/**
 * The key as it is listed. While an input method is on, and on keyboards of other alphabets, the place of
 * a key tells its letter.
 */
function named(press: Press): string {
  const key = press.key.toLowerCase();
  if (/^[\x20-\x7e]$/.test(key)) return key;
  const unnamed = [...press.key].length === 1 || press.key === "Process" || press.key === "Unidentified";
  return (unnamed ? /^Key([A-Z])$/.exec(press.code)?.[1]?.toLowerCase() : undefined) ?? key;
}

/** What a press of a key means; undefined: it is none of the room's business. */
export function actionOf(
  press: Press,
  where: Where,
  room: { readonly onAir: boolean; readonly shortcuts: boolean },
): KeyAction | undefined {
  if (press.ctrlKey || press.metaKey || press.altKey || press.isComposing || where === "field") {
    return undefined;
  }
  const key = named(press);
  const action = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
  if (action === undefined) return undefined;
  if (!room.shortcuts && action !== "leave") return undefined;
  if (!room.onAir && ON_AIR.has(action)) return undefined;
  if (press.repeat && action !== "louder" && action !== "quieter") return undefined;
  // A button is pressed by these keys, a slider moved, the list scrolled.
  if (where !== "page" && (key === " " || key.startsWith("arrow"))) return undefined;
  if (where === "control" && key === "enter") return undefined;
  return action;
}

interface Closest {
  closest(selectors: string): unknown;
}

const FIELDS =
  "textarea, select, dialog, [contenteditable], input:not([type=range], [type=checkbox], [type=radio], [type=button])";

/** Where a key goes to. `asked`: a dialog is open, whatever has the focus. */
export function whereIs(target: unknown, asked: boolean): Where {
  if (asked) return "field";
  if (typeof target !== "object" || target === null || !("closest" in target)) return "page";
  const element = target as Closest;
  if (element.closest(FIELDS)) return "field";
  if (element.closest("input, button, a, summary, [role=listbox]")) return "control";
  return element.closest("[role=log]") ? "list" : "page";
}
