/** What a person set on this computer, as it is kept. */

export type Theme = "system" | "dark" | "light";

export interface Saved {
  theme: Theme;
  volume: number;
  muted: boolean;
  danmaku: boolean;
  opacity: number;
  /** Leaving from a browser, the sound goes on. */
  keepSound: boolean;
}

const DEFAULTS: Saved = {
  theme: "system",
  volume: 1,
  muted: false,
  danmaku: true,
  opacity: 1,
  keepSound: false,
};

function unit(value: unknown, otherwise: number): number {
  return typeof value === "number" && value >= 0 && value <= 1 ? value : otherwise;
}

/** Reads what was saved; anything that does not fit is the default. */
export function readPrefs(text: string | null): Saved {
  let raw: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(text ?? "{}");
    if (typeof parsed === "object" && parsed !== null) raw = parsed as Record<string, unknown>;
  } catch {
    // Not ours: the defaults.
  }
  return {
    theme: raw["theme"] === "dark" || raw["theme"] === "light" ? raw["theme"] : DEFAULTS.theme,
    volume: unit(raw["volume"], DEFAULTS.volume),
    muted: raw["muted"] === true,
    danmaku: raw["danmaku"] !== false,
    opacity: unit(raw["opacity"], DEFAULTS.opacity),
    keepSound: raw["keepSound"] === true,
  };
}
