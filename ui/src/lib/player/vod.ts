/**
 * Plays a recording: fetches the segments that are needed next and feeds them to the browser's media source. What is
 * left out (`spans`) is not fetched at all, and what follows is moved up, so there is no seam to see.
 */
import type { ReplaySpan } from "../generated/protocol";
import { readInit } from "./boxes";
import { mediaSourceClass } from "./source";
import { lengthOf, parse, type Piece, pieceAt, pieces } from "./vodlist";

/** Seconds that are fetched ahead. */
const AHEAD = 30;
/** Seconds that are kept behind. */
const BEHIND = 30;
/** A hole of so many seconds is stepped over. */
const HOLE = 0.5;
const TICK = 250;
/** Attempts for a segment, and how long to wait between them, in milliseconds. */
const RETRIES = [500, 1500, 4000];

export type VodStatus = "loading" | "ready" | "failed";

/** What the player tells its owner. */
export interface VodEvents {
  changed(): void;
}

/** Plays a recording on a media element. */
export class VodPlayer {
  readonly #video: HTMLVideoElement;
  readonly #events: VodEvents;
  readonly #abort = new AbortController();
  readonly #inits = new Map<string, ArrayBuffer>();
  #pieces: Piece[] = [];
  #source: MediaSource | undefined;
  #buffer: SourceBuffer | undefined;
  #url = "";
  #next = 0;
  #map: string | undefined;
  #mime = "";
  #ahead = AHEAD;
  #busy = false;
  #over = false;
  #timer: ReturnType<typeof setInterval> | undefined;
  #status: VodStatus = "loading";
  #problem: unknown;
  length = 0;

  constructor(
    video: HTMLVideoElement,
    playlist: string,
    spans: readonly ReplaySpan[] | null,
    events: VodEvents,
  ) {
    this.#video = video;
    this.#events = events;
    void this.#open(playlist, spans).catch((error: unknown) => this.#fail(error));
  }

  get status(): VodStatus {
    return this.#status;
  }

  /** Why it failed. */
  get problem(): unknown {
    return this.#problem;
  }

  #set(status: VodStatus): void {
    if (this.#over || this.#status === status) return;
    this.#status = status;
    this.#events.changed();
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#problem = error;
    this.#set("failed");
  }

