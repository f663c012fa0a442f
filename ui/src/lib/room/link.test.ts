import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RoomView, ServerMessage } from "../generated/protocol";
import { type LinkAction, RoomLink } from "./link";

const room: RoomView = {
  id: "rain-cafe",
  title: "t",
  category: "",
  tags: [],
  owner: { id: "o", name: "o" },
  stage: "live",
  stage_since: 0,
  live_since: 0,
  away: null,
  viewers: 1,
};
const welcome = (number: number, resumed = true): ServerMessage => ({
  type: "welcome",
  room,
  you: null,
  resumed,
  events: [],
  last: { epoch: 1, number },
  ballot: null,
  your_vote: null,
  key_frames_far: false,
  owed: [],
  waiting: [],
  refused: null,
  server_time: 1,
});
const event = (number: number, epoch = 1): ServerMessage => ({
  type: "event",
  event: { id: { epoch, number }, at: 0, body: { kind: "stage_changed", stage: "live", away: null } },
});

function drain(link: RoomLink): LinkAction[] {
  const all: LinkAction[] = [];
  for (let a = link.poll(); a; a = link.poll()) all.push(a);
  return all;
}
const kinds = (link: RoomLink): string[] => drain(link).map((a) => a.do);
const delivered = (actions: LinkAction[]): number[] =>
  actions.flatMap((a) =>
    a.do === "deliver" && a.message.type === "event" ? [a.message.event.id.number] : [],
  );

function joined(last = 5, token?: string): RoomLink {
  const link = new RoomLink({ token: () => token, random: () => 0 });
  link.start(0);
  link.opened(10);
  link.message(welcome(last), 20);
  drain(link);
  return link;
}

