/** What a person set on this computer, as it is kept. */
import { type Area, AREAS, OPACITY, SIZE, SPEED } from "./room/flight";

export type Theme = "system" | "dark" | "light";

export interface Saved {
  theme: Theme;
  volume: number;
  muted: boolean;
  danmaku: boolean;
  /** Of comments over the picture; size and speed as factors. */
  opacity: number;
  size: number;
  speed: number;
  area: Area;
  /** Single keys do things in a room. */
  shortcuts: boolean;
  /** Leaving from a browser, the sound goes on. */
  keepSound: boolean;
  /** To be told of followed streamers who go live; null: never decided. */
  notify: boolean | null;
}

const DEFAULTS: Saved = {
  theme: "system",
  volume: 1,
  muted: false,
  danmaku: true,
  opacity: 1,
  size: 1,
  speed: 1,
  area: "whole",
  shortcuts: true,
  keepSound: false,
  notify: null,
};

/** How comments fly unless somebody wants it otherwise. */
export const FLIGHT: Pick<Saved, "danmaku" | "opacity" | "size" | "speed" | "area"> = {
  danmaku: DEFAULTS.danmaku,
  opacity: DEFAULTS.opacity,
  size: DEFAULTS.size,
  speed: DEFAULTS.speed,
  area: DEFAULTS.area,
};

interface Bounds {
  readonly min: number;
  readonly max: number;
}

function within(value: unknown, { min, max }: Bounds, otherwise: number): number {
  return typeof value === "number" && value >= min && value <= max ? value : otherwise;
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
    volume: within(raw["volume"], { min: 0, max: 1 }, DEFAULTS.volume),
    muted: raw["muted"] === true,
    danmaku: raw["danmaku"] !== false,
    opacity: within(raw["opacity"], OPACITY, DEFAULTS.opacity),
    size: within(raw["size"], SIZE, DEFAULTS.size),
    speed: within(raw["speed"], SPEED, DEFAULTS.speed),
    area: AREAS.find((area) => area === raw["area"]) ?? DEFAULTS.area,
    shortcuts: raw["shortcuts"] !== false,
    keepSound: raw["keepSound"] === true,
    notify: typeof raw["notify"] === "boolean" ? raw["notify"] : DEFAULTS.notify,
  };
}
