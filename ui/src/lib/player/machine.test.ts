import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Action,
  type Media,
  PlayerMachine,
  type Range,
  type Tuning,
  TUNING,
  WEBKIT_TUNING,
} from "./machine";
import { readFragment, readInit } from "./boxes";
import { makeFragment, makeInit } from "./testing";

const FPS = 30;
const FRAME = 1 / FPS;
const GROUP = 60;
const WALL = 1_795_000_000_000;

/** A media element and its source, simulated: enough of MSE to hold the machine to its rules. */
class Element {
  ranges: { start: number; end: number }[] = [];
  currentTime = 0;
  rate = 1;
  paused = true;
  seeking = false;
  open = false;
  /** Bytes that it takes before it says that it is full. */
  quota = Infinity;
  pending: "open" | "append" | "remove" | undefined;
  readonly log: Action[] = [];
  /** When what was appended begins, in the order of appending. */
  readonly times: number[] = [];
  /** How long a seek takes, in milliseconds. */
  seekTakes = 0;
  #seekLeft = 0;
  /** When it is given more during a seek, it loses what it seeks and this much after it, in seconds. */
  loses = 0;
  /** What the engine does not come back from. */
  hangs: "append" | "seek" | "play" | undefined;
  #init = readInit(makeInit());
  #bytes: Uint8Array | undefined;
  #held = 0;

  measure(): Media {
    return {
      currentTime: this.currentTime,
      ranges: this.ranges.map((r) => ({ ...r })),
      readyState: this.ranges.length > 0 ? 4 : 0,
      paused: this.paused,
      seeking: this.seeking,
    };
  }

  perform(action: Action): "quota" | undefined {
    this.log.push(action);
    switch (action.do) {
      case "open":
        expect(this.open, "one source at a time").toBe(false);
        this.open = true;
        this.pending = "open";
        break;
      case "append":
        expect(this.open).toBe(true);
        expect(this.pending, "one step at a time").toBeUndefined();
        if (this.#held + action.bytes.byteLength > this.quota) return "quota";
        this.#held += action.bytes.byteLength;
        this.#bytes = action.bytes;
        this.pending = "append";
        break;
      case "remove":
        expect(this.pending, "one step at a time").toBeUndefined();
        this.pending = "remove";
        this.ranges = this.ranges
          .map((r) => ({ start: Math.max(r.start, action.end), end: r.end }))
          .filter((r) => r.end > r.start);
        this.#held = 0;
        break;
      case "change-type":
        expect(this.pending).toBeUndefined();
        break;
      case "seek":
        this.currentTime = action.to;
        if (this.hangs === "seek" || this.seekTakes > 0) this.seeking = true;
        this.#seekLeft = this.seekTakes;
        break;
      case "rate":
        expect(action.rate).toBeGreaterThanOrEqual(TUNING.rateMin);
        expect(action.rate).toBeLessThanOrEqual(TUNING.rateSettling);
        this.rate = action.rate;
        break;
      case "play":
        this.paused = false;
        break;
      case "pause":
        this.paused = true;
        break;
      case "close":
        this.open = false;
        this.pending = undefined;
        this.ranges = [];
        this.currentTime = 0;
        this.paused = true;
        this.seeking = false;
        this.rate = 1;
        break;
      case "reconnect":
        break;
    }
    return undefined;
  }

  /** What was begun is over. True if something was. */
  finish(): boolean {
    const was = this.pending;
    if (was === "append" && this.hangs === "append") return false;
    this.pending = undefined;
    if (was === "append" && this.#bytes) {
      this.#take(this.#bytes);
      const from = this.currentTime + this.loses;
      for (const r of this.ranges)
        if (this.seeking && this.loses > 0 && r.end > from) r.start = Math.max(r.start, from);
    }
    return was !== undefined;
  }

  #take(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    let start = 0;
    while (at + 8 <= bytes.byteLength) {
      const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
      at += view.getUint32(at);
      if (type === "moov") {
        this.#init = readInit(bytes.subarray(start, at));
        start = at;
      } else if (type === "mdat") {
        const fragment = this.#init && readFragment(bytes.subarray(start, at), this.#init);
        const run = fragment?.runs[0];
        if (run) this.#extend(run.presentationTime, run.presentationTime + run.duration);
        start = at;
      }
    }
  }

