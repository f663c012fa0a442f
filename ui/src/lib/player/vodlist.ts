/**
 * The playlist of a recording (HLS, RFC 8216) as the player uses it, and what of it is played where. Only what our
 * server writes is understood: one rendition, fragmented MP4, a map before the first segment.
 */
import type { ReplaySpan } from "../generated/protocol";

/** A segment of a playlist; times in seconds. */
export interface Segment {
  readonly url: string;
  /** Address of its init segment. */
  readonly map: string;
  /** Where it begins in the playlist, which is also the time that its media carries. */
  readonly start: number;
  readonly duration: number;
}

/** A segment that is played. */
export interface Piece extends Segment {
  /** Where it begins in what is played. */
  readonly at: number;
}

const attribute = (line: string, name: string): string | undefined =>
  new RegExp(`${name}="([^"]*)"`).exec(line)?.[1];

/** The segments of a playlist that was fetched from `base`. Lines that are not understood are passed over. */
export function parse(text: string, base: string): Segment[] {
  const segments: Segment[] = [];
  let map: string | undefined;
  let duration: number | undefined;
  let start = 0;
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (line.startsWith("#EXT-X-MAP:")) {
      const uri = attribute(line, "URI");
      map = uri === undefined ? undefined : new URL(uri, base).href;
    } else if (line.startsWith("#EXTINF:")) {
      const value = Number.parseFloat(line.slice("#EXTINF:".length));
      duration = Number.isFinite(value) && value >= 0 ? value : undefined;
    } else if (line !== "" && !line.startsWith("#") && duration !== undefined) {
      if (map !== undefined) segments.push({ url: new URL(line, base).href, map, start, duration });
      start += duration;
      duration = undefined;
    }
  }
  return segments;
}

/** What is played: everything, or the segments in these stretches of the playlist, one after the other. */
export function pieces(segments: readonly Segment[], spans: readonly ReplaySpan[] | null): Piece[] {
  let at = 0;
  const found: Piece[] = [];
  for (const segment of segments) {
    // Stretches end where segments end; the middle is on the right side of every rounding.
    const middle = (segment.start + segment.duration / 2) * 1000;
    if (spans !== null && !spans.some((s) => s.from_ms <= middle && middle < s.to_ms)) continue;
    found.push({ ...segment, at });
    at += segment.duration;
  }
  return found;
}

/** The piece that is played at a time: the last one that begins by then. */
export function pieceAt(all: readonly Piece[], time: number): number {
  let low = 0;
  let high = all.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((all[middle]?.at ?? Infinity) <= time) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** How long it all is. */
export function lengthOf(all: readonly Piece[]): number {
  const last = all.at(-1);
  return last ? last.at + last.duration : 0;
}
