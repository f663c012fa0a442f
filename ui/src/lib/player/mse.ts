/**
 * The loop around the player's state machine: a media element, a media source, and a clock. It decides
 * nothing.
 */
import { type Action, type Media, PlayerMachine, type Status, TUNING, WEBKIT_TUNING } from "./machine";
import { mediaSourceClass } from "./source";

/** What the player tells its owner. */
export interface PlayerEvents {
  /** Something about it changed: ask for `status`. */
  changed(): void;
  /** It needs the programme from its newest key frame. */
  reconnect(): void;
  /** The browser refused to begin with sound; it plays muted. */
  soundRefused(): void;
}

const TICK = 100;
/** What was measured is that old at most, in milliseconds. */
const FRESH = 15;

/** WebKit says so, and Chromium says it too, but names itself besides. */
function isWebKit(): boolean {
  return /AppleWebKit/.test(navigator.userAgent) && !/Chrom(e|ium)\//.test(navigator.userAgent);
}

/** Plays what it is fed on a media element. */
export class Player {
  readonly #video: HTMLVideoElement;
  readonly #events: PlayerEvents;
  readonly #machine = new PlayerMachine(isWebKit() ? WEBKIT_TUNING : TUNING);
  #source: MediaSource | undefined;
  #buffer: SourceBuffer | undefined;
  #url = "";
  /** What the source is to hold, from when that is known. */
  #mime: string | undefined;
  #timer: ReturnType<typeof setInterval>;
  #wake: ReturnType<typeof setTimeout> | undefined;
  /** When that is. */
  #wakeAt = Infinity;
  #sampledAt = -Infinity;
  #status: Status = "waiting";
  #abort = new AbortController();

  constructor(video: HTMLVideoElement, events: PlayerEvents) {
    this.#video = video;
    this.#events = events;
    this.#timer = setInterval(() => this.#tick(), TICK);
    // Opening takes the browser a moment, which the first bytes need not wait for.
    this.#attach();
    const { signal } = this.#abort;
    for (const type of ["waiting", "playing", "stalled", "seeked", "pause", "play"]) {
      video.addEventListener(type, () => this.#tick(), { signal });
    }
    video.addEventListener(
      "error",
      () => {
        if (!this.#source) return;
        this.#machine.failed("broken", this.#measure(), performance.now());
        this.#pump();
      },
      { signal },
    );
    document.addEventListener(
      "visibilitychange",
      () => {
        if (document.hidden) return;
        this.#machine.shown(this.#measure(), performance.now());
        this.#pump();
      },
      { signal },
    );
  }

  get status(): Status {
    return this.#status;
  }

  /** The wall clock of the picture that is shown, in milliseconds since 1970, where it is known. */
  get shownWallMs(): number | undefined {
    return this.#status === "playing" ? this.#machine.wallAt(this.#video.currentTime) : undefined;
  }

  /** Media ahead of the playhead, in seconds. */
  get ahead(): number {
    return this.#machine.ahead(this.#measure());
  }

  connected(): void {
    this.#machine.connected();
  }

  data(bytes: ArrayBuffer): void {
    const now = performance.now();
    // In the burst of a join many come at once, and nothing that is measured changes meanwhile.
    if (now - this.#sampledAt > FRESH) this.#sample(now);
    this.#machine.message(new Uint8Array(bytes), now);
    this.#pump();
  }

  pause(): void {
    this.#machine.pause();
    this.#pump();
  }

  resume(): void {
    this.#machine.resume(this.#measure(), performance.now());
    this.#pump();
  }

  destroy(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#wake);
    this.#abort.abort();
    this.#close();
  }

  #tick(): void {
    this.#sample(performance.now());
    this.#pump();
  }

  #sample(now: number): void {
    this.#sampledAt = now;
    this.#machine.sample(this.#measure(), now);
  }

  #measure(): Media {
    const video = this.#video;
    const ranges: { start: number; end: number }[] = [];
    if (this.#buffer && this.#source?.readyState === "open") {
      try {
        const b = this.#buffer.buffered;
        for (let i = 0; i < b.length; i++) ranges.push({ start: b.start(i), end: b.end(i) });
      } catch {
        // The buffer was taken from its source by an error: nothing is buffered.
      }
    }
    return {
      currentTime: video.currentTime,
      ranges,
      readyState: video.readyState,
      paused: video.paused,
      seeking: video.seeking,
    };
  }

