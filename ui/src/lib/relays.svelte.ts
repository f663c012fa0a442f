/** Where a room is restreamed to, as reactive state: asked for, changed, and looked at again while it is shown. */
import { backend } from "./backend";
import type { NewRelay, RelayPatch, RelayView } from "./generated/protocol";
import { whileShown } from "./poll";

const EVERY = 3000;

/** See the top of the file. */
export class RelaysModel {
  readonly room: string;
  /** Undefined: not known yet. */
  list = $state.raw<readonly RelayView[] | undefined>();
  /** Changes that are on their way: an answer to an older question says nothing any more. */
  #changes = 0;

  constructor(room: string) {
    this.room = room;
  }

  get #path(): string {
    return `/rooms/${this.room}/relays`;
  }

  /** Looks again and again. Returns what stops it. */
  follow(): () => void {
    return whileShown(EVERY, () => this.load());
  }

  async load(): Promise<void> {
    const before = this.#changes;
    try {
      const list = await backend.request<RelayView[]>("GET", this.#path);
      if (before === this.#changes) this.list = list;
    } catch {
      // It is looked again in a moment; what is shown stays.
    }
  }

  async add(relay: NewRelay): Promise<void> {
    await this.#change(async () => {
      const added = await backend.request<RelayView>("POST", this.#path, relay);
      this.list = [...(this.list ?? []), added];
    });
  }

  async change(id: string, patch: RelayPatch): Promise<void> {
    await this.#change(async () => {
      const changed = await backend.request<RelayView>("PATCH", `${this.#path}/${id}`, patch);
      this.list = this.list?.map((r) => (r.id === id ? changed : r));
    });
  }

  async remove(id: string): Promise<void> {
    await this.#change(async () => {
      await backend.request("DELETE", `${this.#path}/${id}`);
      this.list = this.list?.filter((r) => r.id !== id);
    });
  }

  async #change(work: () => Promise<void>): Promise<void> {
    this.#changes++;
    try {
      await work();
    } finally {
      this.#changes++;
    }
    void this.load();
  }
}