  #extend(start: number, end: number): void {
    this.times.push(start);
    const near = this.ranges.find((r) => start <= r.end + 0.01 && end >= r.start - 0.01);
    if (near) {
      near.start = Math.min(near.start, start);
      near.end = Math.max(near.end, end);
    } else {
      this.ranges.push({ start, end });
      this.ranges.sort((a, b) => a.start - b.start);
    }
  }

  advance(ms: number): void {
    if (this.#seekLeft > 0) {
      this.#seekLeft -= ms;
      const there = this.ranges.some((r) => this.currentTime >= r.start - 0.001 && this.currentTime < r.end);
      if (!there) this.#seekLeft = Math.max(1, this.#seekLeft);
      this.seeking = this.#seekLeft > 0;
    }
    if (this.paused || this.seeking || this.hangs === "play") return;
    const here = this.ranges.find((r) => this.currentTime >= r.start - 0.001 && this.currentTime < r.end);
    if (!here) return;
    this.currentTime = Math.min(here.end, this.currentTime + (ms / 1000) * this.rate);
  }
}

/** The machine, its element, and a programme that is made as time passes. */
class Room {
  readonly element = new Element();
  readonly machine: PlayerMachine;
  now = 1000;
  /** Number of the next frame that is made. */
  made = 300;
  /** Frames made that have not been delivered yet: the network holds them. */
  held: number[] = [];
  online = false;
  wanted = false;
  init = makeInit();
  #frameDue = this.now;
  #tickDue = this.now;
  seeks = 0;

  constructor(tuning: Tuning = TUNING) {
    this.machine = new PlayerMachine(tuning);
  }

  connect(): void {
    this.connectAt(this.made - (this.made % GROUP) - (this.made % GROUP === 0 ? GROUP : 0));
  }

  /** Is sent all from this key frame on. */
  connectAt(key: number): void {
    this.online = true;
    this.held = [];
    this.machine.connected();
    this.machine.message(this.init, this.now);
    this.settle();
    for (let n = key; n < this.made; n++) this.#deliver(n);
  }

  settle(): void {
    for (let rounds = 0; rounds < 1000; rounds++) {
      let acted = false;
      for (let a = this.machine.poll(); a; a = this.machine.poll()) {
        acted = true;
        if (a.do === "seek") this.seeks += 1;
        if (a.do === "reconnect") this.wanted = true;
        if (a.do === "remove") this.#notNeeded(a.end);
        const failure = this.element.perform(a);
        if (failure) this.machine.failed(failure, this.element.measure(), this.now);
      }
      if (this.element.finish()) {
        this.machine.done();
        acted = true;
      }
      if (!acted) return;
    }
    throw new Error("it never comes to rest");
  }

  #notNeeded(end: number): void {
    if (this.element.paused) return;
    expect(end, "nothing under or before the playhead's group is taken away").toBeLessThanOrEqual(
      Math.floor((this.element.currentTime + 1e-6) / (GROUP * FRAME)) * GROUP * FRAME,
    );
  }

  fragment(n: number): Uint8Array {
    return makeFragment({
      time: n * FRAME,
      duration: FRAME,
      key: n % GROUP === 0,
      wallMs: WALL + n * FRAME * 1000,
      size: 20,
    });
  }

  #deliver(n: number): void {
    this.machine.sample(this.element.measure(), this.now);
    this.machine.message(this.fragment(n), this.now);
    this.settle();
  }

  /** Lets time pass; `flows` says whether the network delivers. */
  run(ms: number, flows = true): void {
    const until = this.now + ms;
    while (this.now < until) {
      this.now += 5;
      this.element.advance(5);
      if (this.wanted) {
        this.wanted = false;
        this.connect();
      }
      while (this.#frameDue <= this.now) {
        this.#frameDue += 1000 / FPS;
        if (this.online) this.held.push(this.made);
        this.made += 1;
      }
      if (flows) for (const n of this.held.splice(0)) this.#deliver(n);
      const wake = this.machine.wakeAt;
      if (this.#tickDue <= this.now || (wake !== undefined && wake <= this.now)) {
        if (this.#tickDue <= this.now) this.#tickDue += 100;
        this.machine.sample(this.element.measure(), this.now);
        this.settle();
      }
    }
  }

  /** How far the picture is behind what was made, in seconds. */
  get behind(): number {
    return this.made * FRAME - this.element.currentTime;
  }
  get spread(): Range {
    const first = this.element.ranges[0];
    const last = this.element.ranges.at(-1);
    return { start: first?.start ?? 0, end: last?.end ?? 0 };
  }
}

