/**
 * The player where there are no media source extensions (older iPhones): the element plays HLS by itself. It has the
 * face of the other player, and starts again by itself when the stream was lost.
 */
import { backoff } from "../room/backoff";
import type { Status } from "./machine";
import type { PlayerEvents } from "./mse";

interface WithStartDate {
  getStartDate?(): Date;
}

/** A picture that does not come in so many milliseconds is worth a new attempt. */
const PATIENCE = 12_000;

/** See the module. */
export class NativePlayer {
  readonly #video: HTMLVideoElement;
  readonly #url: string;
  readonly #events: PlayerEvents;
  readonly #abort = new AbortController();
  #status: Status = "waiting";
  #failures = 0;
  #again: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setTimeout> | undefined;

  constructor(video: HTMLVideoElement, url: string, events: PlayerEvents) {
    this.#video = video;
    this.#url = url;
    this.#events = events;
    const { signal } = this.#abort;
    const on = (type: string, act: () => void): void => video.addEventListener(type, act, { signal });
    on("playing", () => {
      this.#failures = 0;
      clearTimeout(this.#watch);
      this.#set("playing");
    });
    on("waiting", () => {
      if (this.#status === "playing") this.#set("stalled");
      this.#look();
    });
    // The end of this stream may be the beginning of the next one.
    on("ended", () => this.#lost());
    on("error", () => this.#lost());
    this.#start();
  }

  get status(): Status {
    return this.#status;
  }

  /** The wall clock of the picture that is shown, where the browser tells it. */
  get shownWallMs(): number | undefined {
    const start = (this.#video as WithStartDate).getStartDate?.().getTime();
    const known = start !== undefined && Number.isFinite(start) && this.#status === "playing";
    return known ? start + this.#video.currentTime * 1000 : undefined;
  }

  #set(status: Status): void {
    if (this.#status === status) return;
    this.#status = status;
    this.#events.changed();
  }

  #start(): void {
    this.#video.src = this.#url;
    this.#video.play().catch((error: unknown) => {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError" || this.#video.muted) return;
      this.#video.muted = true;
      this.#events.soundRefused();
      void this.#video.play().catch(() => undefined);
    });
    this.#look();
  }

  #look(): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#lost(), PATIENCE);
  }

  #lost(): void {
    if (this.#status === "paused") return;
    clearTimeout(this.#watch);
    clearTimeout(this.#again);
    this.#set(this.#status === "waiting" ? "waiting" : "stalled");
    this.#again = setTimeout(() => this.#start(), backoff(this.#failures, Math.random()));
    this.#failures += 1;
  }

  pause(): void {
    clearTimeout(this.#again);
    clearTimeout(this.#watch);
    this.#set("paused");
    this.#video.pause();
  }

  /** What was missed is not played: it goes on with what is shown now. */
  resume(): void {
    this.#set("waiting");
    this.#start();
  }

  destroy(): void {
    this.#abort.abort();
    clearTimeout(this.#again);
    clearTimeout(this.#watch);
    this.#video.removeAttribute("src");
    this.#video.load();
  }
}
