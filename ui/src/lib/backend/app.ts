/** The app's backend: commands and channels of the Rust side. */
import { Channel, invoke } from "@tauri-apps/api/core";
import type {
  AccountView,
  ApiError,
  ApiResponse,
  AppHome,
  AppInfo,
  ClientMessage,
  Devices,
  LineSpeed,
  EncoderReport,
  MediaState,
  RoomChannelMessage,
  Share,
  StudioEvent,
  StudioSettings,
  StudioState,
  TrayWords,
  Withheld,
} from "../generated/protocol";
import { overlayPath } from "../overlay/options";
import {
  type Backend,
  Failed,
  type Homes,
  type Hotkeys,
  type MediaConnection,
  type MediaHandlers,
  type Notice,
  type RoomConnection,
  type RoomHandlers,
  type StudioBackend,
} from "./types";

function isApiError(value: unknown): value is ApiError {
  return typeof value === "object" && value !== null && "code" in value && "message" in value;
}

async function call<T>(
  command: string,
  args?: Record<string, unknown> | Uint8Array,
  headers?: Record<string, string>,
): Promise<T> {
  try {
    return await invoke<T>(command, args, headers && { headers });
  } catch (error) {
    if (isApiError(error)) throw new Failed(error);
    throw new Failed({ code: "internal", message: String(error) });
  }
}

/** Raw bytes come as an ArrayBuffer; small ones, by some transports, as an array of numbers. */
function bytesOf(data: unknown): ArrayBuffer | undefined {
  if (data instanceof ArrayBuffer) return data;
  if (data instanceof Uint8Array) return data.slice().buffer;
  if (Array.isArray(data)) return Uint8Array.from(data as number[]).buffer;
  return undefined;
}

class AppStudio implements StudioBackend {
  devices(): Promise<Devices> {
    return call("studio_devices");
  }
  encoders(): Promise<EncoderReport[]> {
    return call("studio_encoders");
  }
  pickFile(title: string): Promise<string | null> {
    return call("studio_pick_file", { title });
  }
  pickFolder(title: string): Promise<string | null> {
    return call("studio_pick_folder", { title });
  }
  showRecordings(): Promise<void> {
    return call("studio_show_recordings");
  }
  get(): Promise<StudioState> {
    return call("studio_get");
  }
  set(settings: StudioSettings): Promise<StudioState> {
    return call("studio_set", { settings });
  }
  goLive(): Promise<void> {
    return call("studio_go_live");
  }
  end(): Promise<void> {
    return call("studio_end");
  }
  leave(agoMs: number): Promise<void> {
    return call("studio_leave", { agoMs });
  }
  back(): Promise<void> {
    return call("studio_back");
  }
  retake(): Promise<void> {
    return call("studio_retake");
  }
  close(end: boolean): Promise<void> {
    return call("window_close", { end });
  }
  trayWords(words: TrayWords): Promise<void> {
    return call("tray_words", { words });
  }
  async subscribe(onEvent: (event: StudioEvent) => void): Promise<void> {
    await call("studio_subscribe", { onEvent: new Channel<StudioEvent>(onEvent) });
  }
  async preview(onFrame: (jpeg: ArrayBuffer) => void): Promise<() => void> {
    const channel = new Channel<unknown>((data) => {
      const bytes = bytesOf(data);
      if (bytes) onFrame(bytes);
    });
    await call("studio_preview", { onFrame: channel });
    return () => {
      void call("studio_preview_stop").catch(() => undefined);
    };
  }
  share(on: boolean): Promise<Share> {
    return call(on ? "share_start" : "share_stop");
  }
  measureLine(): Promise<LineSpeed> {
    return call("studio_measure_line");
  }
}

/** See {@link Backend}. */
export class AppBackend implements Backend {
  readonly kind = "app";
  readonly studio: StudioBackend = new AppStudio();
  readonly smallWindow = (small: boolean): Promise<void> => call("window_small", { small });
  readonly notify = ({ title, body, open }: Notice, onopen: () => void): Promise<void> =>
    call("notify", { title, body, open, onOpen: new Channel<null>(onopen) });
  readonly homes: Homes;
  readonly hotkeys: Hotkeys;
  onexpired: (() => void) | undefined;
  #info: AppInfo | undefined;

  constructor() {
    const now = (): AppHome | undefined => this.#info?.home;
    this.homes = {
      get now() {
        return now();
      },
      choose: async (address) => {
        const other = await call<boolean>("home_choose", { address });
        await this.#start();
        return other;
      },
    };
    const on = (): boolean => this.#info?.hotkeys ?? false;
    this.hotkeys = {
      get on() {
        return on();
      },
      set: async (wanted) => {
        await call("hotkeys_set", { on: wanted });
        await this.#start();
      },
    };
  }

