/**
 * The app without an app, for development only: made-up rooms and a studio that pretends, so that every
 * state of the screens can be looked at. `?fake-studio=live` begins on air.
 */
import type {
  AccountView,
  BallotOption,
  BallotView,
  Broadcast,
  BuiltInInteraction,
  Devices,
  LineSpeed,
  EncoderFault,
  EncoderReport,
  Inset,
  Notice,
  Owed,
  PlaceholderView,
  RelayState,
  RelayView,
  ReplayView,
  RoomView,
  ServerMessage,
  Share,
  ShelfView,
  StudioEvent,
  StudioSettings,
  StudioState,
  Uplink,
} from "../generated/protocol";
import { overlayPath } from "../overlay/options";
import type {
  Backend,
  Homes,
  Hotkeys,
  MediaConnection,
  RoomConnection,
  RoomHandlers,
  StudioBackend,
} from "./types";
import { Failed } from "./types";

const MINUTE = 60_000;
const me: AccountView = {
  id: "0192f0c1-0000-7000-8000-000000000001",
  name: "岚山 Lanshan",
  role: "operator",
  created_at: Date.UTC(2026, 9, 3),
};

function room(id: string, title: string, owner: string, more: Partial<RoomView>): RoomView {
  return {
    id,
    title,
    category: "生活",
    tags: [],
    owner: { id: `0192f0c1-0000-7000-8000-${id.padStart(12, "0").slice(0, 12)}`, name: owner },
    stage: "live",
    stage_since: Date.now() - 12 * MINUTE,
    live_since: Date.now() - 84 * MINUTE,
    away: null,
    viewers: 7,
    ...more,
  };
}

const ROOMS: RoomView[] = [
  room("rain-cafe", "深夜手冲 · 听雨聊天", "岚山 Lanshan", { viewers: 1284, tags: ["咖啡", "雨声"] }),
  room("one-man", "线上小剧场 · 独角戏《雨》", "白塔剧社", {
    viewers: 412,
    category: "戏剧",
    stage: "away",
    away: {
      since: Date.now() - 221_000,
      leave_id: "one",
      keep_sound: true,
      back_at: Date.now() + 9 * MINUTE,
    },
  }),
  room("rust-night", "Writing an RTMP server from scratch, live, with questions", "Marlow", {
    viewers: 63,
    category: "Code",
    tags: ["rust", "streaming", "late"],
  }),
  room("piano", "练琴", "小满", { viewers: 3, stage: "lost", category: "音乐" }),
  room("sleepy", "明早见", "石头", { viewers: 0, stage: "off", live_since: null }),
];

const ANNOUNCED = { at: Date.now() + 26 * 60 * MINUTE, title: "云海日出 · 不剪辑" };

const REPLAYS: ReplayView[] = [
  { minutes: 24 * 60, title: "深夜手冲 · 听雨聊天", played: 84, away: 12, problem: null },
  { minutes: 3 * 24 * 60, title: "开箱新磨豆机", played: 47, away: 0, problem: "disk_full" } as const,
].map(({ minutes, title, played, away, problem }, i) => ({
  id: `0192f0c1-0000-7000-8000-00000000000${String(i)}`,
  room: "rain-cafe",
  title,
  started_at: Date.now() - minutes * MINUTE,
  ended_at: Date.now() - (minutes - played - away) * MINUTE,
  played_ms: played * MINUTE,
  whole_ms: (played + away) * MINUTE,
  away_ms: away * MINUTE,
  owner: { bytes: 1_580_000_000, problem },
}));

const option = (key: BuiltInInteraction, votes: number): BallotOption => ({
  interaction: { kind: "built_in", key },
  votes,
});
const BALLOT: BallotView = {
  id: "0192f0c1-0000-7000-8000-00000000000b",
  opened_at: Date.now() - 221_000,
  closes_at: null,
  options: [option("sing", 239), option("joke", 95), option("red_packet", 58), option("dance", 20)],
};
const OWED: Owed = {
  id: "0192f0c1-0000-7000-8000-00000000000b",
  interaction: { kind: "built_in", key: "sing" },
  votes: 239,
  tie: false,
  since: Date.now() - 5000,
};

