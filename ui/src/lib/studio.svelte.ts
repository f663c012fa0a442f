/** The studio as reactive state: what the app says, and what the person is changing. */
import type { StudioBackend } from "./backend/types";
import { Draft } from "./draft";
import type {
  Devices,
  EncoderReport,
  LineSpeed,
  Preset,
  SoundLevel,
  StudioEvent,
  StudioSettings,
  StudioState,
} from "./generated/protocol";
import { type Row, rows } from "./health";
import { toasts } from "./toasts.svelte";

/** Typing is saved when it rests this long, in milliseconds. */
const REST = 400;
/** That something was too loud is shown for so long, in milliseconds. */
const CLIPPED = 2000;
/** Frames dropped within this time are told of, in milliseconds. */
const RECENT = 10_000;

/** Frames a second. */
const RATES: Readonly<Record<Preset, number>> = { "540p30": 30, "720p30": 30, "1080p30": 30, "1080p60": 60 };

/** How loud one way into the sound is. */
class Loudness {
  level = $state.raw<SoundLevel>({ rms_db: -90, peak_db: -90, clips: false, open: false });
  /** It was too loud within the last moments. */
  clips = $state(false);
  #clipped: ReturnType<typeof setTimeout> | undefined;

  take(level: SoundLevel): void {
    this.level = level;
    if (!level.clips) return;
    this.clips = true;
    clearTimeout(this.#clipped);
    this.#clipped = setTimeout(() => (this.clips = false), CLIPPED);
  }
}

/** See the top of the file. */
export class StudioModel {
  #api: StudioBackend;
  state = $state.raw<StudioState | undefined>();
  /** As shown in the form: ahead of `state` while something is being changed. */
  settings = $state.raw<StudioSettings | undefined>();
  /** The microphone, and what the computer plays. */
  readonly microphone = new Loudness();
  readonly output = new Loudness();
  devices = $state.raw<Devices | undefined>();
  /** The window is to be closed while on air: the person is asked first. */
  closing = $state(false);
  encoders = $state.raw<EncoderReport[] | undefined>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saving: Promise<void> = Promise.resolve();
  #draft = new Draft<StudioSettings, StudioState>();
  #drops = $state.raw<readonly { at: number; frames: number }[]>([]);

  /** Pictures are missing. */
  #slow = $derived.by<boolean>(() => {
    const state = this.state;
    // The first figures of a stream are of less than a second.
    if (state?.broadcast.phase === "live" && Date.now() - state.broadcast.since > 5000) {
      if (state.stats.fps < 0.8 * RATES[state.settings.preset]) return true;
    }
    const first = this.#drops[0];
    const last = this.#drops.at(-1);
    return first !== undefined && last !== undefined && last.frames > first.frames;
  });
  /** How everything does. */
  health = $derived.by<Row[]>(() => (this.state ? rows(this.state, this.#slow) : []));

  constructor(api: StudioBackend) {
    this.#api = api;
  }

  /** Begins to hear what the app says; the screens of the whole window show some of it. */
  async follow(): Promise<void> {
    try {
      this.#take(await this.#api.get());
      await this.#api.subscribe((event) => this.#event(event));
    } catch (error) {
      toasts.bad(error);
    }
  }

  /** Looks at what the computer has. */
  async load(): Promise<void> {
    await this.refresh();
    if (this.encoders !== undefined && this.encoders.length > 0) return;
    try {
      this.encoders = await this.#api.encoders();
    } catch (error) {
      this.encoders = [];
      toasts.bad(error);
    }
  }

  /** Looks for devices again. */
  async refresh(): Promise<void> {
    try {
      this.devices = await this.#api.devices();
    } catch (error) {
      toasts.bad(error);
    }
  }

  /** The path of a media file that the person chose; undefined: none. */
  async pickFile(title: string): Promise<string | undefined> {
    try {
      return (await this.#api.pickFile(title)) ?? undefined;
    } catch (error) {
      toasts.bad(error);
      return undefined;
    }
  }

  /** The path of a folder that the person chose; undefined: none. */
  async pickFolder(title: string): Promise<string | undefined> {
    try {
      return (await this.#api.pickFolder(title)) ?? undefined;
    } catch (error) {
      toasts.bad(error);
      return undefined;
    }
  }

  async showRecordings(): Promise<void> {
    try {
      await this.#api.showRecordings();
    } catch (error) {
      toasts.bad(error);
    }
  }

  /** What the line to the server carries. Throws `Failed`. */
  measureLine(): Promise<LineSpeed> {
    return this.#api.measureLine();
  }

  /** Changes settings; `typing` waits until the person rests. */
  edit(change: Partial<StudioSettings>, typing = false): void {
    this.#draft.edit(change);
    this.settings = this.#draft.settings;
    clearTimeout(this.#timer);
    if (typing) this.#timer = setTimeout(() => this.flush(), REST);
    else this.flush();
  }

  /** Saves what is not saved yet. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#saving = this.#saving.then(async () => {
      const settings = this.#draft.save();
      if (!settings) return;
      try {
        this.#take(await this.#api.set(settings));
      } catch (error) {
        toasts.bad(error);
      }
      this.#draft.saved();
      this.settings = this.#draft.settings;
    });
  }

  async goLive(title: string): Promise<void> {
    if (this.settings && this.settings.title.trim() === "") this.edit({ title });
    this.flush();
    await this.#saving;
    await this.#api.goLive();
  }

  /** Leaves for a while, or comes back: what the control says now. `pressed`: the event's own time. */
  async toggleAway(pressed: number): Promise<void> {
    const leaves = this.state?.away === null;
    try {
      if (leaves) await this.#api.leave(Math.max(0, performance.now() - pressed));
      else await this.#api.back();
    } catch (error) {
      toasts.bad(error);
    }
  }

  /** On the way back, and away again. */
  async stayAway(): Promise<void> {
    try {
      await this.#api.leave(0);
    } catch (error) {
      toasts.bad(error);
    }
  }

  /** Lost devices are tried at once. */
  async retake(): Promise<void> {
    void this.refresh();
    try {
      await this.#api.retake();
    } catch (error) {
      toasts.bad(error);
    }
  }

  /** The answer to whether the window may close. */
  async close(end: boolean): Promise<void> {
    this.closing = false;
    try {
      await this.#api.close(end);
    } catch (error) {
      toasts.bad(error);
    }
  }

  #event(event: StudioEvent): void {
    if (event.type === "level") this.microphone.take(event);
    else if (event.type === "output_level") this.output.take(event);
    else if (event.type === "close_asked") this.closing = true;
    else this.#take(event);
  }

  #take(state: StudioState): void {
    if (!this.#draft.take(state)) return;
    this.state = state;
    this.settings = this.#draft.settings;
    const at = performance.now();
    const frames = state.stats.dropped_frames;
    const kept = this.#drops.filter((d) => at - d.at < RECENT && d.frames <= frames);
    this.#drops = [...kept, { at, frames }];
  }
}
