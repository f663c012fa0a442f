import { expect, test } from "vitest";
import type { Devices, Notice, StudioSettings } from "./generated/protocol";
import { Losses, others } from "./lost";
import { SETTINGS as settings } from "./testing";

const device = (id: string) => ({ id, name: `The ${id}`, is_default: false });
const devices: Devices = {
  cameras: ["/dev/video0", "/dev/video2", "/dev/video4", "/dev/video6"].map(device),
  screens: [device(":0")],
  windows: [device("0x7 Go")],
  microphones: ["default", "yeti"].map(device),
  outputs: [
    { id: "default", name: "What this computer plays", is_default: true },
    { id: "hdmi", name: "HDMI", is_default: false },
  ],
  notes: [],
};
const lost: Notice = { code: "camera_lost", message: "" };
const here = { notices: [], settings, away: null };
const away = {
  leave_id: "a",
  since: 0,
  keep_sound: false,
  step: { step: "closing" },
  told: false,
} as const;

test("another device of the same kind can be taken, and never a screen for a camera", () => {
  const cameras = others("camera_lost", settings, devices);
  expect(cameras.map((o) => o.id)).toEqual(["/dev/video2", "/dev/video4"]);
  expect(cameras[0]?.change).toEqual({ source: { kind: "camera", device: "/dev/video2" } });
  expect(others("microphone_lost", settings, devices).map((o) => o.change)).toEqual([
    { microphone: "default" },
  ]);
  const screen: StudioSettings = { ...settings, source: { kind: "screen", device: ":0" } };
  expect(others("window_lost", screen, devices)).toEqual([]);
  expect(others("screen_lost", screen, devices)).toEqual([]);
  expect(others("camera_lost", settings, undefined)).toEqual([]);
});

test("a return is told once, and only if it is one", () => {
  const losses = new Losses();
  expect(losses.take(here)).toEqual({ back: [], fresh: false });
  expect(losses.take({ ...here, notices: [lost] })).toEqual({ back: [], fresh: true });
  expect(losses.take({ ...here, notices: [lost] })).toEqual({ back: [], fresh: false });
  expect(losses.take(here).back).toEqual(["camera_lost"]);
  expect(losses.take(here).back).toEqual([]);
  // Another camera was chosen.
  losses.take({ ...here, notices: [lost] });
  const other: StudioSettings = { ...settings, source: { kind: "camera", device: "/dev/video2" } };
  expect(losses.take({ ...here, settings: other }).back).toEqual([]);
  // The streamer left, so the camera is closed: nothing came back.
  losses.take({ ...here, notices: [lost] });
  expect(losses.take({ ...here, away }).back).toEqual([]);
});
