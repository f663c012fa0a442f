/** The library of flying comments keeps all that it was given, for films in which people go back. An evening does not. */

/** What it knows of them; its types do not tell. */
export interface Given {
  readonly comments: unknown[];
  readonly _: {
    /** So many have set out. */
    position: number;
    /** Those that fly. */
    readonly runningList: readonly unknown[];
  };
}

/** So many may be kept that have set out. */
export const KEPT_MAX = 500;

/** Nothing flies, and nothing is about to. */
export function isEmpty(given: Given): boolean {
  return given._.runningList.length === 0 && given._.position >= given.comments.length;
}

/** Lets go of those that have set out; what flies is listed elsewhere. Between two pictures only. */
export function letGo(given: Given): void {
  if (given._.position < KEPT_MAX) return;
  given.comments.splice(0, given._.position);
  given._.position = 0;
}
