/** How an overlay is set up: by its address alone, which is all that OBS keeps of it. */
import type { Language } from "../i18n/language";

/** What it can show. */
export const PARTS = ["danmaku", "viewers", "away", "ballot"] as const;
export type Part = (typeof PARTS)[number];

/** Bounds of the size of letters, in pixels. */
export const SIZE = { min: 10, max: 96 } as const;
/** Longest time that a comment can stay, in seconds, and how long it stays if nothing is said. */
export const KEEP = { max: 3600, usual: 45 } as const;

export interface OverlayOptions {
  /** Undefined: the browser's. */
  readonly language: Language | undefined;
  /** In pixels; undefined: as large as fits the picture. */
  readonly size: number | undefined;
  readonly side: "left" | "right";
  readonly at: "top" | "bottom";
  /** In seconds; 0: until newer ones need its place. */
  readonly keep: number;
  readonly hidden: ReadonlySet<Part>;
}

function within(text: string | null, min: number, max: number): number | undefined {
  if (text === null || !/^\d{1,6}$/.test(text)) return undefined;
  return Math.min(max, Math.max(min, Number(text)));
}

function languageIn(text: string | null): Language | undefined {
  if (text === null) return undefined;
  if (/^zh\b/i.test(text)) return "zh-CN";
  return /^en\b/i.test(text) ? "en" : undefined;
}

/** What the query of an address says; what cannot be read is as if it were not said. */
export function readOptions(query: string): OverlayOptions {
  const said = new URLSearchParams(query);
  const hide = (said.get("hide") ?? "").split(/[\s,]+/);
  return {
    language: languageIn(said.get("lang")),
    size: within(said.get("size"), SIZE.min, SIZE.max),
    side: said.get("side") === "right" ? "right" : "left",
    at: said.get("at") === "top" ? "top" : "bottom",
    keep: within(said.get("keep"), 0, KEEP.max) ?? KEEP.usual,
    hidden: new Set(PARTS.filter((part) => hide.includes(part))),
  };
}

/** Which room, and the key to it; undefined: this is no address of an overlay. */
export function readAddress(path: string, hash: string): { room: string; key: string } | undefined {
  const room = /^\/overlay\/([a-z0-9-]{4,32})\/?$/.exec(path)?.[1];
  const key = /^#([\w-]{20,64})$/.exec(hash)?.[1];
  return room === undefined || key === undefined ? undefined : { room, key };
}

/** The address of an overlay. The key is after the #: a browser keeps that to itself. */
export const overlayPath = (room: string, key: string): string => `/overlay/${room}#${key}`;
