/**
 * Whether the list of comments follows the newest or stands still for somebody who reads. Pure; the list
 * measures itself and does what comes out.
 */
import type { Line } from "./model";

/** How a list is scrolled, in pixels. */
export interface Place {
  readonly top: number;
  readonly height: number;
  readonly view: number;
}

/** So near to its end it counts as being there. */
const NEAR = 24;

const rest = (place: Place): number => place.height - place.top - place.view;

/**
 * Whether it stands still after a scroll from `before` to `place`. Only a person scrolls up: a list that
 * shrank was moved to its very end.
 */
export function standsStill(still: boolean, before: number, place: Place): boolean {
  if (place.top < before) return rest(place) > 1;
  return still && rest(place) >= NEAR;
}

/** Whether somebody begins to scroll up, before the list has moved: comments that come meanwhile must not win. */
export function pullsUp(place: Place, up: number): boolean {
  return up > 0 && place.top > 0 && place.height > place.view;
}

/** These keys scroll a list up. */
export const UP_KEYS: ReadonlySet<string> = new Set(["ArrowUp", "PageUp", "Home"]);

/** What is shown while it stands still. */
export interface Held {
  readonly lines: readonly Line[];
  readonly keys: ReadonlySet<string>;
}

export function hold(lines: readonly Line[]): Held {
  return { lines, keys: new Set(lines.map((l) => l.key)) };
}

/** The held lines as they are by now: what was on its way has arrived, or was refused. */
export function heldLines(held: Held, now: readonly Line[]): readonly Line[] {
  if (!held.lines.some((l) => l.kind === "danmaku" && l.pending)) return held.lines;
  const taken = new Set<string>();
  return held.lines.flatMap((line) => {
    if (line.kind !== "danmaku" || !line.pending) return [line];
    const same = now.find(
      (l) =>
        l.key === line.key ||
        (l.kind === "danmaku" &&
          l.own &&
          !l.pending &&
          l.text === line.text &&
          !held.keys.has(l.key) &&
          !taken.has(l.key)),
    );
    if (same) taken.add(same.key);
    return same ? [same] : [];
  });
}

/** How many comments of others wait below what is held; `more`: at least so many, the oldest are gone. */
export function waiting(held: Held, now: readonly Line[]): { readonly n: number; readonly more: boolean } {
  let n = 0;
  let met = held.keys.size === 0;
  for (const line of now) {
    if (held.keys.has(line.key)) met = true;
    else if (line.kind === "danmaku" && !line.own) n += 1;
  }
  return { n, more: !met && n > 0 };
}

/** Somebody who writes wants to see it. */
export function wrote(held: Held, now: readonly Line[]): boolean {
  return now.some((l) => l.kind === "danmaku" && l.own && l.pending && !held.keys.has(l.key));
}
