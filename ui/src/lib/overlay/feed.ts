/** Which comments an overlay shows, and for how long. Pure; times are milliseconds of the server's clock. */
import type { Line } from "../room/model";

export type Comment = Extract<Line, { kind: "danmaku" }>;

/** Most comments at a time: what is above them is out of the picture. */
export const MOST = 24;

/** The comments that are shown, oldest first. `keep`: how long one stays; 0: for as long as there is a place. */
export function shown(lines: readonly Line[], now: number, keep: number): Comment[] {
  const comments = lines.slice(-4 * MOST).filter((l): l is Comment => l.kind === "danmaku");
  return comments.filter((c) => keep === 0 || c.at + keep > now).slice(-MOST);
}

/** When the first of these goes; undefined: none does by itself. */
export function nextEnd(comments: readonly Comment[], keep: number): number | undefined {
  if (keep === 0 || comments.length === 0) return undefined;
  return Math.min(...comments.map((c) => c.at + keep));
}

/** A colour that cannot be told from the dark edge that letters have. */
export function isDark(color: string): boolean {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16) / 255);
  return 0.2126 * (r ?? 1) + 0.7152 * (g ?? 1) + 0.0722 * (b ?? 1) < 0.25;
}