describe("joining", () => {
  it("starts near the end of the group that it is sent", () => {
    const room = new Room();
    room.run(500);
    room.connect();
    room.run(150);
    expect(room.machine.status).toBe("playing");
    expect(room.behind).toBeLessThan(TUNING.target + 0.1);
    // To the key frame, and to the end.
    expect(room.seeks).toBe(2);
  });

  it("shows the key frame of a long group before the rest of it is decoded", () => {
    const room = new Room();
    room.made = 330;
    const perform = room.element.perform.bind(room.element);
    room.element.perform = (action) => {
      if (action.do === "seek") room.element.seeking = true;
      return perform(action);
    };
    room.connect();
    room.run(60);
    expect(room.element.currentTime).toBe(300 * FRAME);
    expect(room.element.paused).toBe(true);
    // It is seen.
    room.element.seeking = false;
    room.run(100);
    expect(room.machine.status).toBe("playing");
    expect(room.behind).toBeLessThan(TUNING.target + 0.2);
  });

  it("does not wait for a key frame that is not shown", () => {
    const room = new Room();
    room.made = 330;
    room.element.seeking = true;
    room.connect();
    room.run(100);
    expect(room.machine.status).toBe("waiting");
    room.run(100);
    expect(room.machine.status).toBe("playing");
  });

  it("goes straight to the end of a short group", () => {
    const room = new Room();
    room.made = 310;
    room.connect();
    room.run(60);
    expect(room.machine.status).toBe("playing");
    expect(room.seeks).toBe(1);
  });

  it("does not begin in the middle of what the media source still works on", () => {
    for (const [tuning, limit] of [
      [WEBKIT_TUNING, 5000],
      [TUNING, 5000],
    ] as const) {
      const room = new Room(tuning);
      room.made = 300 + 3 * GROUP;
      const finish = room.element.finish.bind(room.element);
      // A fragment of a group three times as long goes in at once, and the rest does not.
      let taken = 0;
      room.element.finish = () => (room.element.pending !== "append" || taken++ < 1 ? finish() : false);
      room.connectAt(300);
      room.run(limit - 500);
      expect(room.machine.status).toBe("waiting");
      room.run(1000);
      expect(room.machine.status, "for ever is too long").not.toBe("waiting");
    }
  });

  it("goes straight to the end where a seek costs too much", () => {
    const room = new Room(WEBKIT_TUNING);
    room.connect();
    room.run(60);
    expect(room.machine.status).toBe("playing");
    expect(room.seeks).toBe(1);
  });

  it("starts although the burst comes in pieces", () => {
    const room = new Room();
    room.machine.connected();
    room.machine.message(room.init, room.now);
    for (let n = 240; n < 300; n++) {
      room.machine.message(room.fragment(n), room.now);
      room.settle();
      room.now += 2;
      room.machine.sample(room.element.measure(), room.now);
      room.settle();
    }
    room.online = true;
    room.run(300);
    expect(room.machine.status).toBe("playing");
    expect(room.seeks).toBe(2);
    expect(room.behind).toBeLessThan(0.6);
  });

  it("starts at the end although a slow page takes the burst in turns", () => {
    const room = new Room();
    room.machine.connected();
    room.machine.message(room.init, room.now);
    for (let n = 240; n < 300; n++) {
      room.machine.message(room.fragment(n), room.now);
      room.settle();
      room.now += 7;
      room.machine.sample(room.element.measure(), room.now);
      room.settle();
    }
    expect(room.machine.status).toBe("waiting");
    room.online = true;
    room.run(300);
    expect(room.machine.status).toBe("playing");
    expect(room.behind).toBeLessThan(0.6);
  });

  it("takes what waits for its turn after the page was held up, before it starts", () => {
    const room = new Room();
    room.machine.connected();
    room.machine.message(room.init, room.now);
    const half = (from: number): void => {
      for (let n = from; n < from + 30; n++) room.machine.message(room.fragment(n), room.now);
      room.settle();
    };
    half(240);
    room.machine.sample(room.element.measure(), room.now + 10);
    room.settle();
    room.now += 160;
    // The timer comes first.
    room.machine.sample(room.element.measure(), room.now);
    room.settle();
    expect(room.machine.status).toBe("waiting");
    half(270);
    room.online = true;
    room.run(300);
    expect(room.machine.status).toBe("playing");
    expect(room.behind).toBeLessThan(0.6);
  });

  it("is at the live end soon, although decoding up to it took a while", () => {
    const room = new Room();
    const advance = room.element.advance.bind(room.element);
    const playsFrom = room.now + 600;
    room.element.advance = (ms: number) => {
      if (room.now >= playsFrom) advance(ms);
    };
    room.connect();
    room.run(600);
    expect(room.behind).toBeGreaterThan(0.5);
    room.run(2000);
    expect(room.behind).toBeLessThan(TUNING.target + 0.15);
    expect(room.seeks).toBe(2);
    room.run(3000);
    expect(room.element.rate).toBe(1);
  });

  it("waits for a key frame", () => {
    const room = new Room();
    room.machine.connected();
    room.machine.message(room.init, room.now);
    room.machine.message(room.fragment(301), room.now);
    room.settle();
    expect(room.element.log).toEqual([]);
  });

  it("gives up on an init segment that it cannot read", () => {
    const room = new Room();
    room.machine.message(Uint8Array.from([0, 0, 0, 8, 0x66, 0x74, 0x79, 0x70]), 0);
    expect(room.machine.status).toBe("failed");
  });
});

