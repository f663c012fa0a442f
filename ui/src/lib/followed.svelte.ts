/** The rooms that whoever is logged in follows, one list for all screens. */
import { untrack } from "svelte";
import { backend } from "./backend";
import { FollowedList } from "./followed";
import type { RoomView } from "./generated/protocol";
import { notices } from "./notify.svelte";
import { session } from "./session.svelte";

class Followed {
  #list = $state.raw(new FollowedList());
  #account: string | undefined;
  #failed = $state(false);

  /** Undefined: not known yet, or nobody is logged in. */
  get rooms(): readonly RoomView[] | undefined {
    return this.#list.rooms;
  }

  /** Whether it is known what is followed, or will not be soon. */
  get known(): boolean {
    return this.rooms !== undefined || this.#failed;
  }

  has(room: string): boolean {
    return this.#list.has(room);
  }

  /** Fetches the list, of nobody else than who is logged in by then. Throws what went wrong. */
  load(): Promise<void> {
    // Whoever loads in an effect does not wait for what is loaded.
    return untrack(() => this.#load());
  }

  async #load(): Promise<void> {
    const account = session.account?.id;
    if (account !== this.#account) {
      this.#account = account;
      this.#list = new FollowedList();
      this.#failed = false;
    }
    if (account === undefined) return;
    const asked = this.#list.edition;
    const current = (): boolean => account === session.account?.id && account === this.#account;
    try {
      const rooms = await backend.request<RoomView[]>("GET", "/me/followed");
      if (current()) this.#list = this.#list.fetched(rooms, asked);
    } catch (error) {
      if (current()) this.#failed = true;
      throw error;
    }
  }

  /** Follows a room, or not any more. Throws what went wrong. */
  async set(room: RoomView, on: boolean): Promise<void> {
    const account = this.#account;
    if (on && room.stage !== "off") notices.quiet(room);
    await backend.request(on ? "PUT" : "DELETE", `/rooms/${room.id}/follow`);
    if (account === this.#account) this.#list = this.#list.set(room, on);
  }
}

export const followed = new Followed();
