/** Danmaku of a recording by time. */
import type { ReplayDanmaku, ReplaySpan } from "./generated/protocol";

/** How many of these, in order, are played up to a time. */
export function startOf(danmaku: readonly ReplayDanmaku[], ms: number): number {
  let low = 0;
  let high = danmaku.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((danmaku[middle]?.played_ms ?? Infinity) <= ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** When something of the whole recording is played; what is left out is played when the next stretch is. */
export function playedAt(spans: readonly ReplaySpan[] | null, wholeMs: number): number {
  if (spans === null) return wholeMs;
  let end = 0;
  for (const span of spans) {
    if (wholeMs < span.from_ms) return span.played_ms;
    if (wholeMs < span.to_ms) return span.played_ms + wholeMs - span.from_ms;
    end = span.played_ms + span.to_ms - span.from_ms;
  }
  return end;
}

/** What of the whole recording is played at a time. */
export function wholeAt(spans: readonly ReplaySpan[] | null, playedMs: number): number {
  if (spans === null) return playedMs;
  let last = 0;
  for (const span of spans) {
    const length = span.to_ms - span.from_ms;
    if (playedMs < span.played_ms + length) return span.from_ms + Math.max(0, playedMs - span.played_ms);
    last = span.to_ms;
  }
  return last;
}

/** Where playing must go on when the whole recording stands at a time that is left out; nothing: it may go on. */
export function skipTo(spans: readonly ReplaySpan[], wholeMs: number): number | undefined {
  for (const span of spans) {
    if (wholeMs < span.from_ms) return span.from_ms;
    if (wholeMs < span.to_ms) return undefined;
  }
  return undefined;
}