describe("keeping up", () => {
  it("catches up by playing faster, not by jumping", () => {
    const room = new Room();
    room.connect();
    room.run(2000);
    const before = room.seeks;
    room.run(900, false);
    room.run(100);
    expect(room.behind).toBeGreaterThan(0.5);
    room.run(15_000);
    expect(room.seeks).toBe(before);
    expect(room.behind).toBeLessThan(0.45);
    expect(room.element.rate).toBe(1);
  });

  it("jumps when playing faster does not help, and not again and again", () => {
    const room = new Room();
    room.connect();
    room.run(2000);
    // A computer that plays at nine tenths of the speed, whatever it is told.
    const advance = room.element.advance.bind(room.element);
    room.element.advance = (ms: number) => advance((ms * 0.9) / room.element.rate);
    const before = room.seeks;
    room.run(60_000);
    expect(room.seeks - before).toBeGreaterThanOrEqual(1);
    expect(room.seeks - before).toBeLessThanOrEqual(4);
  });

  it("does not jump for what a jump itself costs", () => {
    const room = new Room(WEBKIT_TUNING);
    room.connect();
    room.run(3000);
    room.element.seekTakes = 4000;
    room.element.currentTime -= 3;
    room.run(40_000);
    expect(room.seeks, "the first, one of the page, and none in a circle").toBeLessThanOrEqual(4);
    expect(room.machine.status).toBe("playing");
    expect(room.behind).toBeLessThan(5);
  });

  it("goes on where what it seeks is lost meanwhile", () => {
    const room = new Room(WEBKIT_TUNING);
    // It begins at the very beginning of what is there.
    room.made = 301;
    room.element.seekTakes = 300;
    room.element.loses = 0.1;
    room.connect();
    room.run(250);
    const begun = room.element.currentTime;
    expect(room.element.seeking).toBe(true);
    expect(room.spread.start, "it is not there any more").toBeGreaterThan(begun + 0.05);
    room.element.loses = 0;
    room.run(5000);
    expect(room.machine.status).toBe("playing");
    expect(room.element.currentTime).toBeGreaterThan(begun + 2);
    expect(room.behind).toBeLessThan(1);
    expect(room.seeks).toBeLessThanOrEqual(3);
    expect(room.element.log.filter((a) => a.do === "open")).toHaveLength(1);
  });

  it("builds it anew where what it seeks is lost again and again", () => {
    const room = new Room(WEBKIT_TUNING);
    room.made = 301;
    room.element.seekTakes = 300;
    room.element.loses = 0.2;
    room.connect();
    room.run(12_000);
    room.element.loses = 0;
    room.run(3000);
    expect(room.element.log.filter((a) => a.do === "open")).toHaveLength(2);
    expect(room.machine.status).toBe("playing");
  });

  it("changes the speed once, where that is costly", () => {
    const room = new Room(WEBKIT_TUNING);
    room.connect();
    room.run(2000);
    room.run(1300, false);
    room.run(20_000);
    const rates = room.element.log.flatMap((a) => (a.do === "rate" ? [a.rate] : []));
    expect(rates).toEqual([WEBKIT_TUNING.rateMax, 1]);
    expect(room.behind).toBeLessThan(0.6);
  });

  it("jumps when it is seconds behind", () => {
    const room = new Room();
    room.connect();
    room.run(2000);
    const before = room.seeks;
    room.run(5000, false);
    room.run(300);
    expect(room.seeks).toBe(before + 1);
    expect(room.behind).toBeLessThan(0.6);
  });

  it("raises its target by a stall, and lowers it again after calm", () => {
    const room = new Room();
    room.connect();
    room.run(2000);
    expect(room.machine.target).toBe(TUNING.target);
    room.run(800, false);
    expect(room.machine.status).toBe("stalled");
    expect(room.machine.target).toBeCloseTo(TUNING.target + TUNING.stallStep);
    room.run(TUNING.calm * 2000 + 5000);
    expect(room.machine.target).toBeCloseTo(TUNING.target);
    expect(room.machine.status).toBe("playing");
  });

  it("jumps a hole in the programme", () => {
    const room = new Room();
    room.connect();
    room.run(1000);
    // The server skipped a slow reader to the next key frame.
    room.online = false;
    room.run(1500);
    room.made += GROUP - (room.made % GROUP);
    room.online = true;
    room.run(2000);
    expect(room.machine.status).toBe("playing");
    expect(room.behind).toBeLessThan(0.6);
  });

  it("takes old media away, but never what it still needs", () => {
    const room = new Room();
    room.connect();
    room.run(60_000);
    expect(room.element.currentTime - room.spread.start).toBeLessThan(TUNING.backMax + GROUP * FRAME + 1);
    expect(room.element.log.some((a) => a.do === "remove")).toBe(true);
  });
});

