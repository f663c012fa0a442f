/** A list of followed rooms that is fetched again and again, and changed by presses meanwhile. */
import type { RoomView } from "./generated/protocol";

export class FollowedList {
  readonly rooms: readonly RoomView[] | undefined;
  /** Another one after each press. */
  readonly edition: number;
  readonly #ids: ReadonlySet<string>;

  constructor(rooms?: readonly RoomView[], edition = 0) {
    this.rooms = rooms;
    this.edition = edition;
    this.#ids = new Set(rooms?.map((room) => room.id));
  }

  has(room: string): boolean {
    return this.#ids.has(room);
  }

  /** What was asked for in an edition; one that was asked for before a press does not know of it and is not taken. */
  fetched(rooms: readonly RoomView[], asked: number): FollowedList {
    return asked === this.edition ? new FollowedList(rooms, asked) : this;
  }

  /** A press was carried out. */
  set(room: RoomView, on: boolean): FollowedList {
    const others = (this.rooms ?? []).filter((r) => r.id !== room.id);
    return new FollowedList(on ? [room, ...others] : others, this.edition + 1);
  }
}

/** How the hall shows what it has: what is followed at its head, and nothing twice. */
export interface Programme {
  readonly followedLive: readonly RoomView[];
  readonly followedOff: readonly RoomView[];
  readonly live: readonly RoomView[];
  readonly off: readonly RoomView[];
}

/** `rooms`: the hall's list; `followed`: what is shown at its head, in the order in which the server gives it. */
export function programme(rooms: readonly RoomView[], followed: readonly RoomView[]): Programme {
  // The hall's list is fetched more often, so it knows better what is live.
  const newer = new Map(rooms.map((room) => [room.id, room]));
  const own = followed.map((room) => newer.get(room.id) ?? room);
  const ids = new Set(own.map((room) => room.id));
  const others = rooms.filter((room) => !ids.has(room.id));
  const live = (list: readonly RoomView[]): RoomView[] => list.filter((room) => room.stage !== "off");
  const off = (list: readonly RoomView[]): RoomView[] => list.filter((room) => room.stage === "off");
  return { followedLive: live(own), followedOff: off(own), live: live(others), off: off(others) };
}
