/** How a broadcast does, as a person sees it: what is not well, by what it concerns. */
import type { ApiError, Notice, NoticeCode, StudioState, Uplink } from "./generated/protocol";

/** Green, amber, red. */
export type Tone = "good" | "fair" | "bad";
/** What may be well or not. */
export type Area = "line" | "computer" | "encoder" | "picture" | "sound" | "recording";

/** One thing and how it does; where it does not do well, why: each is a sentence with what to do. */
export interface Row {
  readonly area: Area;
  readonly tone: Tone;
  readonly uplink?: Uplink;
  readonly error?: ApiError;
  readonly notice?: Notice;
  /** This computer does not keep up. */
  readonly slow?: boolean;
}

const ORDER: readonly Tone[] = ["good", "fair", "bad"];
/** Remarks that are not told here are news, not states. */
const NOTICES: Readonly<Partial<Record<NoticeCode, readonly [Area, Tone]>>> = {
  camera_lost: ["picture", "bad"],
  screen_lost: ["picture", "bad"],
  window_lost: ["picture", "bad"],
  file_failed: ["picture", "bad"],
  file_ended: ["picture", "fair"],
  source_failed: ["picture", "fair"],
  inset_lost: ["picture", "fair"],
  inset_failed: ["picture", "fair"],
  microphone_lost: ["sound", "bad"],
  microphone_silent: ["sound", "fair"],
  output_lost: ["sound", "bad"],
  encoder_fallback: ["encoder", "fair"],
  recording_failed: ["recording", "fair"],
};

/** `slow`: pictures are missing although the line is good. */
export function rows(state: StudioState, slow: boolean): Row[] {
  const { broadcast, stats } = state;
  const noticed = (area: Area): Row | undefined =>
    worst(
      state.notices.flatMap((notice) => {
        const known = NOTICES[notice.code];
        return known?.[0] === area ? [{ area, tone: known[1], notice }] : [];
      }),
    );
  const { level } = stats.uplink;
  const line: Row =
    broadcast.phase === "reconnecting"
      ? { area: "line", tone: "bad", error: broadcast.error }
      : level === "good"
        ? { area: "line", tone: "good" }
        : { area: "line", tone: level === "bad" ? "bad" : "fair", uplink: stats.uplink };
  const computer: Row =
    slow && line.tone === "good"
      ? { area: "computer", tone: "fair", slow }
      : { area: "computer", tone: "good" };
  // What is well there is not worth a word.
  const rest = [noticed("encoder"), noticed("recording")].filter((row) => row !== undefined);
  return [
    line,
    computer,
    noticed("picture") ?? { area: "picture", tone: "good" },
    noticed("sound") ?? { area: "sound", tone: "good" },
    ...rest,
  ];
}

/** The one that says how all of it does: the first of the worst. */
export function worst(all: readonly Row[]): Row | undefined {
  return all.reduce<Row | undefined>(
    (found, row) => (found && ORDER.indexOf(row.tone) <= ORDER.indexOf(found.tone) ? found : row),
    undefined,
  );
}
