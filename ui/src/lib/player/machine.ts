/**
 * What the player does, decided without a browser: bytes, measurements and the time go in, actions come
 * out. `mse.ts` is the thin loop around it.
 *
 * It keeps a small buffer ahead of the playhead and lives near the end of it: catches up by playing a
 * little faster, jumps only when seconds behind, takes old media away early, and keeps the media source
 * across reconnects whenever the timeline goes on.
 */
import { type Init, isInit, readFragment, readInit } from "./boxes";

/** Seconds, unless told otherwise. */
export interface Tuning {
  /** Least media ahead of the playhead that is aimed at, to begin with. */
  readonly target: number;
  /** The most that stalls can raise it to. */
  readonly targetMax: number;
  /** What a stall adds to it. */
  readonly stallStep: number;
  /** A time without a stall after which the target comes down by a step. */
  readonly calm: number;
  /** Fastest playback while catching up. */
  readonly rateMax: number;
  /**
   * Fastest playback in the moments after it began, jumped or stalled: it is behind by as long as that
   * took, and its sound was not there meanwhile anyway.
   */
  readonly rateSettling: number;
  /** How long these moments are. */
  readonly settling: number;
  /** Slowest playback while the buffer fills up again after a stall. */
  readonly rateMin: number;
  /** This far past the target it begins to catch up... */
  readonly catchUpAbove: number;
  /** ...by steps as fine as the distance, or by the fastest at once, where a change of speed is costly. */
  readonly fineSteps: boolean;
  /** This far past the target it jumps instead of playing faster. */
  readonly jump: number;
  /** Played media is taken away once there is more of it than this... */
  readonly backMax: number;
  /** ...down to this. */
  readonly backKeep: number;
  /**
   * A group longer than this is decoded for a while before its end is seen: its key frame is shown meanwhile. Infinity
   * where a seek costs too much.
   */
  readonly posterAbove: number;
  /** Bytes waiting to be appended; more means that appending does not work. */
  readonly queueMax: number;
}

/** Found by trying; `make bench` measures from glass to glass. */
export const TUNING: Tuning = {
  target: 0.12,
  targetMax: 0.5,
  stallStep: 0.1,
  calm: 20,
  rateMax: 1.1,
  rateSettling: 1.3,
  settling: 4,
  rateMin: 0.94,
  catchUpAbove: 0.06,
  fineSteps: true,
  jump: 2.5,
  backMax: 10,
  backKeep: 5,
  posterAbove: 0.4,
  queueMax: 24 * 1024 * 1024,
};

/**
 * For WebKitGTK, where a change of speed empties the pipeline (GStreamer's flushing seek) and costs more
 * than a small distance is worth.
 */
export const WEBKIT_TUNING: Tuning = {
  ...TUNING,
  target: 0.2,
  rateSettling: 1.1,
  rateMin: 1,
  catchUpAbove: 0.4,
  fineSteps: false,
  posterAbove: Infinity,
};

/** A stretch of the timeline that is buffered, in seconds. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** What the media element says of itself. */
export interface Media {
  readonly currentTime: number;
  readonly ranges: readonly Range[];
  readonly readyState: number;
  readonly paused: boolean;
  readonly seeking: boolean;
}

/** What is to be done now. */
export type Action =
  | { readonly do: "open"; readonly mime: string }
  | { readonly do: "append"; readonly bytes: Uint8Array }
  | { readonly do: "change-type"; readonly mime: string }
  | { readonly do: "remove"; readonly start: number; readonly end: number }
  | { readonly do: "seek"; readonly to: number }
  | { readonly do: "rate"; readonly rate: number }
  | { readonly do: "play" }
  | { readonly do: "pause" }
  /** Take the media source away; the next `open` makes a new one. */
  | { readonly do: "close" }
  /** Ask for the programme again, from its newest key frame. */
  | { readonly do: "reconnect" };

/** How a step failed. */
export type Failure = "quota" | "unsupported" | "broken";

/** What a person is told. */
export type Status = "waiting" | "playing" | "stalled" | "paused" | "failed";

