/** What the interface needs from outside. Two implementations: the browser's and the app's. */
import type {
  AccountView,
  ApiError,
  AppHome,
  ClientMessage,
  Devices,
  EncoderReport,
  ErrorCode,
  Problem,
  ServerMessage,
  LineSpeed,
  Share,
  StudioEvent,
  StudioSettings,
  StudioState,
  TrayWords,
  Withheld,
} from "../generated/protocol";
import type { LinkState } from "../room/link";

/** A refusal or a fault, with the code that the interface has words for. */
export class Failed extends Error {
  readonly code: ErrorCode;
  readonly problem: Problem | undefined;

  constructor(error: ApiError) {
    super(error.message);
    this.problem = error.problem;
    this.name = "Failed";
    this.code = error.code;
  }
}

export interface RoomHandlers {
  message(message: ServerMessage): void;
  state(state: LinkState): void;
}

export interface RoomConnection {
  /** Says whether it could be sent now. */
  send(message: ClientMessage): boolean;
  /** Say hello again as whoever is logged in now. */
  renew(): void;
  close(): void;
}

/** Where the programme's connection stands. `ended`: there is nothing to watch now. */
export type MediaLink = "connected" | "lost" | "ended";

export interface MediaHandlers {
  /** An init segment or a fragment. */
  data(bytes: ArrayBuffer): void;
  state(state: MediaLink): void;
}

export interface MediaConnection {
  /** From the newest key frame again. */
  restart(): void;
  close(): void;
}

/** The broadcaster's side; only the app has it. */
export interface StudioBackend {
  devices(): Promise<Devices>;
  encoders(): Promise<EncoderReport[]>;
  /** Lets the person choose a media file: its path; null: they did not. */
  pickFile(title: string): Promise<string | null>;
  /** Lets the person choose a folder for recordings: its path; null: they did not. */
  pickFolder(title: string): Promise<string | null>;
  /** Shows the folder of the recordings in the system's own window for files. */
  showRecordings(): Promise<void>;
  get(): Promise<StudioState>;
  set(settings: StudioSettings): Promise<StudioState>;
  goLive(): Promise<void>;
  end(): Promise<void>;
  /** Leaves for a while; `agoMs`: how long ago the press was. */
  leave(agoMs: number): Promise<void>;
  back(): Promise<void>;
  /** Opens lost devices again now, without waiting for the next attempt. */
  retake(): Promise<void>;
  /** The answer to `close_asked`: end the broadcast and close, or go on. */
  close(end: boolean): Promise<void>;
  /** What the desktop's tray says, in the page's language. */
  trayWords(words: TrayWords): Promise<void>;
  subscribe(onEvent: (event: StudioEvent) => void): Promise<void>;
  /** JPEG pictures of what would be, or is, sent. Returns what stops it. */
  preview(onFrame: (jpeg: ArrayBuffer) => void): Promise<() => void>;
  share(on: boolean): Promise<Share>;
  /** Takes some seconds, and what the line carries meanwhile; refused on air. */
  measureLine(): Promise<LineSpeed>;
}

/** What a notice says: a line, what stands below it, and what a press does in a word or two. */
export interface Notice {
  readonly title: string;
  readonly body: string;
  readonly open: string;
}

/** Keys that are heard while another program is in front. */
export interface Hotkeys {
  /** Known with `account()`. */
  readonly on: boolean;
  set(on: boolean): Promise<void>;
}

/** Which server the app uses. */
export interface Homes {
  /** Known with `account()`. */
  readonly now: AppHome | undefined;
  /** The one at an address, or null: one that the app hosts. True: it is another one, and the window is opened again. */
  choose(address: string | null): Promise<boolean>;
}

export interface Backend {
  readonly kind: "web" | "app";
  /** The app runs the server itself: its addresses are this computer's own until they are shared. Known with `account()`. */
  readonly hosting: boolean;
  /** JSON under `/api/v1`; `path` without it. Throws `Failed`. */
  request<T>(method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<T>;
  /** Sends a file, or nothing in its place. */
  upload<T>(method: "POST" | "PUT", path: string, file: Blob | undefined): Promise<T>;
  /** A picture or a film that only who is logged in may see. */
  media(path: string): Promise<Blob>;
  /** The system's language, where the page cannot know it by itself. */
  locale(): Promise<string | undefined>;
  /** Who is logged in, if anybody. */
  account(): Promise<AccountView | null>;
  logIn(name: string, password: string): Promise<AccountView>;
  signUp(name: string, password: string): Promise<AccountView>;
  logOut(): Promise<void>;
  /** Called when the server does not know the session any more. */
  onexpired: (() => void) | undefined;
  /** `watching`: false for who runs the room and is none of its audience. */
  openRoom(room: string, handlers: RoomHandlers, watching?: boolean): RoomConnection;
  openMedia(room: string, handlers: MediaHandlers): MediaConnection;
  /** Address of a room's page, for sharing. */
  roomLink(room: string): string;
  /** Address of a replay's page, for sharing. */
  replayLink(replay: string): string;
  /** Address of a room's overlay, for OBS. */
  overlayLink(room: string, key: string): string;
  /** Address of a room's programme over HLS, where the page may play it by itself. */
  hlsUrl(room: string): string | undefined;
  /** Makes the app's window a small one above others, or as it was; a browser has a small window of its own, or none. */
  readonly smallWindow: ((small: boolean) => Promise<void>) | undefined;
  /** Shows a notice of the desktop's, outside the window; a browser has its own way. `onopen`: it was pressed. */
  readonly notify: ((notice: Notice, onopen: () => void) => Promise<void>) | undefined;
  readonly studio: StudioBackend | undefined;
  /** Which server is used; a browser has the one that the page came from. */
  readonly homes: Homes | undefined;
  /** Why the system's keychain kept the log-in of last time to itself; undefined: it did not. */
  readonly withheld: Withheld | undefined;
  /** Keys that are heard while another program is in front; a browser has none. */
  readonly hotkeys: Hotkeys | undefined;
}