  #pump(): void {
    for (let action = this.#machine.poll(); action; action = this.#machine.poll()) this.#perform(action);
    this.#wakeBy(this.#machine.wakeAt);
    const status = this.#machine.status;
    if (status !== this.#status) {
      this.#status = status;
      this.#events.changed();
    }
  }

  /** Looks again at that time. A timer that is earlier stays: it will find the new time. */
  #wakeBy(at: number | undefined): void {
    if (at === undefined || this.#wakeAt <= at) return;
    clearTimeout(this.#wake);
    this.#wakeAt = at;
    this.#wake = setTimeout(
      () => {
        this.#wakeAt = Infinity;
        this.#tick();
      },
      Math.max(4, at - performance.now() + 1),
    );
  }

  #perform(action: Action): void {
    switch (action.do) {
      case "open":
        this.#openSource(action.mime);
        break;
      case "append":
        this.#step((b) => b.appendBuffer(action.bytes as Uint8Array<ArrayBuffer>));
        break;
      case "change-type":
        // Not a step of its own: it is over at once.
        try {
          this.#buffer?.changeType(action.mime);
        } catch {
          // The new init segment decides: engines that refuse the call may take the segment.
        }
        break;
      case "remove":
        this.#step((b) => b.remove(action.start, action.end));
        break;
      case "seek":
        this.#video.currentTime = action.to;
        break;
      case "rate":
        this.#video.playbackRate = action.rate;
        break;
      case "play":
        this.#play();
        break;
      case "pause":
        this.#video.pause();
        break;
      case "close":
        this.#close();
        break;
      case "reconnect":
        this.#events.reconnect();
        break;
    }
  }

  #fail(error: unknown): void {
    const quota = error instanceof DOMException && error.name === "QuotaExceededError";
    this.#machine.failed(quota ? "quota" : "broken", this.#measure(), performance.now());
  }

  #step(run: (buffer: SourceBuffer) => void): void {
    if (!this.#buffer) {
      this.#machine.done();
      return;
    }
    try {
      run(this.#buffer);
    } catch (error) {
      this.#fail(error);
    }
  }

  #attach(): void {
    const Source = mediaSourceClass();
    if (!Source) return;
    const source = new Source();
    this.#source = source;
    this.#url = URL.createObjectURL(source);
    this.#video.disableRemotePlayback = true;
    this.#video.src = this.#url;
    source.addEventListener(
      "sourceopen",
      () => {
        if (this.#source !== source || this.#mime === undefined) return;
        this.#addBuffer(source, this.#mime);
        this.#pump();
      },
      { once: true },
    );
  }

  #openSource(mime: string): void {
    if (!mediaSourceClass()?.isTypeSupported(mime)) {
      this.#machine.failed("unsupported", this.#measure(), performance.now());
      return;
    }
    if (!this.#source) this.#attach();
    this.#mime = mime;
    if (this.#source?.readyState === "open") this.#addBuffer(this.#source, mime);
  }

  #addBuffer(source: MediaSource, mime: string): void {
    try {
      const buffer = source.addSourceBuffer(mime);
      this.#buffer = buffer;
      buffer.addEventListener("updateend", () => {
        if (this.#buffer !== buffer) return;
        this.#machine.done();
        this.#tick();
      });
      this.#machine.done();
    } catch (error) {
      this.#fail(error);
    }
  }

  #close(): void {
    this.#buffer = undefined;
    this.#source = undefined;
    this.#mime = undefined;
    this.#video.removeAttribute("src");
    this.#video.load();
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = "";
  }

  #play(): void {
    this.#video.play().catch((error: unknown) => {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError" || this.#video.muted) return;
      this.#video.muted = true;
      this.#events.soundRefused();
      this.#video.play().catch(() => {
        // Refused even without sound: the play button stays.
        this.#machine.pause();
        this.#pump();
      });
    });
  }
}