const placeholder = (n: number, name: string, more: Partial<PlaceholderView>): PlaceholderView => ({
  id: `0192f0c1-0000-7000-8000-0000000000c${String(n)}`,
  name,
  keywords: [],
  text: "",
  kind: "picture",
  sound: false,
  bytes: 1_200_000,
  digest: String(n),
  duration_ms: 2000,
  state: { state: "ready" },
  stands: false,
  created_at: Date.now() - 3 * 24 * 60 * MINUTE,
  changed_at: Date.now() - 3 * 24 * 60 * MINUTE,
  mirror: { state: "mirrored" },
  ...more,
});
const WORDS: [string, string, string][] = [
  ["away", "去去就来", "Away for a moment"],
  ["game", "存个档，马上回来", "Game saved. Back in a moment."],
  ["music", "换口气，再唱", "Between two songs"],
  ["talk", "喝口水，接着聊", "A sip of water, then we talk on"],
  ["food", "锅里还炖着", "Something is on the stove"],
  ["outdoors", "去前面看看", "Gone to see what is ahead"],
  ["study", "合上书，歇一歇", "A short rest for the eyes"],
];
const SHELF: ShelfView = {
  placeholders: [
    placeholder(1, "雨天的窗", { keywords: ["雨声", "咖啡"], sound: true, duration_ms: 184_000 }),
    placeholder(2, "后厨在忙", { kind: "video", sound: true, duration_ms: 42_000, keywords: ["手冲"] }),
    placeholder(3, "猫猫打盹", {
      kind: "animation",
      duration_ms: 3200,
      state: { state: "checking" },
      mirror: { state: "waiting" },
    }),
    placeholder(4, "马上回来", { kind: "text", state: { state: "waiting" } }),
    placeholder(5, "海报", { state: { state: "refused", code: "too_long", message: "It is too long." } }),
  ],
  built_in: WORDS.map(([id, zh, en]) => ({ id, zh, en })),
  next: null,
  ordered_at: 0,
  removed: [],
  choice: {
    id: "0192f0c1-0000-7000-8000-0000000000c1",
    reason: "matched",
    words: ["雨声", "咖啡"],
    threshold: 0.34,
    ranking: [
      { id: "0192f0c1-0000-7000-8000-0000000000c1", score: 0.64, words: ["雨声", "咖啡"] },
      { id: "0192f0c1-0000-7000-8000-0000000000c2", score: 0.41, words: ["手冲"] },
      { id: "food", score: 0.38, words: ["咖啡"] },
      { id: "talk", score: 0.21, words: ["聊天"] },
      { id: "music", score: 0, words: [] },
    ],
    why_not: null,
  },
};
const relay = (n: number, name: string, url: string, state: RelayState): RelayView => ({
  id: `0192f0c1-0000-7000-8000-0000000000d${String(n)}`,
  name,
  url,
  key_end: n === 4 ? "" : "x7Qm",
  on: state.state !== "off",
  state,
  since: Date.now() - 84 * MINUTE,
});
const RELAYS: RelayView[] = [
  relay(1, "B 站", "rtmp://live-push.example.com/live-bvc", { state: "live" }),
  relay(2, "Twitch", "rtmps://ingest.example.tv/app", {
    state: "waiting",
    until: Date.now() + 14_000,
    error: {
      code: "unreachable",
      message: "",
      problem: { kind: "relay_lost", reason: "Connection reset by peer" },
    },
  }),
  relay(3, "YouTube", "rtmps://a.example.com/live2", {
    state: "refused",
    error: {
      code: "wrong_stream_key",
      message: "",
      problem: { kind: "relay_key_refused", reason: "Stream key is invalid" },
    },
  }),
  relay(4, "备用线路", "rtmp://backup.example.org/live", { state: "off" }),
];
/** A still picture that was never taken. */
function poster(id: string): Promise<Blob> {
  const canvas = new OffscreenCanvas(320, 180);
  const pen = canvas.getContext("2d");
  if (pen) {
    const hue = [...id].reduce((sum, c) => sum + c.charCodeAt(0), 0) % 360;
    const light = pen.createLinearGradient(0, 0, 320, 180);
    light.addColorStop(0, `hsl(${String(hue)} 35% 32%)`);
    light.addColorStop(1, `hsl(${String((hue + 40) % 360)} 45% 12%)`);
    pen.fillStyle = light;
    pen.fillRect(0, 0, 320, 180);
    pen.fillStyle = "#f3eadb";
    pen.font = "24px serif";
    pen.textAlign = "center";
    pen.fillText(WORDS.find(([w]) => w === id)?.[1] ?? "", 160, 98);
  }
  return canvas.convertToBlob({ type: "image/jpeg" });
}

