/** Which streams one is told of: each that begins while one waits for it, once. */
import type { RoomView } from "./generated/protocol";

/** Streams that are known by now, by their names, and when that was looked at last (milliseconds since 1970). */
export interface Known {
  /** The account that follows. */
  readonly who: string;
  readonly at: number;
  readonly streams: readonly string[];
}

/** Somebody who looks again after so long begins anew: what runs by then is no news. In milliseconds. */
export const FORGOTTEN = 5 * 60_000;
/** Most that is told at a time: who comes back to many streams needs no list of them. */
export const AT_ONCE = 3;

/** A stream by its room and its beginning. */
export function nameOf(room: RoomView): string {
  return `${room.id}@${String(room.live_since ?? room.stage_since)}`;
}

/** What is known from now on, and what is told. `live`: what is on air of what `who` follows. */
export function news(
  known: Known | undefined,
  who: string,
  live: readonly RoomView[],
  now: number,
): { known: Known; told: readonly RoomView[] } {
  const next: Known = { who, at: now, streams: live.map(nameOf) };
  const waited = known?.who === who && now - known.at < FORGOTTEN && now >= known.at;
  if (!waited) return { known: next, told: [] };
  const old = new Set(known.streams);
  return { known: next, told: live.filter((room) => !old.has(nameOf(room))).slice(0, AT_ONCE) };
}

/** What was kept; anything that does not fit is nothing. */
export function readKnown(text: string | null): Known | undefined {
  try {
    const raw: unknown = JSON.parse(text ?? "");
    if (typeof raw !== "object" || raw === null) return undefined;
    const { who, at, streams } = raw as Record<string, unknown>;
    if (typeof who !== "string" || typeof at !== "number" || !Array.isArray(streams)) return undefined;
    return streams.every((s) => typeof s === "string") ? { who, at, streams } : undefined;
  } catch {
    return undefined;
  }
}
