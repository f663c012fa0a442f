import { describe, expect, it } from "vitest";
import type {
  AccountView,
  BallotView,
  Owed,
  RoomEvent,
  RoomView,
  ServerMessage,
} from "../generated/protocol";
import { RoomModel } from "./model";

const me: AccountView = { id: "me", name: "小满", role: "viewer", created_at: 0 };
const room: RoomView = {
  id: "rain-cafe",
  title: "雨",
  category: "",
  tags: [],
  owner: { id: "o", name: "岚山" },
  stage: "live",
  stage_since: 5,
  live_since: 5,
  away: null,
  viewers: 3,
};
const said = (number: number, text: string, author = "you", ref = `r${String(number)}`): RoomEvent => ({
  id: { epoch: 1, number },
  at: 1000 + number,
  body: {
    kind: "danmaku",
    author: { id: author, name: author },
    text,
    mode: "scroll",
    color: "#ffffff",
    client_ref: ref,
  },
});
const welcome = (events: RoomEvent[], resumed: boolean): ServerMessage => ({
  type: "welcome",
  room,
  you: me,
  resumed,
  events,
  last: events.at(-1)?.id ?? { epoch: 1, number: 0 },
  ballot: null,
  your_vote: null,
  key_frames_far: false,
  owed: [],
  waiting: [],
  refused: null,
  server_time: 10_000,
});
const event = (e: RoomEvent): ServerMessage => ({ type: "event", event: e });
const texts = (m: RoomModel): string[] => m.lines.map((l) => (l.kind === "gap" ? "—" : l.text));