const SAID: [string, string][] = [
  ["夜航船", "来了来了 今天冲哪支豆子"],
  ["雨后", "水温多少呀"],
  ["Marlow", "first time here, so calm"],
  ["阿岚", "耶加雪菲永远的神"],
  ["小满", "背景的雨声是真的吗"],
  ["石头", "92 度，刚刚说过"],
  ["夜航船", "晚上好"],
];

const QR = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 25 25"><rect width="25" height="25" fill="#fff"/>${Array.from(
  { length: 240 },
  (_, i) =>
    `<rect x="${String(2 + ((i * 7) % 21))}" y="${String(2 + ((i * 13) % 21))}" width="1" height="1"/>`,
).join("")}</svg>`;

const INSET: Inset = {
  source: { kind: "camera", device: "/dev/video0" },
  width: 0.28,
  x: 0.97,
  y: 0.97,
};

class FakeStudio implements StudioBackend {
  #listen: ((event: StudioEvent) => void) | undefined;
  #state: StudioState;

  constructor(phase: string) {
    const settings: StudioSettings = {
      source: { kind: "test_card" },
      inset: phase === "scenes" ? INSET : null,
      scenes:
        phase === "scenes"
          ? [
              { name: "手冲台", source: { kind: "test_card" }, inset: INSET },
              { name: "Just talking", source: { kind: "camera", device: "/dev/video0" }, inset: null },
            ]
          : [],
      microphone: "default",
      gain_db: 0,
      noise_gate_db: null,
      muted: false,
      output: phase === "computer" ? "default" : null,
      output_gain_db: -6,
      output_muted: false,
      preset: "720p30",
      encoder: null,
      title: "深夜手冲 · 听雨聊天",
      category: "生活",
      tags: ["咖啡", "雨声"],
      keep_sound: true,
      self_view: false,
      record: phase === "recording",
      record_folder: null,
    };
    this.#state = {
      revision: 0,
      room: "rain-cafe",
      settings,
      broadcast: { phase: "idle" },
      away: null,
      stats: {
        bitrate_kbps: 0,
        fps: 0,
        dropped_frames: 0,
        sent_frames: 0,
        queue_ms: 0,
        uplink: { level: "good", why: null, video_kbps: 0, carries_kbps: null, behind_ms: 0 },
      },
      viewers: 0,
      encoder: null,
      inset_shape: phase === "scenes" ? 4 / 3 : null,
      recording: null,
      notices: [],
      share: { shared: false, links: [], rtmp: [], qr_svg: "" },
    };
    if (phase !== "") this.#live(phase);
    setInterval(() => {
      const t = performance.now() / 1000;
      const rms = settings.muted ? -90 : -26 + 9 * Math.sin(t * 3) + 5 * Math.sin(t * 11);
      this.#listen?.({ type: "level", rms_db: rms, peak_db: rms + 7, clips: false, open: true });
      const played = -22 + 4 * Math.sin(t * 7);
      this.#listen?.({ type: "output_level", rms_db: played, peak_db: played + 5, clips: false, open: true });
    }, 66);
    setInterval(() => {
      this.#emit();
    }, 1000);
  }

  #live(phase: string): void {
    const since = Date.now() - 84 * MINUTE - 7000;
    const error = { code: "unreachable", message: "Connection refused by 127.0.0.1:1935." } as const;
    const broadcast: Broadcast =
      phase === "reconnecting"
        ? { phase: "reconnecting", since, lost_at: Date.now() - 8000, attempt: 3, error }
        : phase === "failed"
          ? {
              phase: "failed",
              error: { code: "device", message: "The camera /dev/video0 is used by another program." },
            }
          : { phase: "live", since };
    if (phase === "away" || phase === "returning") {
      this.#state.away = {
        leave_id: "fake",
        since: Date.now() - 221_000,
        keep_sound: true,
        step: phase === "away" ? { step: "closed" } : { step: "self_view", until: Date.now() + 3000 },
        told: true,
      };
    }
    const device = "/dev/video0";
    const notices: Readonly<Record<string, Notice[]>> = {
      notices: [{ code: "microphone_silent", message: "The microphone gives silence." }],
      lost: [
        { code: "camera_lost", message: "", problem: { kind: "device_gone", part: "camera", device } },
        {
          code: "microphone_lost",
          message: "",
          problem: { kind: "device_silent", part: "microphone", device: "yeti", seconds: 1 },
        },
      ],
    };
    const lines: Readonly<Record<string, Uplink>> = {
      weak: { level: "weak", why: "narrow", video_kbps: 340, carries_kbps: 612, behind_ms: 90 },
      bad: { level: "bad", why: "dropping", video_kbps: 200, carries_kbps: 310, behind_ms: 640 },
    };
    const good: Uplink = { level: "good", why: null, video_kbps: 2500, carries_kbps: null, behind_ms: 8 };
    this.#state = {
      ...this.#state,
      broadcast,
      stats: {
        bitrate_kbps: 2612,
        fps: 30,
        dropped_frames: 4,
        sent_frames: 151_213,
        queue_ms: 12,
        uplink: lines[phase] ?? good,
      },
      viewers: 1284,
      encoder: { name: "libx264", label: "x264", hardware: false, works: true, reason: "" },
      recording:
        phase === "recording"
          ? {
              path: "/home/me/Videos/Mujian/2026-11-22 21-05-33 雨夜咖啡馆.mp4",
              bytes: 1_384_120_318,
              seconds: 5047,
              running: true,
            }
          : null,
      notices: notices[phase] ?? [],
    };
  }

  #emit(): void {
    this.#state = { ...this.#state, revision: this.#state.revision + 1 };
    this.#listen?.({ type: "state", ...structuredClone(this.#state) });
  }

  devices(): Promise<Devices> {
    return Promise.resolve({
      cameras: [
        { id: "/dev/video0", name: "Brio 4K", is_default: true },
        { id: "/dev/video2", name: "Integrated Camera", is_default: false },
      ],
      screens: [{ id: ":0", name: "Screen 1 (2560 × 1440)", is_default: true }],
      windows: [
        { id: "0x3a00007 firefox", name: "Weather - Firefox", is_default: false },
        { id: "0x4200003 Go", name: "围棋 9×9", is_default: false },
      ],
      microphones: [{ id: "yeti", name: "Yeti Stereo Microphone", is_default: true }],
      outputs: [
        { id: "default", name: "What this computer plays", is_default: true },
        { id: "hdmi", name: "HDMI / DisplayPort", is_default: false },
      ],
      notes: [],
    });
  }
  encoders(): Promise<EncoderReport[]> {
    const no = (name: string, label: string, fault: EncoderFault): EncoderReport => ({
      name,
      label,
      hardware: true,
      works: false,
      reason: "It does not work.",
      fault,
    });
    return Promise.resolve([
      no("h264_nvenc", "NVIDIA NVENC", { fault: "no_hardware", reason: "Operation not permitted" }),
      no("h264_qsv", "Intel Quick Sync", { fault: "hung", seconds: 5 }),
      no("h264_vaapi", "VA-API graphics", { fault: "missing" }),
      { name: "libx264", label: "x264", hardware: false, works: true, reason: "" },
    ]);
  }
  pickFile(): Promise<string | null> {
    return Promise.resolve("/home/me/rain.mp4");
  }
  pickFolder(): Promise<string | null> {
    return Promise.resolve("/home/me/录像");
  }
  showRecordings(): Promise<void> {
    return Promise.resolve();
  }
  get(): Promise<StudioState> {
    return Promise.resolve(structuredClone(this.#state));
  }
  set(settings: StudioSettings): Promise<StudioState> {
    this.#state = { ...this.#state, settings: structuredClone(settings) };
    this.#emit();
    return this.get();
  }
  goLive(): Promise<void> {
    this.#state = { ...this.#state, broadcast: { phase: "starting" } };
    this.#emit();
    setTimeout(() => {
      this.#live("live");
      this.#emit();
    }, 800);
    return Promise.resolve();
  }
  end(): Promise<void> {
    this.#state = { ...this.#state, broadcast: { phase: "idle" }, encoder: null, viewers: 0 };
    this.#emit();
    return Promise.resolve();
  }
  leave(): Promise<void> {
    this.#state.away = {
      leave_id: "fake",
      since: Date.now(),
      keep_sound: this.#state.settings.keep_sound,
      step: { step: "closed" },
      told: true,
    };
    this.#emit();
    return Promise.resolve();
  }
  back(): Promise<void> {
    this.#state.away = null;
    this.#emit();
    return Promise.resolve();
  }
  retake(): Promise<void> {
    this.#state = { ...this.#state, notices: [] };
    this.#emit();
    return Promise.resolve();
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
  trayWords(): Promise<void> {
    return Promise.resolve();
  }
  subscribe(onEvent: (event: StudioEvent) => void): Promise<void> {
    this.#listen = onEvent;
    this.#emit();
    return Promise.resolve();
  }
  preview(onFrame: (jpeg: ArrayBuffer) => void): Promise<() => void> {
    const canvas = new OffscreenCanvas(640, 360);
    const pen = canvas.getContext("2d");
    const timer = setInterval(() => {
      if (!pen) return;
      const light = pen.createRadialGradient(380, 120, 20, 300, 200, 420);
      light.addColorStop(0, "#6b4a24");
      light.addColorStop(0.5, "#2a1b10");
      light.addColorStop(1, "#0d0a08");
      pen.fillStyle = light;
      pen.fillRect(0, 0, 640, 360);
      pen.fillStyle = "#24404a";
      pen.fillRect(60, 50, 150, 170);
      pen.fillStyle = "#f3eadb";
      pen.font = "28px monospace";
      pen.fillText(new Date().toISOString().slice(11, 23), 420, 330);
      void canvas
        .convertToBlob({ type: "image/jpeg" })
        .then((b) => b.arrayBuffer())
        .then(onFrame);
    }, 100);
    return Promise.resolve(() => clearInterval(timer));
  }
  share(on: boolean): Promise<Share> {
    const share: Share = on
      ? {
          shared: true,
          links: ["http://192.168.1.20:8080/watch/rain-cafe"],
          rtmp: ["rtmp://192.168.1.20:1935/live"],
          qr_svg: QR,
        }
      : { shared: false, links: [], rtmp: [], qr_svg: "" };
    this.#state = { ...this.#state, share };
    this.#emit();
    return Promise.resolve(share);
  }
  measureLine(): Promise<LineSpeed> {
    return new Promise((done) =>
      setTimeout(() => done({ bits_per_second: 6_230_000, preset: "1080p30" }), 1500),
    );
  }
}

/** See the top of the file. */
export class FakeBackend implements Backend {
  readonly kind = "app";
  readonly studio: StudioBackend;
  readonly smallWindow = (): Promise<void> => Promise.resolve();
  readonly notify = (): Promise<void> => Promise.resolve();
  readonly withheld = undefined;
  readonly homes: Homes = { now: { kind: "unasked" }, choose: () => Promise.resolve(false) };
  readonly hotkeys: Hotkeys = { on: false, set: () => Promise.resolve() };
  onexpired: (() => void) | undefined;
  #mode = new URLSearchParams(location.search).get("fake-studio") ?? "";
  /** `?fake-studio=remote` is at a server of others. */
  readonly hosting = this.#mode !== "remote";

  constructor() {
    this.studio = new FakeStudio(this.#mode);
  }

  request<T>(method: string, path: string): Promise<T> {
    const id = /^\/rooms\/([a-z0-9-]+)$/.exec(path)?.[1];
    let answer: unknown = {};
    if (path === "/rooms") answer = this.#mode === "empty" ? [] : ROOMS;
    else if (path.startsWith("/rooms?search=")) {
      const words = decodeURIComponent(path.split("=")[1] ?? "");
      answer = ROOMS.filter((r) => [r.title, r.owner.name, ...r.tags].some((text) => text.includes(words)));
    } else if (path.endsWith("/replays")) answer = REPLAYS;
    else if (path.startsWith("/audit")) answer = { entries: [], more: false };
    else if (path === "/hall") {
      answer =
        this.#mode === "empty"
          ? { announced: [], ended: [] }
          : {
              announced: ROOMS.slice(4).map((r) => ({ room: r, announced: ANNOUNCED })),
              ended: REPLAYS.slice(0, 1).map((r) => ({
                room: { ...ROOMS[4], id: "ended", title: r.title },
                started_at: Date.now() - 150 * MINUTE,
                ended_at: Date.now() - 40 * MINUTE,
                replay: { id: r.id, title: r.title, played_ms: r.played_ms },
              })),
            };
    } else if (path.endsWith("/announcement")) {
      answer = { announced: method === "DELETE" || this.#mode !== "announced" ? null : ANNOUNCED };
    } else if (path.startsWith("/me/followed")) answer = this.#mode === "empty" ? [] : [ROOMS[1], ROOMS[4]];
    else if (path.endsWith("/followers")) answer = { followers: 318 };
    else if (path === "/me/rooms") answer = ROOMS.slice(0, 1);
    else if (path.endsWith("/interactions")) {
      answer = {
        enabled: true,
        seconds: 0,
        interactions: [
          ...(["sing", "joke", "red_packet"] as const).map((key) => ({ kind: "built_in", key })),
          { kind: "own", text: "再冲一壶" },
        ],
      };
    } else if (path.endsWith("/owner")) {
      answer = {
        ...ROOMS[0],
        stream_key: "made-up-key-for-pictures",
        rtmp_url: "rtmp://192.168.1.20/live/rain-cafe",
      };
    } else if (path.endsWith("/overlay")) {
      const made_at = method === "DELETE" ? null : Date.now();
      answer = method === "POST" ? { key: "made-up-key-for-pictures", made_at } : { made_at };
    } else if (path.endsWith("/relays")) answer = method === "GET" && this.#mode === "empty" ? [] : RELAYS;
    else if (path.endsWith("/publishers")) answer = [];
    else if (path.endsWith("/placeholders")) answer = SHELF;
    else if (path.endsWith("/away")) answer = SHELF.choice;
    else if (path === "/server") {
      answer = {
        version: "0.1.0",
        registration_open: true,
        setup_needed: false,
        rtmp_port: 1935,
        rtmps_port: null,
      };
    } else if (id !== undefined) {
      answer = ROOMS.find((r) => r.id === id);
      if (!answer)
        return Promise.reject(new Failed({ code: "not_found", message: "There is no such room." }));
    }
    return Promise.resolve(answer as T);
  }
  upload<T>(): Promise<T> {
    return Promise.reject(new Failed({ code: "unsupported_media", message: "Nothing is taken in here." }));
  }
  media(path: string): Promise<Blob> {
    const id = /placeholders\/([^/]+)\/poster$/.exec(path)?.[1] ?? /rooms\/([^/]+)\/cover$/.exec(path)?.[1];
    return id === undefined
      ? Promise.reject(new Failed({ code: "not_found", message: "There is no film." }))
      : poster(id);
  }
  locale(): Promise<undefined> {
    if (this.#mode === "fatal") {
      return Promise.reject(
        new Failed({
          code: "storage",
          message: "/home/me/.local/share/mujian/app.db was written by a newer Mujian (format 9).",
        }),
      );
    }
    return Promise.resolve(undefined);
  }
  account(): Promise<AccountView | null> {
    return Promise.resolve(this.#mode === "guest" ? null : me);
  }
  logIn(): Promise<AccountView> {
    return Promise.resolve(me);
  }
  signUp(): Promise<AccountView> {
    return Promise.reject(new Failed({ code: "name_taken", message: "taken" }));
  }
  logOut(): Promise<void> {
    return Promise.resolve();
  }
  roomLink(id: string): string {
    return `http://192.168.1.20:8080/watch/${id}`;
  }
  replayLink(id: string): string {
    return `http://192.168.1.20:8080/replay/${id}`;
  }
  overlayLink(id: string, key: string): string {
    return `http://127.0.0.1:8080${overlayPath(id, key)}`;
  }
  hlsUrl(): undefined {
    return undefined;
  }

  openRoom(id: string, handlers: RoomHandlers): RoomConnection {
    const found = ROOMS.find((r) => r.id === id);
    if (!found) return { send: () => false, renew: () => undefined, close: () => undefined };
    let number = 0;
    const say = (author: string, text: string, ref = `f${String(number)}`, own = false): ServerMessage => ({
      type: "event",
      event: {
        id: { epoch: 1, number: ++number },
        at: Date.now(),
        body: {
          kind: "danmaku",
          author: { id: own ? me.id : author, name: own ? me.name : author },
          text,
          mode: "scroll",
          color: "#ffffff",
          client_ref: ref,
        },
      },
    });
    const leave = { since: Date.now() - 221_000, leave_id: "fake", keep_sound: true };
    const gone: Partial<RoomView> =
      this.#mode === "away" ? { stage: "away", away: { ...leave, back_at: Date.now() + 9 * MINUTE } } : {};
    queueMicrotask(() => {
      handlers.message({
        type: "welcome",
        room: { ...found, ...gone },
        you: me,
        resumed: false,
        events: [],
        last: { epoch: 1, number: 0 },
        ballot: found.away || this.#mode === "away" ? BALLOT : null,
        your_vote: found.away ? 0 : null,
        key_frames_far: this.#mode === "waiting",
        owed: this.#mode === "owed" ? [OWED] : [],
        waiting:
          this.#mode === "waiting"
            ? [{ id: "1", program: "OBS 30.2.3", address: "192.168.1.31", at: Date.now() }]
            : [],
        refused: null,
        server_time: Date.now(),
      });
      handlers.state("joined");
      for (const [author, text] of SAID) handlers.message(say(author, text));
    });
    return {
      send(message) {
        if (message.type === "danmaku")
          handlers.message(say(me.name, message.text, message.client_ref, true));
        return true;
      },
      renew: () => undefined,
      close: () => undefined,
    };
  }
  openMedia(): MediaConnection {
    return { restart: () => undefined, close: () => undefined };
  }
}