type Step =
  | { readonly kind: "init"; readonly bytes: Uint8Array; readonly mime: string }
  | { readonly kind: "media"; readonly bytes: Uint8Array };

/** Bytes joined into one append: a burst of a hundred fragments is a few appends, not a hundred. */
const APPEND_MAX = 512 * 1024;
/** A join burst is over after this long without a message, in milliseconds... */
const BURST_QUIET = 20;
/** ...and at the latest after this. */
const BURST_MAX = 600;
/** The media source may take this long with what came before it is played from where it is, in milliseconds. */
const SLOW = 5000;
/** A page that was not looked at for so long had other work, and what came meanwhile waits for its turn, in milliseconds. */
const HELD_UP = 30;
/** Over so long it is seen whether media comes faster than it plays, in milliseconds... */
const PACED = 150;
/** ...which is so many times as fast: a page that is busy takes a burst in turns. */
const FASTER = 2;
/** The key frame is waited for this long before what follows is gone to without it, in milliseconds. */
const POSTER_MAX = 150;
/** The playhead stands still for this long: its sound has a break, in milliseconds... */
const BREAK = 150;
/** ...and for this long: a stall. */
const STALL = 300;
/** It stands still with media before it: push it, in milliseconds. */
const STUCK = 1000;
/** A step or a seek is not over yet: build the media source anew, in milliseconds. On a slow computer it may take long. */
const HANGS = 15_000;
/** Looks that this takes at least: in a hidden page, or a computer that slept, much time passes between two. */
const LOOKS = 30;
/** A seek that takes no longer than this is none to spare, in milliseconds. */
const QUICK = 500;
/** Pushes without playing for long between them; after these it is built anew too. */
const PUSHES = 6;
/** This long without a push, and the next one is the first again, in milliseconds. */
const PUSHED = 4000;
/** Media sources built anew within a minute before the player gives up. */
const REBUILDS = 4;
/** Window over which the least buffer is taken, in milliseconds. */
const WINDOW = 700;
/** The same where it is only just playing, in milliseconds: a few fragments. */
const SETTLE_WINDOW = 150;
/** Well behind for this long although it plays faster: jump, in milliseconds. */
const PATIENCE = 15_000;
/** Fragments further apart than this leave a hole that the playhead must jump, in seconds. */
const HOLE = 0.1;

/** Notices what goes on for too long, such as a browser's media pipeline that hangs. */
class Vigil {
  #what: unknown;
  #since = 0;
  #looks = 0;

  /** What is going on now; undefined: nothing. True when the same has for too long. */
  tooLong(what: unknown, now: number): boolean {
    if (what === undefined || what !== this.#what) {
      this.#what = what;
      this.#since = now;
      this.#looks = 0;
      return false;
    }
    this.#looks += 1;
    return now - this.#since > HANGS && this.#looks >= LOOKS;
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((x, i) => x === b[i]);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first) return first;
  const all = new Uint8Array(parts.reduce((n, p) => n + p.byteLength, 0));
  let at = 0;
  for (const p of parts) {
    all.set(p, at);
    at += p.byteLength;
  }
  return all;
}

/** The group that a new viewer is sent at once. Times are milliseconds. */
interface Burst {
  /** When the first of it came. */
  readonly began: number;
  /** The same; long ago where it is known to be over. */
  since: number;
  /** When the last of it came. */
  last: number;
  /** Media that came since a moment, and that moment. */
  media: number;
  from: number;
}

function burst(now: number): Burst {
  return { began: now, since: now, last: now, media: 0, from: now };
}

/** The player's state machine. Times named `now` are milliseconds of a clock that never goes back. */
export class PlayerMachine {
  #tuning: Tuning;
  #actions: Action[] = [];
  #steps: Step[] = [];
  #queued = 0;
  /** A step that the media source works on. */
  #busy: Step | "open" | "remove" | undefined;
  #open = false;
  #mime = "";