  async #fetch(url: string): Promise<Response> {
    for (let attempt = 0; ; attempt++) {
      try {
        const response = await fetch(url, { signal: this.#abort.signal });
        if (response.ok) return response;
        // What is gone does not come back.
        if (response.status < 500)
          throw new RangeError(`${String(response.status)} for a piece of the recording`);
      } catch (error) {
        if (this.#over || error instanceof RangeError) throw error;
      }
      const pause = RETRIES[attempt];
      if (pause === undefined) throw new Error("The recording could not be fetched.");
      await new Promise((done) => setTimeout(done, pause));
    }
  }

  async #init(map: string): Promise<ArrayBuffer> {
    const known = this.#inits.get(map);
    if (known) return known;
    const bytes = await (await this.#fetch(map)).arrayBuffer();
    this.#inits.set(map, bytes);
    return bytes;
  }

  async #open(playlist: string, spans: readonly ReplaySpan[] | null): Promise<void> {
    const base = new URL(playlist, location.href).href;
    const text = await (await this.#fetch(base)).text();
    this.#pieces = pieces(parse(text, base), spans);
    this.length = lengthOf(this.#pieces);
    const first = this.#pieces[0];
    const Source = mediaSourceClass();
    if (!first || !Source) throw new Error("There is nothing to play.");
    const init = readInit(new Uint8Array(await this.#init(first.map)));
    if (!init || this.#over) throw new Error("The recording is not understood.");
    const source = new Source();
    this.#source = source;
    this.#url = URL.createObjectURL(source);
    // Safari's managed source plays only where it knows that nothing is played elsewhere.
    this.#video.disableRemotePlayback = true;
    this.#video.src = this.#url;
    await new Promise<void>((done) => {
      source.addEventListener("sourceopen", () => done(), { once: true });
    });
    if (this.#isOver()) return;
    URL.revokeObjectURL(this.#url);
    source.duration = this.length;
    this.#mime = init.mime;
    this.#buffer = source.addSourceBuffer(init.mime);
    this.#timer = setInterval(() => this.#pump(), TICK);
    const { signal } = this.#abort;
    this.#video.addEventListener("seeking", () => this.#seeking(), { signal });
    this.#video.addEventListener("waiting", () => this.#nudge(), { signal });
    this.#video.addEventListener("error", () => this.#fail(this.#video.error), { signal });
    this.#set("ready");
    this.#pump();
  }

  #isOver(): boolean {
    return this.#over;
  }

  /** How far it is buffered from a time on without a hole that matters. */
  #bufferedTo(time: number): number {
    const ranges = this.#buffer?.buffered;
    let to = time;
    for (let i = 0; i < (ranges?.length ?? 0); i++) {
      const [start, end] = [ranges?.start(i) ?? 0, ranges?.end(i) ?? 0];
      if (start <= to + HOLE && end > to) to = end;
    }
    return to;
  }

  #seeking(): void {
    const time = this.#video.currentTime;
    const to = this.#bufferedTo(time);
    // The middle of a frame past the end of what is there is the piece that comes next.
    this.#next = pieceAt(this.#pieces, to > time ? to + 0.01 : time);
    this.#pump();
  }

  #pump(): void {
    if (this.#busy || this.#over) return;
    this.#nudge();
    const piece = this.#pieces[this.#next];
    if (!piece || piece.at > this.#video.currentTime + this.#ahead) return;
    this.#busy = true;
    this.#append(piece)
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#busy = false;
        if (this.#status !== "failed") this.#pump();
      });
  }

  /** Media begins a little after 0 where pictures are shown later than they are decoded. */
  #nudge(): void {
    const { currentTime, readyState } = this.#video;
    if (readyState >= 3) return;
    const ranges = this.#video.buffered;
    for (let i = 0; i < ranges.length; i++) {
      const start = ranges.start(i);
      if (start > currentTime && start - currentTime < HOLE) {
        this.#video.currentTime = start;
        return;
      }
    }
  }

  async #append(piece: Piece): Promise<void> {
    const number = this.#next;
    const [init, media] = await Promise.all([this.#init(piece.map), this.#fetch(piece.url)]);
    const bytes = await media.arrayBuffer();
    // Somewhere else is wanted by now.
    if (this.#over || number !== this.#next) return;
    const buffer = this.#buffer;
    if (!buffer) return;
    await this.#forget();
    if (this.#map !== piece.map) {
      const mime = readInit(new Uint8Array(init))?.mime;
      if (mime !== undefined && mime !== this.#mime) {
        buffer.changeType(mime);
        this.#mime = mime;
      }
      await this.#put(init);
      this.#map = piece.map;
    }
    const offset = piece.at - piece.start;
    if (Math.abs(buffer.timestampOffset - offset) > 1e-6) buffer.timestampOffset = offset;
    try {
      await this.#put(bytes);
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "QuotaExceededError" || this.#ahead < 5)
        throw error;
      // The browser takes no more: it is fed less from now on.
      this.#ahead /= 2;
      return;
    }
    if (number !== this.#next) return;
    this.#next += 1;
    if (this.#next === this.#pieces.length && this.#source?.readyState === "open") this.#source.endOfStream();
  }

  #put(bytes: ArrayBuffer): Promise<void> {
    return this.#settled((buffer) => buffer.appendBuffer(bytes));
  }

  /** Removes what was played long ago. */
  async #forget(): Promise<void> {
    const until = this.#video.currentTime - BEHIND;
    const start = this.#buffer?.buffered.length ? this.#buffer.buffered.start(0) : 0;
    if (until - start > BEHIND / 2) await this.#settled((buffer) => buffer.remove(0, until));
  }

  #settled(act: (buffer: SourceBuffer) => void): Promise<void> {
    const buffer = this.#buffer;
    if (!buffer || this.#over) return Promise.resolve();
    return new Promise((done, failed) => {
      const listening = new AbortController();
      const { signal } = listening;
      buffer.addEventListener("updateend", () => (listening.abort(), done()), { signal });
      buffer.addEventListener(
        "error",
        () => (listening.abort(), failed(new Error("The browser refused the media."))),
        {
          signal,
        },
      );
      try {
        act(buffer);
      } catch (error) {
        listening.abort();
        failed(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  destroy(): void {
    this.#over = true;
    clearInterval(this.#timer);
    this.#abort.abort();
    this.#video.removeAttribute("src");
    this.#video.load();
  }
}
