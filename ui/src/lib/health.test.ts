import { expect, test } from "vitest";
import type { NoticeCode, StudioState, Uplink } from "./generated/protocol";
import { rows, worst } from "./health";
import { SETTINGS } from "./testing";

const uplink: Uplink = { level: "good", why: null, video_kbps: 2500, carries_kbps: null, behind_ms: 8 };
const state: StudioState = {
  revision: 1,
  room: "a",
  settings: SETTINGS,
  broadcast: { phase: "live", since: 0 },
  away: null,
  stats: { bitrate_kbps: 2500, fps: 30, dropped_frames: 0, sent_frames: 9, queue_ms: 1, uplink },
  viewers: 0,
  encoder: null,
  notices: [],
  inset_shape: null,
  recording: null,
  share: { shared: false, links: [], rtmp: [], qr_svg: "" },
};
const noticed = (...codes: NoticeCode[]): StudioState => ({
  ...state,
  notices: codes.map((code) => ({ code, message: "" })),
});
const line = (level: Uplink["level"]): StudioState => ({
  ...state,
  stats: { ...state.stats, uplink: { ...uplink, level, why: "narrow" } },
});
const tones = (of: StudioState, slow = false): string[] => rows(of, slow).map((r) => `${r.area} ${r.tone}`);

test("all is well until something is not, and then it is told of what", () => {
  expect(tones(state)).toEqual(["line good", "computer good", "picture good", "sound good"]);
  expect(tones(line("weak"))[0]).toBe("line fair");
  expect(tones(line("bad"))[0]).toBe("line bad");
  expect(tones(noticed("camera_lost", "microphone_silent")).slice(2)).toEqual(["picture bad", "sound fair"]);
  expect(tones(noticed("encoder_fallback"), true).slice(1)).toEqual([
    "computer fair",
    "picture good",
    "sound good",
    "encoder fair",
  ]);
  expect(tones(noticed("recording_failed")).at(-1)).toBe("recording fair");
  expect(tones(noticed("resumed", "left_locked"))).toEqual(tones(state));
  const error = { code: "unreachable", message: "" } as const;
  const lost = { phase: "reconnecting", since: 0, lost_at: 0, attempt: 1, error } as const;
  expect(rows({ ...state, broadcast: lost }, false)[0]).toEqual({ area: "line", tone: "bad", error });
});

test("pictures that are missing are this computer's fault only where the line is good", () => {
  expect(tones(state, true)[1]).toBe("computer fair");
  expect(tones(line("weak"), true)[1]).toBe("computer good");
});

test("the worst speaks for all, the first one where there are several", () => {
  expect(worst(rows(state, false))?.area).toBe("line");
  expect(worst(rows(noticed("microphone_silent", "screen_lost"), false))?.area).toBe("picture");
  expect(worst(rows(noticed("microphone_lost", "screen_lost"), false))?.area).toBe("picture");
  expect(worst([])).toBeUndefined();
});
