/** How well the programme plays, from what the page counts. Pure. */

/** Counts since the player began. */
export interface Counts {
  /** On a clock that never goes back, in milliseconds. */
  readonly at: number;
  /** Pictures decoded, and those of them that were not shown. */
  readonly frames: number;
  readonly dropped: number;
  /** Bytes that came; undefined where the browser fetches them by itself. */
  readonly bytes: number | undefined;
}

export interface Quality {
  /** Pictures shown a second. */
  readonly fps: number;
  readonly kbps: number | undefined;
  readonly dropped: number;
  readonly frames: number;
}

/** What is told is the mean of so long, in milliseconds. */
const WINDOW = 4000;
/** Shorter tells nothing. */
const LEAST = 500;

/** See the module. */
export class QualityMeter {
  #counts: Counts[] = [];

  add(counts: Counts): void {
    const last = this.#counts.at(-1);
    // The element counts anew when it is given a new source.
    if (last && (counts.frames < last.frames || counts.at < last.at)) this.#counts = [];
    this.#counts.push(counts);
    const edge = counts.at - WINDOW;
    while (this.#counts.length > 2 && (this.#counts[1]?.at ?? Infinity) <= edge) this.#counts.shift();
  }

  read(): Quality | undefined {
    const [first, last] = [this.#counts[0], this.#counts.at(-1)];
    if (!first || !last || last.at - first.at < LEAST) return undefined;
    const seconds = (last.at - first.at) / 1000;
    const shown = last.frames - first.frames - (last.dropped - first.dropped);
    const bytes =
      last.bytes !== undefined && first.bytes !== undefined ? last.bytes - first.bytes : undefined;
    return {
      fps: Math.max(0, shown) / seconds,
      kbps: bytes === undefined ? undefined : (bytes * 8) / 1000 / seconds,
      dropped: last.dropped,
      frames: last.frames,
    };
  }
}