describe("pausing and hiding", () => {
  it("keeps little while paused, and goes on at the live end", () => {
    const room = new Room();
    room.connect();
    room.run(1000);
    room.machine.pause();
    room.settle();
    room.run(60_000);
    expect(room.spread.end - room.spread.start).toBeLessThan(TUNING.backMax + GROUP * FRAME + 1);
    expect(room.machine.status).toBe("paused");
    room.machine.resume(room.element.measure(), room.now);
    room.settle();
    room.run(200);
    expect(room.machine.status).toBe("playing");
    expect(room.behind).toBeLessThan(0.5);
  });

  it("jumps to live when the page is seen again", () => {
    const room = new Room();
    room.connect();
    room.run(1000);
    // A hidden page: the element is paused by the browser and nobody ticks.
    room.element.paused = true;
    room.run(1500);
    room.machine.shown(room.element.measure(), room.now);
    room.settle();
    room.run(200);
    expect(room.element.paused).toBe(false);
    expect(room.behind).toBeLessThan(0.5);
  });
});

describe("connections that break", () => {
  it("keeps the media source when the timeline goes on", () => {
    const room = new Room();
    room.connect();
    room.run(3000);
    room.online = false;
    room.run(700);
    const at = room.element.log.length;
    room.connect();
    room.run(2000);
    const after = room.element.log.slice(at);
    expect(after.some((a) => a.do === "close" || a.do === "open")).toBe(false);
    expect(room.element.ranges).toHaveLength(1);
    expect(room.machine.status).toBe("playing");
    expect(room.behind).toBeLessThan(1);
    // The group that a new connection begins with was there already, up to where it broke.
    expect(new Set(room.element.times).size).toBe(room.element.times.length);
  });

  it("keeps it across a new init segment, in order, naming the new codec", () => {
    const room = new Room();
    room.connect();
    room.run(3000);
    room.init = makeInit({ profile: [0x42, 0xc0, 0x1e] });
    room.connect();
    room.run(1000);
    const kinds = room.element.log.map((a) => a.do);
    expect(kinds.filter((k) => k === "open")).toHaveLength(1);
    const change = room.element.log.findIndex((a) => a.do === "change-type");
    expect(change).toBeGreaterThan(0);
    const next = room.element.log[change + 1];
    // The new init segment first, and what it describes at once after it.
    const bytes = next?.do === "append" ? next.bytes : new Uint8Array();
    expect([...bytes.subarray(0, room.init.byteLength)]).toEqual([...room.init]);
    expect(bytes.byteLength).toBeGreaterThan(room.init.byteLength);
    expect(room.machine.status).toBe("playing");
  });

  it("builds it anew when the timeline is another one", () => {
    const room = new Room();
    room.connect();
    room.run(3000);
    room.online = false;
    room.run(200);
    // The server was started again: its timeline begins near zero, its clock does not.
    const machine = room.machine;
    machine.connected();
    machine.message(room.init, room.now);
    for (let n = 0; n < 30; n++) {
      machine.message(
        makeFragment({ time: n * FRAME, duration: FRAME, key: n === 0, wallMs: WALL + 60_000 + n * 33 }),
        room.now,
      );
    }
    room.settle();
    const kinds = room.element.log.map((a) => a.do);
    expect(kinds.filter((k) => k === "open")).toHaveLength(2);
    expect(kinds).not.toContain("reconnect");
    expect(room.spread.start).toBe(0);
  });
});

