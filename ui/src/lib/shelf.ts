/** Placeholders without words or a screen: names of files, times to be back at, when to look again. */
import { PLACEHOLDER_NAME_MAX, type ShelfView } from "./generated/protocol";

/** Minutes that are offered. */
export const BACK_IN: readonly number[] = [5, 10, 15, 30];
const MINUTE = 60_000;
/** Furthest that one may say. */
const BACK_AT_MAX = 24 * 60 * MINUTE;
/** While one is being made ready, the shelf is looked at this often; and while one waits to be judged. */
const MAKING = 1000;
const WAITING = 15_000;
/** While one is on its way to the server; and while that cannot be reached. */
const SENDING = 1000;
const OFFLINE = 3000;

/** One that is about to go on the shelf. */
export interface Draft {
  readonly file: File | undefined;
  readonly name: string;
  readonly keywords: readonly string[];
  readonly text: string;
  /** Sound in place of the file's own. */
  readonly sound: File | undefined;
}

/** What an upload says of itself, as a query. */
export function saysOfItself(draft: Pick<Draft, "name" | "keywords" | "text">): string {
  const { name, keywords, text } = draft;
  return Object.entries({ name, keywords: keywords.join(","), text })
    .filter(([, value]) => value !== "")
    .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
    .join("&");
}

/** A name for a file: without its ending, and no longer than a name may be. */
export function nameOfFile(file: string): string {
  const bare = file.replace(/\.[A-Za-z0-9]{1,5}$/, "").trim() || file;
  return [...bare].slice(0, PLACEHOLDER_NAME_MAX).join("");
}

/** How long after so many failures a picture is asked for again, in milliseconds; undefined: not by itself any more. */
export function askAgain(failures: number): number | undefined {
  return failures < 6 ? 2000 * 2 ** failures : undefined;
}

/** In how many milliseconds the shelf may be another; undefined: not by itself. */
export function lookAgain(shelf: ShelfView): number | undefined {
  const is = (state: string): boolean => shelf.placeholders.some((p) => p.state.state === state);
  const waits = shelf.placeholders.flatMap((p) => (p.mirror?.state === "waiting" ? [p.mirror] : []));
  if (waits.length > 0) return waits.some((m) => m.error === undefined) ? SENDING : OFFLINE;
  return is("checking") ? MAKING : is("waiting") ? WAITING : undefined;
}

/** Those that can be shown, one's own first. */
export function showable(shelf: ShelfView): string[] {
  const own = shelf.placeholders.filter((p) => p.state.state === "ready" || p.stands);
  return [...own, ...shelf.built_in].map((p) => p.id);
}

/** How long something is: `0:42`. */
export function length(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return `${String(Math.floor(seconds / 60))}:${String(seconds % 60).padStart(2, "0")}`;
}

/** When one is back who comes in so many minutes: on a whole minute, no earlier. */
export function backIn(minutes: number, now: number): number {
  return Math.ceil((now + minutes * MINUTE) / MINUTE) * MINUTE;
}

/** The next time that a clock shows this, `HH:MM` as a field gives it; undefined: that is no time. */
export function nextTime(clock: string, now: number): number | undefined {
  const parts = /^(\d{2}):(\d{2})/.exec(clock);
  if (!parts) return undefined;
  const at = new Date(now);
  at.setHours(Number(parts[1]), Number(parts[2]), 0, 0);
  if (at.getTime() <= now) at.setDate(at.getDate() + 1);
  const time = at.getTime();
  return time - now <= BACK_AT_MAX ? time : undefined;
}