  #init: Init | undefined;
  #initBytes: Uint8Array | undefined;
  /** The init segment that was appended last. */
  #appended: Uint8Array | undefined;
  /** Connected anew; the first fragment decides whether the timeline goes on. */
  #joining = true;
  /** Fragments up to the end of what is there are thrown away: they are there already. */
  #skipping = false;
  #needKey = true;
  /** Decode time at which the last fragment taken ended. */
  #end: number | undefined;
  /** Where key frames are shown, oldest first. */
  #keys: number[] = [];
  /** Which wall clock goes with which time, oldest first. */
  #anchors: { time: number; wallMs: number }[] = [];

  #started = false;
  #burst: Burst | undefined;
  /** When something was last looked at. */
  #lookedAt = 0;
  /** When the key frame was asked to be shown, before it starts. */
  #posterAt: number | undefined;
  #userPaused = false;
  #failed = false;
  #rate = 1;
  #target: number;
  #calmSince = 0;
  #window: { at: number; ahead: number }[] = [];
  #progress = { time: -1, at: 0 };
  #stalled = false;
  /** Since when there is something to play, and it does not. */
  #fedAt = 0;
  /** Since when it is well behind, and how long that is borne. */
  #behindSince = Infinity;
  /** It began, jumped to or stalled here, and has not moved since. */
  #landing: number | undefined;
  /** When it was last sent somewhere, until it moves there. */
  #soughtAt: number | undefined;
  /** How long it took from there until it moved, in milliseconds: a jump that brings less than it costs is none. */
  #seekCost = 0;
  /** When it moved after that. */
  #settlingSince = -Infinity;
  #patience = PATIENCE;
  #pushedAt = 0;
  /** Pushes because it was stuck: how many in a row, and when the last was. */
  #pushes = { count: 0, at: -Infinity };
  /** Steps that are done: tells one from the next. */
  #done = 0;
  #stepVigil = new Vigil();
  #seekVigil = new Vigil();
  #heardAt = 0;
  #quota = 0;
  #rebuilds: number[] = [];

  constructor(tuning: Tuning = TUNING) {
    this.#tuning = tuning;
    this.#target = tuning.target;
  }

  /** The buffer that is aimed at now, in seconds. */
  get target(): number {
    return this.#target;
  }

