/**
 * What a person sees of a room, built from its messages: the room, the comments, and their own comments
 * that are on their way. Pure; the screens wrap it in reactive state.
 */
import type {
  AccountView,
  ApiError,
  BallotResult,
  BallotView,
  ClientMessage,
  EventId,
  Owed,
  RefusedPublisher,
  RoomEvent,
  RoomView,
  ServerMessage,
  WaitingPublisher,
} from "../generated/protocol";

/** A line in the list of comments. */
export type Line =
  | {
      readonly kind: "danmaku";
      readonly key: string;
      /** The account that wrote it. */
      readonly by: string;
      readonly author: string;
      readonly text: string;
      readonly at: number;
      /** As `#rrggbb`. */
      readonly color: string;
      readonly own: boolean;
      /** Set while it is not confirmed. */
      readonly pending: boolean;
    }
  /** Comments between its neighbours were missed and cannot be had any more. */
  | { readonly kind: "gap"; readonly key: string };

/** What just happened and does not stay: for the overlay and the toasts. */
export type Flash =
  | {
      readonly kind: "fly";
      readonly by: string;
      readonly text: string;
      readonly color: string;
      readonly own: boolean;
      readonly mode: string;
    }
  | { readonly kind: "refused"; readonly error: ApiError; readonly text: string | undefined };

/** Lines kept; older ones go. */
const LINES = 300;
/** How long an unconfirmed comment is sent again after reconnects, in milliseconds. */
const PATIENCE = 60_000;

interface Pending {
  readonly ref: string;
  readonly text: string;
  readonly since: number;
}

const remark = (p: WaitingPublisher | RefusedPublisher): string => `${"id" in p ? p.id : ""} ${String(p.at)}`;
const keyOf = (id: EventId): string => `${String(id.epoch)}.${String(id.number)}`;

/** The model. `now` is wall time in milliseconds. */
export class RoomModel {
  room: RoomView | undefined;
  you: AccountView | null = null;
  viewers = 0;
  lines: readonly Line[] = [];
  waiting: readonly WaitingPublisher[] = [];
  /** The last program that was sent away because of what it sends; undefined once a stream began, or it was read. */
  refused: RefusedPublisher | undefined;
  /** One owns the room, and the key frames of the program that publishes are too far apart. */
  keyFramesFar = false;
  /** The ballot that is open. */
  ballot: BallotView | undefined;
  /** What one votes for in it; shown at once, and taken back if the server refuses. */
  vote: number | undefined;
  /** What came out of the last one, until the next is opened. */
  result: BallotResult | undefined;
  owed: readonly Owed[] = [];
  /** What was done last, of what was owed while one watches. */
  settled: Owed | undefined;
  /** How far the server's clock is before this computer's, in milliseconds. */
  clockOffset: number | undefined;

  #pending: Pending[] = [];
  #flashes: Flash[] = [];
  #out: ClientMessage[] = [];
  #seen = new Set<string>();
  /** Remarks about publishers that the owner has read: the server tells of them again at every welcome. */
  #read = new Set<string>();
  /** The vote that is not confirmed, and what stood before it. */
  #casting: { ref: string; ballot: string; option: number; before: number | undefined } | undefined;

  /** What flew by since the last call. */
  takeFlashes(): Flash[] {
    return this.#flashes.splice(0);
  }

  /** Messages to send; those that cannot be sent come again after the next welcome. */
  takeOut(): ClientMessage[] {
    return this.#out.splice(0);
  }

  /** Writes a comment. `ref` is unique for this person. */
  write(text: string, ref: string, now: number): void {
    this.#pending.push({ ref, text, since: now });
    this.lines = [
      ...this.lines,
      {
        kind: "danmaku",
        key: `own.${ref}`,
        by: this.you?.id ?? "",
        author: this.you?.name ?? "",
        text,
        at: now,
        color: "#ffffff",
        own: true,
        pending: true,
      },
    ];
    const by = this.you?.id ?? "";
    this.#flashes.push({ kind: "fly", by, text, color: "#ffffff", own: true, mode: "scroll" });
    this.#out.push({ type: "danmaku", client_ref: ref, text });
  }

