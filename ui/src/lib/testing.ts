/** For tests: what a streamer may have chosen. */
import type { StudioSettings } from "./generated/protocol";

export const SETTINGS: StudioSettings = {
  source: { kind: "camera", device: "/dev/video0" },
  inset: null,
  scenes: [],
  microphone: "yeti",
  gain_db: 0,
  noise_gate_db: null,
  muted: false,
  output: null,
  output_gain_db: 0,
  output_muted: false,
  preset: "720p30",
  encoder: null,
  title: "",
  category: "",
  tags: [],
  keep_sound: false,
  self_view: false,
  record: false,
  record_folder: null,
};
