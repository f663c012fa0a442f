/** A room's placeholders as reactive state: asked for, changed, and looked at again while one is being made. */
import { backend } from "./backend";
import type {
  BackAtRequest,
  ChoiceView,
  PlaceholderPatch,
  PlaceholderView,
  ShelfView,
} from "./generated/protocol";
import { type Draft, askAgain, lookAgain, saysOfItself } from "./shelf";
import { toasts } from "./toasts.svelte";

/** See the top of the file. */
export class ShelfModel {
  readonly room: string;
  view = $state.raw<ShelfView | undefined>();
  failed = $state(false);
  /** Something is on its way to the server. */
  busy = $state(false);
  #posters = $state<Record<string, string>>({});
  /** Those whose picture was asked for. Nothing is drawn by this. */
  readonly #asked: Record<string, boolean> = {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  constructor(room: string) {
    this.room = room;
  }

  get #path(): string {
    return `/rooms/${this.room}/placeholders`;
  }

  async load(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      this.#take(await backend.request<ShelfView>("GET", this.#path));
      this.failed = false;
    } catch (error) {
      // One that is looked at again by itself says nothing twice.
      if (!this.failed) toasts.bad(error);
      this.failed = true;
    }
  }

  #take(view: ShelfView): void {
    if (this.#over) return;
    this.view = view;
    clearTimeout(this.#timer);
    const pause = lookAgain(view);
    if (pause !== undefined) this.#timer = setTimeout(() => void this.load(), pause);
  }

  /** The address of a still picture of one; undefined: not yet. */
  poster(id: string): string | undefined {
    const own = this.view?.placeholders.find((p) => p.id === id);
    // What is being made has no picture, or an old one.
    if (own?.state.state === "checking") return undefined;
    const key = own ? `${id}/${own.digest}` : id;
    if (this.#asked[key] !== true) {
      this.#asked[key] = true;
      void this.#fetch(id, key);
    }
    return this.#posters[key];
  }

  async #fetch(id: string, key: string, attempt = 0): Promise<void> {
    try {
      const picture = await backend.media(`${this.#path}/${id}/poster`);
      if (!this.#over) this.#posters[key] = URL.createObjectURL(picture);
    } catch {
      // A refused one may have none, and before there is a room nobody draws them: asked again with the next look.
      this.#asked[key] = false;
      const pause = askAgain(attempt);
      if (pause === undefined || this.#over) return;
      // A server that is busy drawing others: there may be no next look.
      setTimeout(() => {
        if (this.#over || this.#asked[key] === true) return;
        this.#asked[key] = true;
        void this.#fetch(id, key, attempt + 1);
      }, pause);
    }
  }

  /** The beginning of one as viewers see it: an address to be revoked by whoever asked. */
  async preview(id: string): Promise<string | undefined> {
    try {
      const film = await backend.media(`${this.#path}/${id}/preview`);
      return URL.createObjectURL(new Blob([film], { type: "video/mp4" }));
    } catch {
      return undefined;
    }
  }

  async #do<T>(act: () => Promise<T>): Promise<T | undefined> {
    this.busy = true;
    try {
      return await act();
    } catch (error) {
      toasts.bad(error);
      return undefined;
    } finally {
      this.busy = false;
    }
  }

  /** Puts one on the shelf. Says whether it is there. */
  async add(draft: Draft): Promise<boolean> {
    const path = `${this.#path}?${saysOfItself(draft)}`;
    const added = await this.#do(() => backend.upload<PlaceholderView>("POST", path, draft.file));
    if (added && draft.sound) await this.setSound(added.id, draft.sound);
    await this.load();
    return added !== undefined;
  }

  async setSound(id: string, sound: File): Promise<void> {
    await this.#do(() => backend.upload("PUT", `${this.#path}/${id}/sound`, sound));
    await this.load();
  }

  async change(id: string, patch: PlaceholderPatch): Promise<void> {
    const view = await this.#do(() => backend.request<ShelfView>("PATCH", `${this.#path}/${id}`, patch));
    if (view) this.#take(view);
  }

  async remove(id: string): Promise<void> {
    await this.#do(() => backend.request("DELETE", `${this.#path}/${id}`));
    await this.load();
  }

  /** Picks one, for now if the streamer is away, else for the next time; null: by rule. */
  async pick(id: string | null): Promise<void> {
    const body = id === null ? {} : { placeholder_id: id };
    const choice = await this.#do(() =>
      backend.request<ChoiceView>("POST", `/rooms/${this.room}/away`, body),
    );
    if (choice) await this.load();
  }

  /** When the streamer, who is away, means to be back. */
  async setBackAt(at: number | null): Promise<void> {
    const body: BackAtRequest = { back_at: at };
    await this.#do(() => backend.request("PUT", `/rooms/${this.room}/back_at`, body));
  }

  close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    for (const url of Object.values(this.#posters)) URL.revokeObjectURL(url);
  }
}