  /** Votes in the open ballot; again, to change one's mind. `ref` is unique for this person. */
  cast(option: number, ref: string): void {
    if (!this.ballot?.options[option] || this.vote === option) return;
    const before = this.#casting ? this.#casting.before : this.vote;
    this.#casting = { ref, ballot: this.ballot.id, option, before };
    this.vote = option;
    this.#sendVote();
  }

  #sendVote(): void {
    const c = this.#casting;
    if (c) this.#out.push({ type: "vote", client_ref: c.ref, ballot: c.ballot, option: c.option });
  }

  message(message: ServerMessage, now: number): void {
    switch (message.type) {
      case "welcome":
        this.#welcome(message, now);
        break;
      case "event":
        this.#event(message.event, true);
        break;
      case "presence":
        this.viewers = message.viewers;
        break;
      case "accepted":
        this.#confirm(message.client_ref, keyOf(message.id));
        break;
      case "refused": {
        if (this.#casting && this.#casting.ref === message.client_ref) {
          this.vote = this.#casting.before;
          this.#casting = undefined;
        }
        const pending = this.#pending.find((p) => p.ref === message.client_ref);
        this.#pending = this.#pending.filter((p) => p !== pending);
        if (pending) this.lines = this.lines.filter((l) => l.key !== `own.${pending.ref}`);
        this.#flashes.push({ kind: "refused", error: message.error, text: pending?.text });
        break;
      }
      case "voted":
        if (this.#casting?.ref === message.client_ref) this.#casting = undefined;
        // A later choice is on its way; this answer is to an earlier one.
        if (this.ballot?.id === message.ballot && !this.#casting) this.vote = message.option;
        break;
      case "tally":
        if (this.ballot?.id === message.ballot) {
          const options = this.ballot.options.map((o, i) => ({ ...o, votes: message.votes[i] ?? o.votes }));
          this.ballot = { ...this.ballot, options };
        }
        break;
      case "publisher_waiting":
        this.waiting = [...this.waiting.filter((w) => w.id !== message.publisher.id), message.publisher];
        break;
      case "publisher_refused":
        this.refused = message.publisher;
        break;
      case "renamed": {
        const { person } = message;
        if (this.room?.owner.id === person.id) this.room = { ...this.room, owner: person };
        if (this.you?.id === person.id) this.you = { ...this.you, name: person.name };
        break;
      }
      case "key_frames":
        this.keyFramesFar = message.far;
        break;
      case "heartbeat":
        this.#clock(message.server_time, now);
        break;
    }
  }

  /** The owner answered, or it does not matter any more. */
  dismiss(publisher: string): void {
    for (const w of this.waiting) if (w.id === publisher) this.#read.add(remark(w));
    this.waiting = this.waiting.filter((w) => w.id !== publisher);
  }

  /** The refusal was read. */
  dismissRefused(): void {
    if (this.refused) this.#read.add(remark(this.refused));
    this.refused = undefined;
  }

  #welcome(message: Extract<ServerMessage, { type: "welcome" }>, now: number): void {
    this.room = message.room;
    this.viewers = message.room.viewers;
    this.you = message.you;
    this.#clock(message.server_time, now);
    if (!message.resumed && this.lines.some((l) => l.kind === "danmaku" && !l.pending)) {
      const first = message.events[0];
      this.lines = [...this.lines, { kind: "gap", key: `gap.${first ? keyOf(first.id) : String(now)}` }];
    }
    for (const event of message.events) this.#event(event, false);
    // The room's own facts are newer than the events that led to them.
    this.room = message.room;
    this.ballot = message.ballot ?? undefined;
    this.owed = message.owed;
    this.waiting = message.waiting.filter((w) => !this.#read.has(remark(w)));
    this.refused = message.refused && !this.#read.has(remark(message.refused)) ? message.refused : undefined;
    this.keyFramesFar = message.key_frames_far;
    if (this.#casting && this.#casting.ballot === this.ballot?.id) this.#sendVote();
    else {
      this.#casting = undefined;
      this.vote = message.your_vote ?? undefined;
    }
    this.#pending = this.#pending.filter((p) => {
      if (now - p.since < PATIENCE) return true;
      this.lines = this.lines.filter((l) => l.key !== `own.${p.ref}`);
      return false;
    });
    for (const p of this.#pending) this.#out.push({ type: "danmaku", client_ref: p.ref, text: p.text });
  }

  #clock(serverTime: number, now: number): void {
    const offset = serverTime - now;
    // Delays only make it smaller: the greatest seen is nearest the truth.
    this.clockOffset = Math.max(this.clockOffset ?? -Infinity, offset);
  }

  #event(event: RoomEvent, live: boolean): void {
    const key = keyOf(event.id);
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    if (this.#seen.size > 4 * LINES) this.#seen = new Set([...this.#seen].slice(-2 * LINES));
    const body = event.body;
    switch (body.kind) {
      case "danmaku": {
        const by = body.author.id;
        const own = this.you !== null && by === this.you.id;
        const fly: Flash = { kind: "fly", by, text: body.text, color: body.color, own, mode: body.mode };
        if (own) {
          const pending = this.#pending.some((p) => p.ref === body.client_ref);
          this.#confirm(body.client_ref, key);
          if (this.lines.some((l) => l.key === key)) return;
          if (live && !pending) this.#flashes.push(fly);
        } else if (live) {
          this.#flashes.push(fly);
        }
        this.#add({
          kind: "danmaku",
          key,
          by,
          author: body.author.name,
          text: body.text,
          at: event.at,
          color: body.color,
          own,
          pending: false,
        });
        break;
      }
      case "stage_changed":
        if (this.room) {
          // Under a cover the streamer may leave and come back: then the stage is what it was.
          const since = body.stage === this.room.stage ? this.room.stage_since : event.at;
          this.room = { ...this.room, stage: body.stage, stage_since: since, away: body.away };
        }
        // Something else is taken now: the remark is old.
        if (body.stage === "live" && event.at > (this.refused?.at ?? 0)) this.refused = undefined;
        break;
      case "ballot_opened":
        this.ballot = body.ballot;
        this.result = undefined;
        this.settled = undefined;
        this.vote = undefined;
        this.#casting = undefined;
        break;
      case "ballot_closed":
        this.result = body.result;
        this.ballot = undefined;
        this.#casting = undefined;
        break;
      case "owed_added":
        if (!this.owed.some((o) => o.id === body.owed.id)) this.owed = [...this.owed, body.owed];
        break;
      case "owed_done":
        this.settled = this.owed.find((o) => o.id === body.id) ?? this.settled;
        this.owed = this.owed.filter((o) => o.id !== body.id);
        break;
      case "room_changed":
        if (this.room) {
          this.room = { ...this.room, title: body.title, category: body.category, tags: body.tags };
        }
        break;
      case "stream_started":
        if (this.room) this.room = { ...this.room, live_since: event.at };
        break;
      case "stream_ended":
        if (this.room) this.room = { ...this.room, live_since: null };
        this.waiting = [];
        break;
    }
  }

  #confirm(ref: string, key: string): void {
    this.#pending = this.#pending.filter((p) => p.ref !== ref);
    if (this.lines.some((l) => l.key === key)) {
      this.lines = this.lines.filter((l) => l.key !== `own.${ref}`);
      return;
    }
    this.#seen.add(key);
    this.lines = this.lines.map((l) =>
      l.kind === "danmaku" && l.key === `own.${ref}` ? { ...l, key, pending: false } : l,
    );
  }

  #add(line: Line): void {
    this.lines = [...this.lines, line].slice(-LINES);
  }
}
