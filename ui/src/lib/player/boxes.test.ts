import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isInit, readFragment, readInit } from "./boxes";
import { makeFragment, makeInit } from "./testing";

/** A file that FFmpeg wrote, cut into the messages that the server would send. */
function messages(): Uint8Array[] {
  const file = new Uint8Array(readFileSync(new URL("./fixtures/short.mp4", import.meta.url)));
  const view = new DataView(file.buffer, file.byteOffset);
  const out: Uint8Array[] = [];
  let start = 0;
  for (let at = 0; at < file.byteLength;) {
    const type = String.fromCharCode(...file.subarray(at + 4, at + 8));
    if (type === "mfra") break;
    at += view.getUint32(at);
    if (type === "moov" || type === "mdat") {
      out.push(file.subarray(start, at));
      start = at;
    }
  }
  return out;
}

describe("a file of FFmpeg's", () => {
  const [first, ...rest] = messages();
  const init = first && readInit(first);

  it("names its codecs", () => {
    expect(first && isInit(first)).toBe(true);
    expect(init?.mime).toBe('video/mp4; codecs="avc1.64000b,mp4a.40.2"');
    expect(init?.tracks.map((t) => [t.kind, t.id])).toEqual([
      ["video", 1],
      ["audio", 2],
    ]);
    expect(init?.tracks[1]?.timescale).toBe(48_000);
  });

  it("tells times, durations, key frames and the wall clock", () => {
    if (!init) throw new Error("no init segment");
    const fragments = rest.map((bytes) => readFragment(bytes, init));
    expect(fragments.every((f) => f !== undefined)).toBe(true);
    const video = fragments.flatMap((f) => f?.runs ?? []).filter((r) => r.kind === "video");
    expect(video).toHaveLength(15);
    video.forEach((run, i) => {
      // FFmpeg delays the second fragment on by the priming of AAC, 1024 samples.
      expect(run.decodeTime).toBeCloseTo(i / 25 + (i > 0 ? 1024 / 48_000 : 0), 2);
      expect(run.duration).toBeGreaterThan(0);
      expect(run.key, `picture ${String(i)}`).toBe(i % 10 === 0);
    });
    const audio = fragments.flatMap((f) => f?.runs ?? []).filter((r) => r.kind === "audio");
    const end = audio.at(-1);
    expect((end?.decodeTime ?? 0) + (end?.duration ?? 0)).toBeGreaterThan(0.55);
    const walls = fragments.map((f) => f?.wallMs).filter((w) => w !== undefined);
    expect(walls.length).toBeGreaterThan(0);
    for (const wall of walls) expect(wall).toBeGreaterThan(Date.UTC(2026, 0, 1));
  });

  it("reads none of its fragments as an init segment", () => {
    for (const bytes of rest) {
      expect(isInit(bytes)).toBe(false);
      expect(readInit(bytes)).toBeUndefined();
    }
  });
});

describe("segments that tests make", () => {
  it("carry what was put in", () => {
    const init = readInit(makeInit({ profile: [0x42, 0xc0, 0x1e] }));
    expect(init?.mime).toBe('video/mp4; codecs="avc1.42c01e,mp4a.40.2"');
    if (!init) return;
    const f = readFragment(
      makeFragment({ time: 100_000.5, duration: 0.04, key: true, wallMs: 1_795_000_000_250 }),
      init,
    );
    expect(f?.wallMs).toBeCloseTo(1_795_000_000_250, 0);
    expect(f?.runs[0]).toEqual({
      kind: "video",
      decodeTime: 100_000.5,
      presentationTime: 100_000.5,
      duration: 0.04,
      key: true,
    });
    expect(f?.runs[1]?.duration).toBeCloseTo(2048 / 48_000, 6);
  });
});

describe("bad input", () => {
  const init = makeInit();
  const fragment = makeFragment({ time: 1, duration: 0.04, wallMs: 1_795_000_000_000 });
  const read = readInit(init);

  it("is refused without a throw, wherever it is cut or changed", () => {
    if (!read) throw new Error("no init segment");
    for (let n = 0; n < fragment.byteLength; n++) readFragment(fragment.subarray(0, n), read);
    for (let n = 0; n < init.byteLength; n++) readInit(init.subarray(0, n));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }),
        fc.boolean(),
        (edits, which) => {
          const bytes = Uint8Array.from(which ? init : fragment);
          for (const [at, value] of edits) bytes[at % bytes.byteLength] = value;
          if (which) readInit(bytes);
          else readFragment(bytes, read);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("is refused without a throw, whatever the bytes", () => {
    if (!read) throw new Error("no init segment");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        isInit(bytes);
        readInit(bytes);
        readFragment(bytes, read);
      }),
    );
  });
});
