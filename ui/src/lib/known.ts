/** Rooms as a list showed them last: a room's page begins with that, and is told the present meanwhile. */
import type { RoomView } from "./generated/protocol";

const rooms = new Map<string, RoomView>();

/** Remembers a list; what was known before is forgotten. */
export function remember(list: readonly RoomView[]): void {
  rooms.clear();
  for (const room of list) rooms.set(room.id, room);
}

export function known(id: string): RoomView | undefined {
  return rooms.get(id);
}
