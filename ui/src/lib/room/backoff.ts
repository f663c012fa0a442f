/** When to try again: jittered, doubling, capped. */

/** Milliseconds. */
export interface BackoffOptions {
  readonly first: number;
  readonly max: number;
}

/** For connections of a person who waits. */
export const BACKOFF: BackoffOptions = { first: 300, max: 8000 };

/**
 * How long to wait before the attempt after `failures` failures, in milliseconds.
 *
 * `random` is in [0, 1): half of the wait is fixed, half is chance, so that a thousand viewers who lost one
 * server do not return in one moment.
 */
export function backoff(failures: number, random: number, options: BackoffOptions = BACKOFF): number {
  const full = Math.min(options.max, options.first * 2 ** Math.min(failures, 20));
  return full / 2 + (full / 2) * random;
}