describe("a room", () => {
  it("shows what was said, and flies only what is said now", () => {
    const model = new RoomModel();
    model.message(welcome([said(1, "a"), said(2, "b")], false), 0);
    expect(model.takeFlashes()).toEqual([]);
    model.message(event(said(3, "c")), 0);
    expect(texts(model)).toEqual(["a", "b", "c"]);
    expect(model.takeFlashes().map((f) => (f.kind === "fly" ? f.text : ""))).toEqual(["c"]);
  });

  it("shows one's own comment at once, and once, whichever answer comes first", () => {
    for (const order of ["accepted first", "event first", "event alone"]) {
      const model = new RoomModel();
      model.message(welcome([], false), 0);
      model.write("你好", "ref-1", 0);
      expect(model.takeOut()).toEqual([{ type: "danmaku", client_ref: "ref-1", text: "你好" }]);
      expect(model.lines).toMatchObject([{ text: "你好", own: true, pending: true }]);
      const accepted: ServerMessage = { type: "accepted", client_ref: "ref-1", id: { epoch: 1, number: 1 } };
      const echo = event(said(1, "你好", "me", "ref-1"));
      if (order === "accepted first") [accepted, echo].forEach((m) => model.message(m, 1));
      else if (order === "event first") [echo, accepted].forEach((m) => model.message(m, 1));
      else model.message(echo, 1);
      expect(model.lines, order).toMatchObject([{ text: "你好", own: true, pending: false }]);
      expect(
        model.takeFlashes().filter((f) => f.kind === "fly"),
        order,
      ).toHaveLength(1);
    }
  });

  it("sends an unconfirmed comment again after a reconnect, under the same name, for a while", () => {
    const model = new RoomModel();
    model.message(welcome([], false), 0);
    model.write("在吗", "ref-1", 0);
    model.takeOut();
    model.message(welcome([], true), 5000);
    expect(model.takeOut()).toEqual([{ type: "danmaku", client_ref: "ref-1", text: "在吗" }]);
    model.message(welcome([], true), 100_000);
    expect(model.takeOut()).toEqual([]);
    expect(model.lines).toEqual([]);
  });

  it("does not send again what the server has already", () => {
    const model = new RoomModel();
    model.message(welcome([], false), 0);
    model.write("在吗", "ref-1", 0);
    model.takeOut();
    model.message(welcome([said(1, "在吗", "me", "ref-1")], true), 5000);
    expect(model.takeOut()).toEqual([]);
    expect(model.lines).toMatchObject([{ text: "在吗", pending: false }]);
  });

  it("gives back what was refused, with the reason", () => {
    const model = new RoomModel();
    model.message(welcome([], false), 0);
    model.write("太快", "ref-1", 0);
    model.takeFlashes();
    model.message(
      { type: "refused", client_ref: "ref-1", error: { code: "rate_limited", message: "slow" } },
      1,
    );
    expect(model.lines).toEqual([]);
    expect(model.takeFlashes()).toMatchObject([
      { kind: "refused", text: "太快", error: { code: "rate_limited" } },
    ]);
  });

  it("shows a hole that cannot be filled", () => {
    const model = new RoomModel();
    model.message(welcome([said(1, "a")], false), 0);
    model.message(welcome([said(900, "z")], false), 1);
    expect(texts(model)).toEqual(["a", "—", "z"]);
  });

  it("has no doubles where the last few are sent again", () => {
    const model = new RoomModel();
    model.message(welcome([said(1, "a"), said(2, "b")], false), 0);
    model.message(welcome([said(3, "c")], true), 1);
    model.message(event(said(3, "c")), 1);
    expect(texts(model)).toEqual(["a", "b", "c"]);
  });

  it("follows the stage, the title and the viewers", () => {
    const model = new RoomModel();
    model.message(welcome([], false), 0);
    model.message({ type: "presence", viewers: 9 }, 0);
    expect(model.viewers).toBe(9);
    model.message(
      event({
        id: { epoch: 1, number: 1 },
        at: 77,
        body: { kind: "stage_changed", stage: "lost", away: null },
      }),
      0,
    );
    expect(model.room).toMatchObject({ stage: "lost", stage_since: 77 });
    model.message(
      event({
        id: { epoch: 1, number: 2 },
        at: 78,
        body: { kind: "room_changed", title: "晴", category: "c", tags: ["x"] },
      }),
      0,
    );
    expect(model.room?.title).toBe("晴");
    model.message(
      event({ id: { epoch: 1, number: 3 }, at: 79, body: { kind: "stream_ended", stream: "s" } }),
      0,
    );
    expect(model.room?.live_since).toBeNull();
  });

  it("keeps a bounded list", () => {
    const model = new RoomModel();
    model.message(welcome([], false), 0);
    for (let n = 1; n <= 1000; n++) model.message(event(said(n, String(n))), 0);
    expect(model.lines).toHaveLength(300);
    expect(texts(model).at(-1)).toBe("1000");
  });

  it("takes the least delayed word for the server's clock", () => {
    const model = new RoomModel();
    for (const [server, now] of [
      [10_000, 9_500],
      [20_000, 19_300],
      [30_000, 29_900],
    ] as const) {
      model.message({ type: "heartbeat", server_time: server }, now);
    }
    expect(model.clockOffset).toBe(700);
  });

  it("tells the owner of a program that waits, once", () => {
    const model = new RoomModel();
    const publisher = { id: "p", program: "OBS", address: "10.0.0.2", at: 0 };
    model.message({ type: "publisher_waiting", publisher }, 0);
    model.message({ type: "publisher_waiting", publisher }, 0);
    expect(model.waiting).toHaveLength(1);
    model.dismiss("p");
    expect(model.waiting).toEqual([]);
  });

  it("tells the owner of a program that was sent away, until another is live", () => {
    const model = new RoomModel();
    const problem = { kind: "sound_codec", codec: "MP3" } as const;
    const publisher = { program: "OBS", address: "10.0.0.2", at: 5, reason: "It is MP3.", problem };
    const live = (at: number): void => {
      const id = { epoch: 1, number: at };
      model.message(
        { type: "event", event: { id, at, body: { kind: "stage_changed", stage: "live", away: null } } },
        0,
      );
    };
    model.message({ type: "publisher_refused", publisher }, 0);
    // It was live for a moment, before what it sends was known.
    live(4);
    expect(model.refused).toEqual(publisher);
    live(6);
    expect(model.refused).toBeUndefined();
    model.message({ type: "publisher_refused", publisher }, 0);
    model.dismissRefused();
    expect(model.refused).toBeUndefined();
  });

  it("calls people by their new names", () => {
    const model = new RoomModel();
    model.message(welcome([], false), 0);
    const owner = { id: room.owner.id, name: "幕间" };
    model.message({ type: "renamed", person: owner }, 0);
    expect(model.room?.owner).toEqual(owner);
    model.message({ type: "renamed", person: { id: me.id, name: "Ming" } }, 0);
    expect(model.you?.name).toBe("Ming");
    model.message({ type: "renamed", person: { id: "somebody", name: "else" } }, 0);
    expect([model.room?.owner.name, model.you?.name]).toEqual(["幕间", "Ming"]);
  });

  it("is told on every welcome who waits and who was sent away, but not of what was read", () => {
    const model = new RoomModel();
    const waits = { id: "p", program: "OBS", address: "10.0.0.2", at: 5 };
    const problem = { kind: "sound_codec", codec: "MP3" } as const;
    const refused = {
      program: "ffmpeg",
      address: "10.0.0.3",
      at: 6,
      reason: "The sound is coded as MP3.",
      problem,
    };
    const told = welcome([], true) as Extract<ServerMessage, { type: "welcome" }>;
    const greeting = { ...told, waiting: [waits], refused };
    model.message(greeting, 0);
    expect([model.waiting, model.refused]).toEqual([[waits], refused]);
    model.dismiss("p");
    model.dismissRefused();
    model.message(greeting, 0);
    expect([model.waiting, model.refused]).toEqual([[], undefined]);
    // The same program, refused again.
    model.message({ ...greeting, waiting: [{ ...waits, at: 9 }], refused: { ...refused, at: 9 } }, 0);
    expect([model.waiting.length, model.refused?.at]).toEqual([1, 9]);
    // What is over at the server is over here.
    model.message(welcome([], true), 0);
    expect([model.waiting, model.refused]).toEqual([[], undefined]);
  });

  it("tells the owner of key frames that are far apart, until they are nearer", () => {
    const model = new RoomModel();
    model.message({ type: "key_frames", far: true }, 0);
    expect(model.keyFramesFar).toBe(true);
    model.message({ type: "key_frames", far: false }, 0);
    expect(model.keyFramesFar).toBe(false);
    // Told while one was not connected, and mended while one was not.
    model.message({ ...welcome([], false), key_frames_far: true } as ServerMessage, 0);
    expect(model.keyFramesFar).toBe(true);
    model.message(welcome([], true), 0);
    expect(model.keyFramesFar).toBe(false);
  });

  const ballot = (votes: number[]): BallotView => ({
    id: "b1",
    opened_at: 1,
    closes_at: null,
    options: votes.map((v, i) => ({ interaction: { kind: "own", text: `o${String(i)}` }, votes: v })),
  });
  const happens = (number: number, body: RoomEvent["body"]): ServerMessage =>
    event({ id: { epoch: 1, number }, at: number, body });

  it("votes at once, changes its mind, and takes back what is refused", () => {
    const model = new RoomModel();
    model.message(welcome([], false), 0);
    model.cast(0, "v0");
    expect(model.takeOut()).toEqual([]);
    model.message(happens(1, { kind: "ballot_opened", ballot: ballot([0, 0]) }), 0);
    model.cast(1, "v1");
    expect(model.vote).toBe(1);
    expect(model.takeOut()).toEqual([{ type: "vote", client_ref: "v1", ballot: "b1", option: 1 }]);
    model.cast(1, "again");
    model.cast(7, "no such option");
    expect(model.takeOut()).toEqual([]);
    model.cast(0, "v2");
    model.message({ type: "voted", client_ref: "v1", ballot: "b1", option: 1 }, 0);
    expect(model.vote).toBe(0);
    model.message({ type: "refused", client_ref: "v2", error: { code: "rate_limited", message: "" } }, 0);
    expect(model.vote).toBeUndefined();
  });

  it("sends a vote that was not confirmed again after a reconnect, and only then", () => {
    const model = new RoomModel();
    const again: ServerMessage = {
      ...welcome([], true),
      ballot: ballot([2, 3]),
      your_vote: 1,
    } as ServerMessage;
    model.message(again, 0);
    expect(model.vote).toBe(1);
    model.cast(0, "v1");
    model.takeOut();
    model.message(again, 0);
    expect(model.vote).toBe(0);
    expect(model.takeOut()).toEqual([{ type: "vote", client_ref: "v1", ballot: "b1", option: 0 }]);
    model.message({ type: "voted", client_ref: "v1", ballot: "b1", option: 0 }, 0);
    model.message(again, 0);
    expect(model.takeOut()).toEqual([]);
  });

  it("follows the tally, the result, what is owed and what is done", () => {
    const model = new RoomModel();
    model.message({ ...welcome([], true), ballot: ballot([0, 0]) } as ServerMessage, 0);
    model.message({ type: "tally", ballot: "b1", votes: [4, 6] }, 0);
    expect(model.ballot?.options.map((o) => o.votes)).toEqual([4, 6]);
    model.message({ type: "tally", ballot: "of before", votes: [9, 9] }, 0);
    expect(model.ballot?.options.map((o) => o.votes)).toEqual([4, 6]);
    const result = { id: "b1", options: ballot([4, 6]).options, winner: 1, tie: false };
    model.message(happens(1, { kind: "ballot_closed", result }), 0);
    expect([model.ballot, model.result?.winner]).toEqual([undefined, 1]);
    const owed: Owed = { id: "b1", interaction: { kind: "own", text: "o1" }, votes: 6, tie: false, since: 1 };
    model.message(happens(2, { kind: "owed_added", owed }), 0);
    expect(model.owed).toEqual([owed]);
    model.message(happens(3, { kind: "owed_done", id: "b1", at: 5 }), 0);
    expect([model.owed, model.settled]).toEqual([[], owed]);
    model.message(happens(4, { kind: "ballot_opened", ballot: ballot([0]) }), 0);
    expect([model.settled, model.result]).toEqual([undefined, undefined]);
  });

  it("knows who is away under a cover, and since when", () => {
    const model = new RoomModel();
    model.message(welcome([], false), 0);
    const away = { since: 40, leave_id: "l", keep_sound: true, back_at: null };
    model.message(happens(1, { kind: "stage_changed", stage: "away", away }), 0);
    expect(model.room).toMatchObject({ stage: "away", away });
    model.message(happens(2, { kind: "stage_changed", stage: "covered", away }), 0);
    expect(model.room?.away).toEqual(away);
    model.message(happens(3, { kind: "stage_changed", stage: "covered", away: null }), 0);
    expect(model.room).toMatchObject({ away: null, stage_since: 2 });
  });
});
