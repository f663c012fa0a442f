/** Devices that are lost while they are used: what may take their place, and what is told when they are back. */
import type { Devices, NoticeCode, StudioSettings, StudioState, VideoSource } from "./generated/protocol";

const CODES = [
  "camera_lost",
  "screen_lost",
  "window_lost",
  "inset_lost",
  "microphone_lost",
  "output_lost",
] as const satisfies readonly NoticeCode[];
export type LostCode = (typeof CODES)[number];

/** A device that can be taken with one press. */
export interface Other {
  readonly id: string;
  readonly name: string;
  readonly change: Partial<StudioSettings>;
}

/** Most that are offered; there are more in the set-up. */
const OFFERED = 2;

export function isLost(code: NoticeCode): code is LostCode {
  return (CODES as readonly NoticeCode[]).includes(code);
}

/** Other devices of the same kind. A screen never takes a camera's place by one press, nor another window a window's: it may
 *  show what nobody should see. */
export function others(code: LostCode, settings: StudioSettings, devices: Devices | undefined): Other[] {
  if (!devices || code === "window_lost" || code === "inset_lost") return [];
  if (code === "microphone_lost" || code === "output_lost") {
    const [list, key] =
      code === "microphone_lost"
        ? ([devices.microphones, "microphone"] as const)
        : ([devices.outputs, "output"] as const);
    return list
      .filter((d) => d.id !== settings[key])
      .slice(0, OFFERED)
      .map(({ id, name }) => ({ id, name, change: { [key]: id } }));
  }
  const kind = code === "camera_lost" ? "camera" : "screen";
  const used = settings.source.kind === kind ? settings.source.device : undefined;
  return (kind === "camera" ? devices.cameras : devices.screens)
    .filter((d) => d.id !== used)
    .slice(0, OFFERED)
    .map(({ id, name }) => ({ id, name, change: { source: { kind, device: id } satisfies VideoSource } }));
}

/** Remembers what is lost, so that a return can be told. */
export class Losses {
  #lost = new Map<LostCode, string>();

  /** Takes the studio as it is now, and gives what is back since the last time: not what was replaced, nor what was
   *  closed because the streamer left. */
  take(state: Pick<StudioState, "notices" | "settings" | "away">): { back: LostCode[]; fresh: boolean } {
    const { settings, away } = state;
    const now = new Map<LostCode, string>();
    for (const { code } of state.notices) if (isLost(code)) now.set(code, used(code, settings));
    const back = [...this.#lost]
      .filter(([code, device]) => away === null && !now.has(code) && used(code, settings) === device)
      .map(([code]) => code);
    const fresh = [...now.keys()].some((code) => !this.#lost.has(code));
    this.#lost = now;
    return { back, fresh };
  }
}

function used(code: LostCode, { source, inset, microphone, output }: StudioSettings): string {
  if (code === "microphone_lost") return microphone ?? "";
  if (code === "output_lost") return output ?? "";
  return JSON.stringify(code === "inset_lost" ? (inset?.source ?? null) : source);
}
