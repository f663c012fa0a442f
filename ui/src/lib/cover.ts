/** When a room's cover is asked for again. */

/** While there is one, in milliseconds: the server makes no newer one within half a minute. */
const EVERY = 45_000;
/** While there is none: the first key frame of a stream is not far. */
const FIRST = 3000;

/** How long to wait, in milliseconds. `bytes`: of the last answer, if one came; `failures`: answers without a picture. */
export function pause(bytes: number | undefined, failures: number): number {
  if (bytes !== undefined && bytes > 0) return EVERY;
  return Math.min(EVERY, FIRST * 2 ** Math.min(failures, 10));
}