describe("what the browser refuses", () => {
  it("makes room when the buffer is full", () => {
    const room = new Room();
    room.connect();
    room.run(8000);
    room.element.quota = 30_000;
    room.run(20_000);
    expect(room.machine.status).toBe("playing");
    expect(room.element.log.filter((a) => a.do === "close")).toHaveLength(0);
    expect(room.behind).toBeLessThan(0.6);
  });

  it("builds the source anew after an error, from a new connection", () => {
    const room = new Room();
    room.connect();
    room.run(3000);
    room.machine.failed("broken", room.element.measure(), room.now);
    room.settle();
    expect(room.element.log.at(-1)?.do).toBe("reconnect");
    room.run(1000);
    expect(room.machine.status).toBe("playing");
    expect(room.behind).toBeLessThan(0.6);
  });

  it("gives up after several in a minute, until it is asked again", () => {
    const room = new Room();
    room.connect();
    for (let i = 0; i < 5; i++) {
      room.run(1000);
      room.machine.failed("broken", room.element.measure(), room.now);
      room.settle();
    }
    expect(room.machine.status).toBe("failed");
    room.machine.resume(room.element.measure(), room.now);
    room.settle();
    room.run(1000);
    expect(room.machine.status).toBe("playing");
  });

  for (const hangs of ["append", "seek", "play"] as const) {
    it(`builds it anew where the engine hangs: ${hangs}`, () => {
      const room = new Room();
      room.connect();
      room.run(3000);
      room.element.hangs = hangs;
      // What is seen again after a while is behind: that asks for a seek.
      room.element.currentTime -= 1;
      room.machine.shown(room.element.measure(), room.now);
      const opened = (): number => room.element.log.filter((a) => a.do === "open").length;
      room.run(5500);
      expect(opened(), "not at once").toBe(1);
      for (let waited = 0; room.element.log.at(-1)?.do !== "reconnect" && waited < 30_000; waited += 5) {
        if (opened() === 2) break;
        room.run(5);
      }
      room.element.hangs = undefined;
      room.element.seeking = false;
      room.run(2000);
      expect(opened()).toBe(2);
      expect(room.machine.status).toBe("playing");
      expect(room.behind).toBeLessThan(0.6);
      room.run(30_000);
      expect(opened(), "once").toBe(2);
    });
  }

  it("does not take a computer that slept for an engine that hangs", () => {
    const room = new Room();
    room.connect();
    room.run(3000);
    room.element.hangs = "append";
    room.run(200);
    room.now += 3_600_000;
    room.machine.sample(room.element.measure(), room.now);
    room.settle();
    room.element.hangs = undefined;
    room.settle();
    expect(room.element.log.filter((a) => a.do === "open")).toHaveLength(1);
  });

  it("says so at once when the codec is not taken", () => {
    const room = new Room();
    room.machine.failed("unsupported", room.element.measure(), room.now);
    expect(room.machine.status).toBe("failed");
    expect(room.machine.poll()).toBeUndefined();
  });
});

