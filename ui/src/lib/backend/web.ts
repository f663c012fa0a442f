/** The browser's backend: the server that the page came from. */
import type { AccountView, ApiError, SessionView } from "../generated/protocol";
import { overlayPath } from "../overlay/options";
import { store, stored } from "../stored";
import { backoff } from "../room/backoff";
import { openRoomSocket, socketUrl } from "./roomsocket";
import {
  type Backend,
  Failed,
  type MediaConnection,
  type MediaHandlers,
  type RoomConnection,
  type RoomHandlers,
} from "./types";

const TOKEN = "mujian.token";
/** The programme always sends something; silence for this long is a dead connection, in milliseconds. */
const MEDIA_SILENCE = 5000;
/** A connection may take this long to be made, in milliseconds. */
const MEDIA_CONNECT = 12_000;

const now = (): number => performance.now();

function isApiError(value: unknown): value is ApiError {
  return typeof value === "object" && value !== null && "code" in value && "message" in value;
}

const unreachable = (): Failed => new Failed({ code: "unreachable", message: "The server does not answer." });

/** See {@link Backend}. */
export class WebBackend implements Backend {
  readonly kind = "web";
  readonly hosting = false;
  readonly studio = undefined;
  readonly smallWindow = undefined;
  readonly notify = undefined;
  readonly homes = undefined;
  readonly withheld = undefined;
  readonly hotkeys = undefined;
  onexpired: (() => void) | undefined;

  #token = (): string | undefined => stored(TOKEN) ?? undefined;

  async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    const json =
      body === undefined ? undefined : new Blob([JSON.stringify(body)], { type: "application/json" });
    const token = this.#token();
    return this.#answer<T>(await this.#fetch(method, path, json), token);
  }

  async upload<T>(method: string, path: string, file: Blob | undefined): Promise<T> {
    const token = this.#token();
    return this.#answer<T>(await this.#fetch(method, path, file), token);
  }

  async media(path: string): Promise<Blob> {
    const token = this.#token();
    const response = await this.#fetch("GET", path);
    if (!response.ok) await this.#answer(response, token);
    return response.blob();
  }

  /** A blob's type goes with it. */
  async #fetch(method: string, path: string, body?: Blob): Promise<Response> {
    const token = this.#token();
    try {
      return await fetch(`/api/v1${path}`, {
        method,
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body }),
        credentials: "same-origin",
        cache: "no-store",
      });
    } catch {
      throw unreachable();
    }
  }

  /** `token`: what the call was made with. */
  async #answer<T>(response: Response, token: string | undefined): Promise<T> {
    const text = await response.text();
    let json: unknown;
    try {
      json = text === "" ? undefined : JSON.parse(text);
    } catch {
      json = undefined;
    }
    if (!response.ok) {
      if (isApiError(json)) {
        // Somebody may have logged in again meanwhile.
        if (json.code === "unauthenticated" && token !== undefined && token === this.#token()) {
          store(TOKEN, undefined);
          this.onexpired?.();
        }
        throw new Failed(json);
      }
      if (response.status >= 502) throw unreachable();
      throw new Failed({ code: "internal", message: `The server answered ${String(response.status)}.` });
    }
    return json as T;
  }

  locale(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async account(): Promise<AccountView | null> {
    if (this.#token() === undefined) return null;
    try {
      return await this.request<AccountView>("GET", "/me");
    } catch (error) {
      if (error instanceof Failed && error.code === "unauthenticated") return null;
      throw error;
    }
  }

  async #open(path: string, name: string, password: string): Promise<AccountView> {
    const session = await this.request<SessionView>("POST", path, { name, password });
    store(TOKEN, session.token);
    return session.account;
  }

  logIn(name: string, password: string): Promise<AccountView> {
    return this.#open("/sessions", name, password);
  }

  signUp(name: string, password: string): Promise<AccountView> {
    return this.#open("/accounts", name, password);
  }

  async logOut(): Promise<void> {
    try {
      await this.request("DELETE", "/sessions/current");
    } finally {
      store(TOKEN, undefined);
    }
  }

  roomLink(room: string): string {
    return new URL(`/watch/${room}`, location.href).href;
  }

  replayLink(replay: string): string {
    return new URL(`/replay/${replay}`, location.href).href;
  }

  overlayLink(room: string, key: string): string {
    return new URL(overlayPath(room, key), location.href).href;
  }

  hlsUrl(room: string): string {
    return `/live/${room}/index.m3u8`;
  }

  openRoom(room: string, handlers: RoomHandlers, watching = true): RoomConnection {
    return openRoomSocket(room, { token: this.#token, watching }, handlers);
  }

  openMedia(room: string, handlers: MediaHandlers): MediaConnection {
    let socket: WebSocket | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;
    let heardAt = 0;
    let over = false;

    const drop = (): void => {
      const old = socket;
      socket = undefined;
      old?.close();
      clearTimeout(timer);
    };
    const lost = (): void => {
      drop();
      if (over) return;
      handlers.state("lost");
      timer = setTimeout(connect, backoff(failures, Math.random()));
      failures += 1;
    };
    // One timer, not one for each of the many messages: it looks when something was last heard.
    const watch = (): void => {
      const left = heardAt + (socket?.readyState === WebSocket.OPEN ? MEDIA_SILENCE : MEDIA_CONNECT) - now();
      if (left <= 0) lost();
      else timer = setTimeout(watch, left);
    };
    const connect = (): void => {
      const mine = new WebSocket(socketUrl(`/live/${room}.mp4`));
      mine.binaryType = "arraybuffer";
      socket = mine;
      let heard = 0;
      heardAt = now();
      clearTimeout(timer);
      watch();
      mine.onopen = () => {
        if (socket !== mine) return;
        heardAt = now();
        clearTimeout(timer);
        watch();
        handlers.state("connected");
      };
      mine.onmessage = (e: MessageEvent<unknown>) => {
        if (socket !== mine || !(e.data instanceof ArrayBuffer)) return;
        heard += 1;
        if (heard > 30) failures = 0;
        heardAt = now();
        handlers.data(e.data);
      };
      mine.onclose = () => {
        if (socket === mine) lost();
      };
    };
    const online = (): void => {
      if (socket || over) return;
      clearTimeout(timer);
      connect();
    };
    window.addEventListener("online", online);
    connect();
    return {
      restart() {
        drop();
        connect();
      },
      close() {
        over = true;
        window.removeEventListener("online", online);
        drop();
      },
    };
  }
}