  get status(): Status {
    if (this.#failed) return "failed";
    if (this.#userPaused) return "paused";
    if (!this.#started) return "waiting";
    return this.#stalled ? "stalled" : "playing";
  }

  /** When `sample` should be called at the latest, besides every 100 ms. */
  get wakeAt(): number | undefined {
    if (this.#started || this.#failed || this.#userPaused || !this.#burst) return undefined;
    const at = Math.max(this.#burst.last + BURST_QUIET, (this.#posterAt ?? -Infinity) + POSTER_MAX);
    // What it waits for besides is no matter of a few milliseconds.
    return this.#lookedAt > at ? undefined : at;
  }

  /** The next thing to do, until there is none. */
  poll(): Action | undefined {
    const action = this.#actions.shift();
    if (action) return action;
    if (this.#busy || this.#failed) return undefined;
    const step = this.#steps[0];
    if (!step) return undefined;
    if (step.kind === "init") {
      if (!this.#open) {
        this.#busy = "open";
        this.#open = true;
        this.#mime = step.mime;
        return { do: "open", mime: step.mime };
      }
      if (step.mime !== this.#mime) {
        this.#mime = step.mime;
        return { do: "change-type", mime: step.mime };
      }
    }
    // An init segment goes in with what follows it: two steps would take a turn of the page's more.
    const parts: Uint8Array[] = [];
    let size = 0;
    if (step.kind === "init") {
      this.#steps.shift();
      parts.push(step.bytes);
      size = step.bytes.byteLength;
    }
    while (
      this.#steps[0]?.kind === "media" &&
      (size === 0 || size + this.#steps[0].bytes.byteLength <= APPEND_MAX)
    ) {
      const next = this.#steps.shift();
      if (!next) break;
      parts.push(next.bytes);
      size += next.bytes.byteLength;
    }
    this.#queued -= size;
    const bytes = join(parts);
    this.#busy = { kind: "media", bytes };
    return { do: "append", bytes };
  }

  /** The connection (again) stands; an init segment and a group of pictures come next. */
  connected(): void {
    this.#joining = true;
    this.#skipping = false;
  }

  /** Bytes came: an init segment or a fragment. */
  message(bytes: Uint8Array, now: number): void {
    if (this.#failed) return;
    this.#lookedAt = now;
    this.#heardAt = now;
    if (isInit(bytes)) {
      const init = readInit(bytes);
      if (!init) {
        this.#failed = true;
        return;
      }
      this.#init = init;
      this.#initBytes = bytes;
      return;
    }
    const init = this.#init;
    const initBytes = this.#initBytes;
    if (!init || !initBytes) return;
    const fragment = readFragment(bytes, init);
    if (!fragment) return;
    const video = fragment.runs.find((r) => r.kind === "video");
    const lead = video ?? fragment.runs[0];
    if (!lead) return;
    const end = lead.decodeTime + lead.duration;

    if (this.#joining) {
      this.#joining = false;
      if (this.#end !== undefined && this.#open) {
        if (!this.#continues(lead.decodeTime, fragment.wallMs)) this.#rebuild(now, false);
        else this.#skipping = this.#appended !== undefined && same(this.#appended, initBytes);
      }
      this.#burst ??= burst(now);
    }
    if (this.#skipping) {
      if (this.#end !== undefined && lead.decodeTime < this.#end - 0.001) return;
      this.#skipping = false;
    }
    if (this.#needKey) {
      if (!video?.key) return;
      this.#needKey = false;
    }
    if (!this.#appended || !same(this.#appended, initBytes)) {
      this.#appended = initBytes;
      this.#push({ kind: "init", bytes: initBytes, mime: init.mime });
    }
    this.#push({ kind: "media", bytes });
    this.#end = end;
    if (video?.key) this.#keys.push(video.presentationTime);
    if (fragment.wallMs !== undefined) {
      this.#anchors.push({ time: lead.presentationTime, wallMs: fragment.wallMs });
      if (this.#anchors.length > 1024) this.#anchors.splice(0, 512);
    }
    if (this.#burst && !this.#started) {
      // Media that comes no faster than it plays is no burst any more.
      const b = this.#burst;
      b.last = now;
      b.media += lead.duration * 1000;
      const took = now - b.from;
      if (took >= PACED) {
        if (b.media < FASTER * took) b.since = -Infinity;
        [b.from, b.media] = [now, 0];
      }
    }
    if (this.#queued > this.#tuning.queueMax) this.#rebuild(now, true);
  }

  /** The step under way is done. */
  done(): void {
    if (this.#busy && this.#busy !== "open" && this.#busy !== "remove") this.#quota = 0;
    this.#busy = undefined;
    this.#done += 1;
  }

  /** The step under way failed, or (without one) the media element did. */
  failed(failure: Failure, media: Media, now: number): void {
    const step = this.#busy;
    this.#busy = undefined;
    if (failure === "unsupported") {
      this.#failed = true;
      return;
    }
    if (failure === "quota" && step && step !== "open" && step !== "remove" && this.#quota < 3) {
      this.#quota += 1;
      this.#steps.unshift(step);
      this.#queued += step.bytes.byteLength;
      // Less and less is kept.
      const keep = [2, 0.5, 0][this.#quota - 1] ?? 0;
      if (this.#trim(media, keep)) return;
    }
    this.#rebuild(now, true);
  }

  /** The person pauses. Media goes on coming in; what is old goes. */
  pause(): void {
    if (this.#userPaused) return;
    this.#userPaused = true;
    this.#actions.push({ do: "pause" });
  }

  /** The person plays again: at the live end, not where they stopped. */
  resume(media: Media, now: number): void {
    if (this.#failed) {
      this.#failed = false;
      this.#rebuilds = [];
      this.#rebuild(now, true);
    }
    this.#userPaused = false;
    if (!this.#started) return;
    this.#toLive(media, now, 0.3);
    this.#actions.push({ do: "play" });
  }

  /** The page was hidden and is seen again. */
  shown(media: Media, now: number): void {
    if (this.#userPaused || !this.#started) return;
    this.#toLive(media, now, 0.5);
    if (media.paused) this.#actions.push({ do: "play" });
  }

  /** The media element, measured: every 100 ms, and before each message. */
  sample(media: Media, now: number): void {
    if (this.#failed) return;
    if (this.#hangs(media, now)) {
      this.#rebuild(now, true);
      return;
    }
    const heldUp = now - this.#lookedAt > HELD_UP;
    this.#lookedAt = now;
    if (!this.#started) {
      if (heldUp && this.#burst) this.#burst.last = now;
      this.#start(media, now);
      return;
    }
    if (this.#userPaused) {
      this.#progress = { time: media.currentTime, at: now };
      this.#window = [];
      this.#trim(media, this.#tuning.backKeep, this.#tuning.backMax);
      return;
    }
    if (media.currentTime !== this.#progress.time || media.seeking || media.paused) {
      if (media.currentTime !== this.#progress.time) this.#stalled = false;
      this.#progress = { time: media.currentTime, at: now };
    }
    this.#unstick(media, now);
    if (!media.seeking) this.#pace(media, now);
    this.#trim(media, this.#tuning.backKeep, this.#tuning.backMax);
  }

  /** Media ahead of the playhead, in seconds. */
  ahead(media: Media): number {
    const last = media.ranges.at(-1);
    return last ? Math.max(0, last.end - media.currentTime) : 0;
  }

  /** The wall clock that goes with a time of the timeline, in milliseconds since 1970. */
  wallAt(time: number): number | undefined {
    let best: { time: number; wallMs: number } | undefined;
    for (let i = this.#anchors.length - 1; i >= 0; i--) {
      best = this.#anchors[i];
      if (best && best.time <= time) break;
    }
    if (!best || Math.abs(time - best.time) > 5) return undefined;
    return best.wallMs + (time - best.time) * 1000;
  }

  #push(step: Step): void {
    this.#steps.push(step);
    this.#queued += step.bytes.byteLength;
  }

  /** Whether a fragment at this time goes on from what is there. */
  #continues(decodeTime: number, wallMs: number | undefined): boolean {
    const end = this.#end ?? 0;
    const anchor = this.#anchors.at(-1);
    if (anchor && wallMs !== undefined) {
      // One timeline: its times and the wall clock advance together.
      return Math.abs(wallMs - anchor.wallMs - (decodeTime - anchor.time) * 1000) < 2000;
    }
    return decodeTime > end - 30 && decodeTime < end + 600;
  }

  /** Begins near the end of the group that a new viewer is sent, once all of it is there. */
  #start(media: Media, now: number): void {
    const burst = this.#burst;
    const last = media.ranges.at(-1);
    if (!burst || !last || media.readyState < 1 || this.#userPaused) return;
    if (this.#posterAt === undefined && last.end - last.start > this.#tuning.posterAbove) {
      this.#posterAt = now;
      this.#actions.push({ do: "seek", to: last.start });
      return;
    }
    if (media.seeking && now - (this.#posterAt ?? -Infinity) < POSTER_MAX) return;
    if (now - burst.last < BURST_QUIET && now - burst.since < BURST_MAX) return;
    if (this.#steps.length > 0 && now - burst.since < BURST_MAX) return;
    // Much of it is not in yet, where this computer is slow: it would have to jump at once.
    const missing = this.#end === undefined ? 0 : this.#end - last.end;
    if (missing > this.#tuning.jump && now - burst.began < SLOW) return;
    this.#started = true;
    this.#pushedAt = now;
    this.#behindSince = now;
    this.#progress = { time: -1, at: now };
    this.#calmSince = now;
    this.#window = [];
    this.#setRate(1);
    this.#soughtAt = now;
    this.#landing = Math.max(last.start, last.end - this.#target);
    this.#actions.push({ do: "seek", to: this.#landing }, { do: "play" });
  }

  /** The media source does not come back from a step, or the element from a seek to what is there. */
  #hangs(media: Media, now: number): boolean {
    const step = this.#stepVigil.tooLong(this.#busy && this.#done, now);
    const there = media.ranges.some(
      (r) => media.currentTime >= r.start - 0.01 && media.currentTime + 0.25 < r.end,
    );
    const seek = this.#seekVigil.tooLong(media.seeking && there ? this.#pushedAt : undefined, now);
    return step || seek;
  }

  #unstick(media: Media, now: number): void {
    const last = media.ranges.at(-1);
    const still = now - this.#progress.at;
    const here = media.ranges.find(
      (r) => media.currentTime >= r.start - 0.01 && media.currentTime < r.end - 0.05,
    );
    // It is stuck only where there is something to play; else it waits for the network.
    if (still === 0 || !here || here.end - media.currentTime < 0.25) this.#fedAt = now;
    const beyond = last && last.start > media.currentTime + 0.01 && last.end - last.start > HOLE;
    const patience = STUCK + this.#seekCost;
    const pushedLately = now - this.#pushedAt <= patience;
    if (beyond && !here) {
      const to = Math.max(last.start + 0.01, last.end - this.#target);
      // A hole before the playhead, or it fell behind what was taken away.
      if (!media.seeking) this.#seek(to, now);
      // What it seeks is gone (WebKitGTK loses sound at the beginning when it is given more meanwhile): it would seek for ever.
      else if (!pushedLately) this.#nudge(to, now);
      return;
    }
    if (still >= BREAK) this.#landing ??= media.currentTime;
    if (still < STALL) return;
    if (!this.#stalled) {
      this.#stalled = true;
      this.#calmSince = now;
      this.#target = Math.min(this.#tuning.targetMax, this.#target + this.#tuning.stallStep);
    }
    if (!last || now - this.#fedAt <= patience || pushedLately) return;
    this.#nudge(Math.max(media.currentTime, last.end - this.#target), now);
  }

  /** Seeks because it is stuck; begins anew where that does not help. */
  #nudge(to: number, now: number): void {
    this.#pushes = {
      count: now - this.#pushes.at > PUSHED + this.#seekCost ? 1 : this.#pushes.count + 1,
      at: now,
    };
    if (this.#pushes.count > PUSHES) this.#rebuild(now, true);
    else this.#seek(to, now);
  }

  #seek(to: number, now: number): void {
    this.#pushedAt = now;
    this.#soughtAt = now;
    this.#landing = to;
    this.#window = [];
    this.#setRate(1);
    this.#actions.push({ do: "seek", to });
  }

  #toLive(media: Media, now: number, slack: number): void {
    const last = media.ranges.at(-1);
    if (!last) return;
    if (media.currentTime < last.start || this.ahead(media) > this.#target + slack) {
      this.#seek(Math.max(last.start, last.end - this.#target), now);
    }
    this.#progress = { time: media.currentTime, at: now };
  }

  /** Chooses the speed from the least buffer of the last moments. */
  #pace(media: Media, now: number): void {
    const t = this.#tuning;
    if (now - this.#calmSince > t.calm * 1000) {
      this.#calmSince = now;
      this.#target = Math.max(t.target, this.#target - t.stallStep / 2);
    }
    if (this.#landing !== undefined && media.currentTime > this.#landing + 0.005) {
      // While the way from the key frame was decoded the end went on; from here on it is counted.
      this.#landing = undefined;
      if (this.#soughtAt !== undefined) this.#seekCost = now - this.#soughtAt;
      this.#soughtAt = undefined;
      this.#settlingSince = now;
      this.#window = [];
    }
    const settling = now - this.#settlingSince < t.settling * 1000;
    const ahead = this.ahead(media);
    this.#window.push({ at: now, ahead });
    while (this.#window[0] && this.#window[0].at < now - WINDOW) this.#window.shift();
    // In the middle of a burst the end is not the end yet.
    const jump = t.jump + Math.max(0, this.#seekCost - QUICK) / 500;
    if (ahead > this.#target + jump && now - this.#heardAt >= BURST_QUIET / 2) {
      const last = media.ranges.at(-1);
      if (last) this.#seek(Math.max(last.start, last.end - this.#target), now);
      return;
    }
    const oldest = this.#window[0];
    if (!oldest || now - oldest.at < (settling ? SETTLE_WINDOW : WINDOW / 2)) return;
    const low = Math.min(...this.#window.map((w) => w.ahead));
    const excess = low - this.#target;
    if (excess < Math.max(0.3, t.catchUpAbove)) {
      this.#behindSince = now;
      if (this.#rate === 1) this.#patience = PATIENCE;
    }
    if (now - this.#behindSince > this.#patience) {
      // Playing faster does not help: this computer does not keep up, or its sound does not. A jump that
      // does not help either is not tried again soon.
      this.#behindSince = now;
      this.#patience = Math.min(8 * PATIENCE, this.#patience * 2);
      const last = media.ranges.at(-1);
      if (last) this.#seek(Math.max(last.start, last.end - this.#target), now);
      return;
    }
    if (excess > t.catchUpAbove || (this.#rate > 1 && excess > 0.015)) {
      const step = t.fineSteps ? Math.max(0.02, Math.round(excess * (settling ? 200 : 50)) / 100) : Infinity;
      this.#setRate(Math.min(settling ? t.rateSettling : t.rateMax, 1 + step));
    } else if (this.#target > t.target && (low < this.#target / 2 || (this.#rate < 1 && excess < -0.02))) {
      this.#setRate(t.rateMin);
    } else {
      this.#setRate(1);
    }
  }

  #setRate(rate: number): void {
    // Small steps are not worth the change, except back to the normal speed.
    if (rate === this.#rate || (rate !== 1 && Math.abs(rate - this.#rate) < 0.015)) return;
    this.#rate = rate;
    this.#actions.push({ do: "rate", rate });
  }

  /**
   * Takes played media away up to a key frame, so that nothing that is still needed goes with it (a
   * removal reaches to the next key frame after its end). True if it could.
   */
  #trim(media: Media, keep: number, above = 0): boolean {
    const first = media.ranges[0];
    const last = media.ranges.at(-1);
    if (!first || !last || this.#busy) return false;
    // A paused player keeps what is newest: it will go on from there.
    const edge = this.#userPaused ? last.end : media.currentTime;
    if (edge - first.start < above) return false;
    let at = -1;
    for (let i = 0; i < this.#keys.length && (this.#keys[i] ?? Infinity) <= edge - keep; i++) at = i;
    const key = this.#keys[at];
    if (key === undefined || key - first.start < 0.5) return false;
    this.#keys.splice(0, at);
    this.#busy = "remove";
    this.#actions.push({ do: "remove", start: 0, end: key - 0.001 });
    return true;
  }

  /** Starts over with a new media source; from a new connection where what is here is not enough. */
  #rebuild(now: number, reconnect: boolean): void {
    this.#rebuilds = this.#rebuilds.filter((t) => now - t < 60_000);
    this.#rebuilds.push(now);
    if (this.#rebuilds.length > REBUILDS) {
      this.#failed = true;
      return;
    }
    this.#actions = [{ do: "close" }];
    this.#steps = [];
    this.#queued = 0;
    this.#busy = undefined;
    this.#open = false;
    this.#mime = "";
    this.#appended = undefined;
    this.#needKey = true;
    this.#skipping = false;
    this.#end = undefined;
    this.#keys = [];
    this.#anchors = [];
    this.#started = false;
    this.#burst = reconnect ? undefined : burst(now);
    this.#posterAt = undefined;
    this.#rate = 1;
    this.#stalled = false;
    this.#quota = 0;
    this.#done += 1;
    this.#pushes = { count: 0, at: -Infinity };
    this.#soughtAt = undefined;
    this.#seekCost = 0;
    if (reconnect) {
      this.#joining = true;
      this.#init = undefined;
      this.#initBytes = undefined;
      this.#actions.push({ do: "reconnect" });
    }
  }
}
