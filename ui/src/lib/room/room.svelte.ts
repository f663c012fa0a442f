/** A room as reactive state: the model, fed by the backend's connection. */
import { backend } from "../backend";
import type { RoomConnection, RoomHandlers } from "../backend/types";
import type { LinkState } from "./link";
import { type Flash, RoomModel } from "./model";

/** See {@link RoomModel}. Close it when its screen goes. */
export class RoomState {
  #model = new RoomModel();
  #connection: RoomConnection;
  #version = $state(0);
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
    this.#connection.close();
  }

  #after(): void {
    for (const out of this.#model.takeOut()) this.#connection.send(out);
    for (const flash of this.#model.takeFlashes()) this.#onFlash(flash);
    this.#version += 1;
  }
}
