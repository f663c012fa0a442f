/**
 * The connection to a room as a state machine: hello, resume, heartbeats, and trying again. No socket and
 * no clock in it; `web.ts` is the loop around it. (In the app, Rust holds the connection.)
 */
import type { ClientMessage, EventId, ServerMessage } from "../generated/protocol";
import { ROOM_PROTOCOL } from "../generated/protocol";
import { backoff } from "./backoff";

/** What is to be done. */
export type LinkAction =
  | { readonly do: "connect" }
  | { readonly do: "send"; readonly message: ClientMessage }
  | { readonly do: "close" }
  /** Hand the message on. */
  | { readonly do: "deliver"; readonly message: ServerMessage }
  | { readonly do: "state"; readonly state: LinkState };

/** Where it stands. */
export type LinkState =
  | "connecting"
  | "joined"
  | "lost"
  /** The key that it came with is not good any more. It is not tried again. */
  | "ended";

/** No `welcome` for this long: the connection is given up, in milliseconds. */
const WELCOME = 10_000;
/** Nothing at all for this long, with a heartbeat due every 10 s: it is dead, in milliseconds. */
const SILENCE = 25_000;
/** It stood for this long: the next failure is the first again, in milliseconds. */
const STOOD = 10_000;

type Phase =
  | { readonly at: "idle" }
  | { readonly at: "connecting"; readonly since: number }
  | { readonly at: "greeting"; readonly since: number }
  | { readonly at: "joined"; readonly since: number; readonly heard: number }
  | { readonly at: "waiting"; readonly until: number };

/** How the machine is set up. */
export interface LinkOptions {
  /** The session's token, asked for at every hello. */
  token(): string | undefined;
  /** In [0, 1). */
  random(): number;
  /** False: runs the room, and is none of its audience. */
  readonly watching?: boolean;
  /** The key of the room's overlay, in place of a session. */
  readonly overlay?: string;
}

const before = (a: EventId, b: EventId): boolean =>
  a.epoch < b.epoch || (a.epoch === b.epoch && a.number < b.number);

/** The machine. Times are milliseconds of a clock that never goes back. */
export class RoomLink {
  #options: LinkOptions;
  #phase: Phase = { at: "idle" };
  #actions: LinkAction[] = [];
  #failures = 0;
  #last: EventId | undefined;
  /** The token was refused: hello without it, until somebody logs in. */
  #guest = false;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** The last event that was delivered. */
  get last(): EventId | undefined {
    return this.#last;
  }

  /** When `tick` is due at the latest. */
  get wakeAt(): number | undefined {
    const p = this.#phase;
    switch (p.at) {
      case "idle":
        return undefined;
      case "connecting":
      case "greeting":
        return p.since + WELCOME;
      case "joined":
        return p.heard + SILENCE;
      case "waiting":
        return p.until;
    }
  }

  poll(): LinkAction | undefined {
    return this.#actions.shift();
  }

  start(now: number): void {
    if (this.#phase.at === "idle") this.#connect(now);
  }

  /** The network came back, or the person asks: do not wait any longer. */
  retry(now: number): void {
    if (this.#phase.at === "waiting") this.#connect(now);
  }

  /** Somebody else is logged in now: say hello anew. */
  renew(now: number): void {
    this.#guest = false;
    if (this.#phase.at === "idle") return;
    if (this.#phase.at !== "waiting") this.#actions.push({ do: "close" });
    this.#connect(now);
  }

  opened(now: number): void {
    if (this.#phase.at !== "connecting") return;
    this.#phase = { at: "greeting", since: now };
    const token = this.#guest ? undefined : this.#options.token();
    this.#actions.push({
      do: "send",
      message: {
        type: "hello",
        version: ROOM_PROTOCOL,
        ...(token === undefined ? {} : { token }),
        ...(this.#last ? { after: this.#last } : {}),
        ...(this.#options.watching === false ? { watching: false } : {}),
        ...(this.#options.overlay === undefined ? {} : { overlay: this.#options.overlay }),
      },
    });
  }

  closed(now: number): void {
    const p = this.#phase;
    if (p.at === "idle" || p.at === "waiting") return;
    this.#lost(now);
  }

  tick(now: number): void {
    const p = this.#phase;
    const due = this.wakeAt;
    if (due === undefined || now < due) return;
    if (p.at === "waiting") this.#connect(now);
    else this.#drop(now);
  }

  message(message: ServerMessage, now: number): void {
    const p = this.#phase;
    if (p.at === "greeting") {
      if (message.type === "refused") {
        this.#actions.push({ do: "deliver", message });
        if (message.error.code === "unauthenticated") this.#unknown();
        return;
      }
      if (message.type !== "welcome") return;
      this.#phase = { at: "joined", since: now, heard: now };
      this.#last = message.last;
      this.#actions.push({ do: "deliver", message }, { do: "state", state: "joined" });
      return;
    }
    if (p.at !== "joined") return;
    this.#phase = { ...p, heard: now };
    if (message.type === "event") {
      const id = message.event.id;
      if (this.#last && !before(this.#last, id)) return; // seen
      if (this.#last?.epoch === id.epoch && id.number !== this.#last.number + 1) {
        // A hole: what is missing is asked for from where it begins.
        this.#drop(now);
        return;
      }
      this.#last = id;
    }
    if (message.type !== "heartbeat" || message.server_time > 0)
      this.#actions.push({ do: "deliver", message });
    if (message.type === "refused" && message.error.code === "unauthenticated") this.#unknown();
  }

  /** Sends, if it is joined; says whether it was. What was not sent is the caller's to keep. */
  send(message: ClientMessage): boolean {
    if (this.#phase.at !== "joined") return false;
    this.#actions.push({ do: "send", message });
    return true;
  }

  /** What it came with is not good any more. */
  #unknown(): void {
    // An ended session must not keep a person from watching.
    this.#guest = true;
    if (this.#options.overlay === undefined) return;
    this.#phase = { at: "idle" };
    this.#actions.push({ do: "close" }, { do: "state", state: "ended" });
  }

  #connect(now: number): void {
    this.#phase = { at: "connecting", since: now };
    this.#actions.push({ do: "connect" });
    if (this.#failures === 0) this.#actions.push({ do: "state", state: "connecting" });
  }

  #drop(now: number): void {
    this.#actions.push({ do: "close" });
    this.#lost(now);
  }

  #lost(now: number): void {
    const p = this.#phase;
    if (p.at === "joined" && now - p.since > STOOD) this.#failures = 0;
    this.#phase = { at: "waiting", until: now + backoff(this.#failures, this.#options.random()) };
    this.#failures += 1;
    this.#actions.push({ do: "state", state: "lost" });
  }
}