describe("latency", () => {
  it("tells the wall clock of what is shown", () => {
    const room = new Room();
    room.connect();
    room.run(3000);
    const shown = room.machine.wallAt(room.element.currentTime);
    expect(shown).toBeCloseTo(WALL + room.element.currentTime * 1000, 0);
    expect(room.machine.wallAt(room.element.currentTime + 100)).toBeUndefined();
  });
});

describe("whatever the network and the person do", () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("flow" as const), ms: fc.integer({ min: 20, max: 3000 }) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant("hold" as const), ms: fc.integer({ min: 20, max: 4000 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("break" as const), ms: fc.integer({ min: 0, max: 9000 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("pause" as const), ms: fc.integer({ min: 0, max: 20_000 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("config" as const), ms: fc.integer({ min: 0, max: 500 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("hide" as const), ms: fc.integer({ min: 0, max: 5000 }) }),
    },
  );

  it("comes back to the live end, in one source, within bounds", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        const room = new Room();
        room.connect();
        for (const s of steps) {
          switch (s.do) {
            case "flow":
              room.run(s.ms);
              break;
            case "hold":
              room.run(s.ms, false);
              break;
            case "break":
              room.online = false;
              room.run(s.ms);
              room.connect();
              break;
            case "pause":
              room.machine.pause();
              room.settle();
              room.run(s.ms);
              room.machine.resume(room.element.measure(), room.now);
              room.settle();
              break;
            case "config":
              room.init = makeInit({
                profile: room.init[0] === 0 && s.ms % 2 ? [0x42, 0xc0, 0x1e] : [0x4d, 0x40, 0x1f],
              });
              room.connect();
              room.run(s.ms);
              break;
            case "hide":
              room.element.paused = true;
              room.run(s.ms);
              room.machine.shown(room.element.measure(), room.now);
              room.settle();
              break;
          }
        }
        room.run(30_000);
        expect(room.machine.status).toBe("playing");
        expect(room.behind).toBeLessThan(TUNING.targetMax + 0.2);
        expect(room.element.currentTime - room.spread.start).toBeLessThan(TUNING.backMax + GROUP * FRAME + 1);
        expect(room.element.log.filter((a) => a.do === "close")).toHaveLength(0);
      }),
      { numRuns: 25 },
    );
  }, 120_000);
});