describe("the connection to a room", () => {
  it("of an overlay comes with its key, also when it comes again, and ends when the key does", () => {
    const refused: ServerMessage = {
      type: "refused",
      client_ref: null,
      error: { code: "unauthenticated", message: "No." },
    };
    const open = (): RoomLink => {
      const link = new RoomLink({ token: () => undefined, random: () => 0, overlay: "key" });
      link.start(0);
      drain(link);
      link.opened(10);
      return link;
    };
    const link = open();
    expect(drain(link)).toEqual([{ do: "send", message: { type: "hello", version: 1, overlay: "key" } }]);
    link.message(welcome(7), 20);
    drain(link);
    link.closed(30);
    link.tick(link.wakeAt ?? 0);
    link.opened(2000);
    expect(drain(link).at(-1)).toEqual({
      do: "send",
      message: { type: "hello", version: 1, after: { epoch: 1, number: 7 }, overlay: "key" },
    });
    link.message(welcome(7), 2010);
    drain(link);
    for (const ended of [link, open()]) {
      drain(ended);
      ended.message(refused, 3000);
      expect(drain(ended).slice(1)).toEqual([{ do: "close" }, { do: "state", state: "ended" }]);
      expect(ended.wakeAt).toBeUndefined();
      ended.closed(3010);
      ended.tick(1e9);
      ended.retry(1e9);
      expect(drain(ended)).toEqual([]);
    }
  });

  it("says hello with the token, and with where it stopped when it comes again", () => {
    const link = new RoomLink({ token: () => "secret", random: () => 0 });
    link.start(0);
    expect(kinds(link)).toEqual(["connect", "state"]);
    link.opened(10);
    expect(drain(link)).toEqual([{ do: "send", message: { type: "hello", version: 1, token: "secret" } }]);
    link.message(welcome(7), 20);
    link.message(event(8), 30);
    drain(link);
    link.closed(40);
    link.tick(link.wakeAt ?? 0);
    link.opened(1000);
    expect(drain(link).at(-1)).toEqual({
      do: "send",
      message: { type: "hello", version: 1, token: "secret", after: { epoch: 1, number: 8 } },
    });
  });

  it("leaves the token out where nobody is logged in", () => {
    const link = new RoomLink({ token: () => undefined, random: () => 0 });
    link.start(0);
    link.opened(1);
    expect(drain(link).at(-1)).toEqual({ do: "send", message: { type: "hello", version: 1 } });
  });

  it("says that the studio does not watch", () => {
    const link = new RoomLink({ token: () => undefined, random: () => 0, watching: false });
    link.start(0);
    link.opened(1);
    expect(drain(link).at(-1)).toEqual({
      do: "send",
      message: { type: "hello", version: 1, watching: false },
    });
  });

  it("watches as a guest when the session has ended, until somebody logs in", () => {
    const link = new RoomLink({ token: () => "old", random: () => 0 });
    const hello = (): unknown => drain(link).flatMap((a) => (a.do === "send" ? [a.message] : []))[0];
    link.start(0);
    link.opened(1);
    expect(hello()).toMatchObject({ token: "old" });
    link.message(
      { type: "refused", client_ref: null, error: { code: "unauthenticated", message: "ended" } },
      2,
    );
    link.closed(3);
    link.tick(1000);
    link.opened(1001);
    expect(hello()).not.toHaveProperty("token");
    link.message(welcome(1), 1002);
    link.renew(2000);
    link.opened(2001);
    expect(hello()).toMatchObject({ token: "old" });
  });

  it("watches as a guest also when the session ends while it stands", () => {
    const link = joined(5, "old");
    link.message(
      { type: "refused", client_ref: null, error: { code: "unauthenticated", message: "ended" } },
      30,
    );
    expect(kinds(link)).toEqual(["deliver"]);
    link.closed(40);
    link.tick(link.wakeAt ?? 0);
    link.opened(1001);
    const hello = drain(link).flatMap((a) => (a.do === "send" ? [a.message] : []))[0];
    expect(hello).toMatchObject({ type: "hello" });
    expect(hello).not.toHaveProperty("token");
  });

  it("hands on each event once", () => {
    const link = joined(5);
    for (const n of [6, 6, 5, 7, 6, 7, 8]) link.message(event(n), 100);
    expect(delivered(drain(link))).toEqual([6, 7, 8]);
  });

  it("asks again where a number is missing", () => {
    const link = joined(5);
    link.message(event(7), 100);
    expect(kinds(link)).toEqual(["close", "state"]);
    link.tick(link.wakeAt ?? 0);
    link.opened(500);
    const hello = drain(link).at(-1);
    expect(hello?.do === "send" && hello.message.type === "hello" && hello.message.after).toEqual({
      epoch: 1,
      number: 5,
    });
  });

  it("takes a new epoch's numbers from where they begin", () => {
    const link = joined(5);
    link.message(event(1, 2), 100);
    expect(delivered(drain(link))).toEqual([1]);
    expect(link.last).toEqual({ epoch: 2, number: 1 });
  });

  it("takes a connection for dead that says nothing", () => {
    const link = joined();
    link.message({ type: "heartbeat", server_time: 5 }, 10_000);
    link.tick(34_999);
    expect(kinds(link)).toEqual(["deliver"]);
    link.tick(35_000);
    expect(kinds(link)).toEqual(["close", "state"]);
  });

  it("gives up a connection without a welcome", () => {
    const link = new RoomLink({ token: () => undefined, random: () => 0 });
    link.start(0);
    link.tick(9_999);
    drain(link);
    link.tick(10_000);
    expect(kinds(link)).toEqual(["close", "state"]);
  });

  it("waits longer after each failure, and forgets them after it stood", () => {
    const link = new RoomLink({ token: () => undefined, random: () => 0 });
    let now = 0;
    link.start(now);
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      link.closed(now);
      const due = link.wakeAt ?? 0;
      waits.push(due - now);
      now = due;
      link.tick(now);
    }
    expect(waits).toEqual([150, 300, 600, 1200, 2400, 4000, 4000, 4000]);
    link.opened(now);
    link.message(welcome(1), now);
    link.closed(now + 11_000);
    expect((link.wakeAt ?? 0) - now - 11_000).toBe(150);
  });

  it("does not wait when the network is back", () => {
    const link = joined();
    link.closed(100);
    drain(link);
    link.retry(101);
    expect(kinds(link)).toContain("connect");
    link.retry(102);
    expect(kinds(link)).toEqual([]);
  });

  it("sends only when it is joined", () => {
    const link = new RoomLink({ token: () => undefined, random: () => 0 });
    const message = { type: "danmaku", client_ref: "a", text: "x" } as const;
    link.start(0);
    expect(link.send(message)).toBe(false);
    expect(joined().send(message)).toBe(true);
  });

  it("delivers without doubles or holes, whatever is lost, doubled or broken", () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("next" as const), skip: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ do: fc.constant("again" as const), skip: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ do: fc.constant("close" as const), skip: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const link = new RoomLink({ token: () => undefined, random: () => 0.5 });
        const seen: number[] = [];
        let now = 0;
        let server = 3;
        let connected = false;
        const pump = (): void => {
          for (let a = link.poll(); a; a = link.poll()) {
            if (a.do === "connect") {
              connected = true;
              link.opened(now);
            } else if (a.do === "close") connected = false;
            else if (a.do === "send" && a.message.type === "hello") {
              const after = a.message.after?.number ?? server;
              const events = [];
              for (let n = after + 1; n <= server; n++) {
                const e = event(n);
                if (e.type === "event") events.push(e.event);
              }
              seen.push(...events.map((e) => e.id.number));
              link.message(
                { ...(welcome(server) as Extract<ServerMessage, { type: "welcome" }>), events },
                now,
              );
            } else if (a.do === "deliver" && a.message.type === "event") seen.push(a.message.event.id.number);
          }
        };
        link.start(now);
        pump();
        for (const s of steps) {
          now += 50;
          if (s.do === "close") {
            if (connected) link.closed(now);
            connected = false;
          } else if (s.do === "next") {
            server += 1 + s.skip;
            if (connected) link.message(event(server), now);
          } else if (connected) link.message(event(Math.max(1, server - s.skip)), now);
          pump();
          link.tick(now);
          pump();
        }
        now += 60_000;
        link.closed(now);
        link.tick(now + 10_000);
        now += 10_000;
        pump();
        expect(seen).toEqual(Array.from({ length: server - 3 }, (_, i) => i + 4));
      }),
    );
  });
});
