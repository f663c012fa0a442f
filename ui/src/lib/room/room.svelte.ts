/** A room as reactive state: the model, fed by the backend's connection. */
import { backend } from "../backend";
import type { RoomConnection, RoomHandlers } from "../backend/types";
import type { LinkState } from "./link";
import { type Flash, RoomModel } from "./model";

/** In a busy room the page is drawn anew so often at most, in milliseconds: with every danmaku it would do nothing else. */
const TOGETHER = 150;

/** See {@link RoomModel}. Close it when its screen goes. */
export class RoomState {
  #model = new RoomModel();
  #connection: RoomConnection;
  #version = $state(0);
  /** While it runs the page was drawn a moment ago. */
  #drawn: ReturnType<typeof setTimeout> | undefined;
  #changed = false;
  #onFlash: (flash: Flash) => void;
  link = $state<LinkState>("connecting");

  /** `watching`: false for the studio, which is none of the audience. */
  constructor(room: string, onFlash: (flash: Flash) => void, watching = true) {
    this.#onFlash = onFlash;
    const handlers: RoomHandlers = {
      message: (message) => {
        this.#model.message(message, Date.now());
        this.#after();
      },
      state: (state) => {
        this.link = state;
      },
    };
    this.#connection = backend.openRoom(room, handlers, watching);
  }

  get model(): RoomModel {
    void this.#version;
    return this.#model;
  }

  write(text: string): void {
    this.#model.write(text, crypto.randomUUID(), Date.now());
    this.#after();
    // One's own words stand there at once.
    this.#version += 1;
  }

  cast(option: number): void {
    this.#model.cast(option, crypto.randomUUID());
    this.#after();
  }

  dismiss(publisher: string): void {
    this.#model.dismiss(publisher);
    this.#version += 1;
  }

  dismissRefused(): void {
    this.#model.dismissRefused();
    this.#version += 1;
  }

  renew(): void {
    this.#connection.renew();
  }

  close(): void {
    clearTimeout(this.#drawn);
    this.#connection.close();
  }

  #after(): void {
    for (const out of this.#model.takeOut()) this.#connection.send(out);
    for (const flash of this.#model.takeFlashes()) this.#onFlash(flash);
    this.#changed = true;
    if (this.#drawn === undefined) this.#draw();
  }

  /** At once, and what changes soon after it together. */
  #draw(): void {
    this.#drawn = undefined;
    if (!this.#changed) return;
    this.#changed = false;
    this.#version += 1;
    this.#drawn = setTimeout(() => this.#draw(), TOGETHER);
  }
}