  async #start(): Promise<AppInfo> {
    this.#info = await call<AppInfo>("app_info");
    return this.#info;
  }

  get withheld(): Withheld | undefined {
    return this.#info?.withheld ?? undefined;
  }

  get hosting(): boolean {
    return this.#info?.hosting ?? false;
  }

  async locale(): Promise<string | undefined> {
    return (await this.#start()).locale;
  }

  async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    return this.#answer<T>(await call<ApiResponse>("api_request", { method, path, body: body ?? null }));
  }

  #answer<T>(answer: ApiResponse): T {
    if (answer.status >= 200 && answer.status < 300) return answer.body as T;
    if (isApiError(answer.body)) {
      if (answer.body.code === "unauthenticated") this.onexpired?.();
      throw new Failed(answer.body);
    }
    throw new Failed({ code: "internal", message: `The server answered ${String(answer.status)}.` });
  }

  async upload<T>(method: string, path: string, file: Blob | undefined): Promise<T> {
    const bytes = new Uint8Array((await file?.arrayBuffer()) ?? []);
    const headers = { "x-method": method, "x-path": path, "x-type": file?.type ?? "" };
    return this.#answer<T>(await call<ApiResponse>("api_upload", bytes, headers));
  }

  async media(path: string): Promise<Blob> {
    return new Blob([bytesOf(await call<unknown>("api_media", { path })) ?? new ArrayBuffer()]);
  }

  async account(): Promise<AccountView | null> {
    return (await this.#start()).account;
  }
  logIn(name: string, password: string): Promise<AccountView> {
    return call("session_open", { create: false, name, password });
  }
  signUp(name: string, password: string): Promise<AccountView> {
    return call("session_open", { create: true, name, password });
  }
  async logOut(): Promise<void> {
    await call("session_close");
    await this.#start();
  }

  roomLink(room: string): string {
    return new URL(`/watch/${room}`, this.#info?.server_url ?? "http://localhost").href;
  }

  replayLink(replay: string): string {
    return new URL(`/replay/${replay}`, this.#info?.server_url ?? "http://localhost").href;
  }

  overlayLink(room: string, key: string): string {
    return new URL(overlayPath(room, key), this.#info?.server_url ?? "http://localhost").href;
  }

  /** The window is fed by the process behind it. */
  hlsUrl(): undefined {
    return undefined;
  }

  openRoom(room: string, handlers: RoomHandlers, watching = true): RoomConnection {
    let over = false;
    let joined = false;
    const open = (): Promise<number | undefined> => {
      const channel = new Channel<RoomChannelMessage>((m) => {
        if (over) return;
        if (m.type === "state") {
          joined = m.state === "joined";
          handlers.state(m.state);
        } else {
          handlers.message(m.message);
        }
      });
      return call<number>("room_open", { room, watching, onMessage: channel }).catch(() => {
        if (!over) handlers.state("lost");
        return undefined;
      });
    };
    const close = (which: Promise<number | undefined>): void => {
      void which.then((id) =>
        id === undefined ? undefined : call("room_close", { id }).catch(() => undefined),
      );
    };
    const id = open();
    return {
      send(message: ClientMessage) {
        if (!joined) return false;
        void id.then((n) =>
          n === undefined ? undefined : call("room_send", { id: n, message }).catch(() => undefined),
        );
        return true;
      },
      renew() {
        // The process behind the window says hello anew by itself when somebody logs in or out.
      },
      close() {
        over = true;
        close(id);
      },
    };
  }

  openMedia(room: string, handlers: MediaHandlers): MediaConnection {
    let generation = 0;
    let id: Promise<number | undefined> = Promise.resolve(undefined);
    const open = (): void => {
      const mine = ++generation;
      const onData = new Channel<unknown>((data) => {
        const bytes = bytesOf(data);
        if (bytes && mine === generation) handlers.data(bytes);
      });
      const onState = new Channel<MediaState>((m) => {
        if (mine === generation) handlers.state(m.state);
      });
      id = call<number>("media_open", { room, onData, onState }).catch(() => {
        if (mine === generation) handlers.state("lost");
        return undefined;
      });
    };
    const close = (): void => {
      generation += 1;
      void id.then((n) =>
        n === undefined ? undefined : call("media_close", { id: n }).catch(() => undefined),
      );
    };
    open();
    return {
      restart() {
        close();
        open();
      },
      close,
    };
  }
}
