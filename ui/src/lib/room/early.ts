/**
 * A room's programme, asked for before its page is there to show it: building the page takes as long as the server's answer
 * does, and the two need not wait for each other.
 */
import type { MediaConnection, MediaHandlers, MediaLink } from "../backend/types";

/** Bytes that are kept until the page takes them; more is more than a page takes to be built. */
const KEPT = 8 * 1024 * 1024;

/** See the top of the file. */
export class EarlyMedia {
  #connection: MediaConnection | undefined;
  #handlers: MediaHandlers | undefined;
  #kept: (ArrayBuffer | MediaLink)[] = [];
  #bytes = 0;

  constructor(open: (handlers: MediaHandlers) => MediaConnection) {
    this.#connection = open({
      data: (bytes) => {
        if (this.#handlers) this.#handlers.data(bytes);
        else this.#keep(bytes, bytes.byteLength);
      },
      state: (state) => {
        if (this.#handlers) this.#handlers.state(state);
        else this.#keep(state, 0);
      },
    });
  }

  #keep(what: ArrayBuffer | MediaLink, bytes: number): void {
    if (!this.#connection) return;
    this.#kept.push(what);
    this.#bytes += bytes;
    if (this.#bytes > KEPT) this.close();
  }

  /** Hands it over, once, with what has come so far; undefined: there is none, and another must be opened. */
  take(handlers: MediaHandlers): MediaConnection | undefined {
    const connection = this.#connection;
    if (!connection) return undefined;
    this.#connection = undefined;
    this.#handlers = handlers;
    // After the caller has got the connection, and before anything more comes.
    queueMicrotask(() => {
      for (const what of this.#kept.splice(0)) {
        if (typeof what === "string") handlers.state(what);
        else handlers.data(what);
      }
    });
    return connection;
  }

  /** Nobody takes it any more. What was handed over is not this one's to close. */
  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
    this.#kept = [];
  }
}
