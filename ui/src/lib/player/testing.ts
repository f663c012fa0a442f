/** Makes init segments and fragments for tests; written from ISO/IEC 14496-12, apart from the reader. */

const ascii = (s: string): number[] => [...s].map((c) => c.charCodeAt(0));
const u32 = (n: number): number[] => [(n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
const u64 = (n: number): number[] => [...u32(Math.floor(n / 2 ** 32)), ...u32(n % 2 ** 32)];

export function box(type: string, ...content: number[][]): number[] {
  const all = content.flat();
  return [...u32(all.length + 8), ...ascii(type), ...all];
}
const fullBox = (type: string, version: number, flags: number, ...content: number[][]): number[] =>
  box(type, u32(version * 2 ** 24 + flags), ...content);

const zeros = (n: number): number[] => Array.from({ length: n }, () => 0);

function track(id: number, timescale: number, entry: number[]): number[] {
  return box(
    "trak",
    fullBox("tkhd", 0, 3, u32(0), u32(0), u32(id), zeros(68)),
    box(
      "mdia",
      fullBox("mdhd", 0, 0, u32(0), u32(0), u32(timescale), u32(0), u32(0)),
      box("minf", box("stbl", fullBox("stsd", 0, 0, u32(1), entry))),
    ),
  );
}

export interface InitOptions {
  readonly profile?: readonly [number, number, number];
  readonly audioRate?: number;
}

/** Video is track 1 at 90 kHz, audio track 2 at its own rate. */
export function makeInit({ profile = [0x64, 0, 0x1f], audioRate = 48_000 }: InitOptions = {}): Uint8Array {
  const avc1 = box("avc1", zeros(78), box("avcC", [1, ...profile, 0xff, 0xe0, 0]));
  // AudioSpecificConfig of AAC-LC at 48 kHz, stereo.
  const specific = [0x05, 2, 0x11, 0x90];
  const config = [0x04, 13 + specific.length, 0x40, 0x15, ...zeros(11), ...specific];
  const esds = fullBox("esds", 0, 0, [0x03, 3 + config.length, 0, 2, 0, ...config]);
  const mp4a = box("mp4a", zeros(28), esds);
  return Uint8Array.from([
    ...box("ftyp", ascii("isom"), u32(0)),
    ...box("moov", track(1, 90_000, avc1), track(2, audioRate, mp4a)),
  ]);
}

export interface FragmentOptions {
  /** Seconds. */
  readonly time: number;
  readonly duration: number;
  readonly key?: boolean;
  /** Bytes of media. */
  readonly size?: number;
  readonly wallMs?: number;
  /** 50 ms of sound alone. */
  readonly audioOnly?: boolean;
}

/** One picture with its sound, as the server sends them. */
export function makeFragment(o: FragmentOptions): Uint8Array {
  const duration = Math.round(o.duration * 90_000);
  const video = box(
    "traf",
    fullBox("tfhd", 0, 0x02_0000, u32(1)),
    fullBox("tfdt", 1, 0, u64(Math.round(o.time * 90_000))),
    fullBox(
      "trun",
      1,
      0x0f01,
      u32(1),
      u32(0),
      u32(duration),
      u32(o.size ?? 100),
      u32(o.key === true ? 0x0200_0000 : 0x0101_0000),
      u32(0),
    ),
  );
  const audio = box(
    "traf",
    fullBox("tfhd", 0, 0x02_0000 | 0x08, u32(2), u32(1024)),
    fullBox("tfdt", 1, 0, u64(Math.round(o.time * 48_000))),
    fullBox("trun", 0, 0x0201, u32(2), u32(0), u32(80), u32(80)),
  );
  const prft =
    o.wallMs === undefined
      ? []
      : fullBox(
          "prft",
          1,
          0,
          u32(1),
          u32(Math.floor(o.wallMs / 1000) + 2_208_988_800),
          u32(Math.floor(((o.wallMs % 1000) / 1000) * 2 ** 32)),
          u64(Math.round(o.time * 90_000)),
        );
  return Uint8Array.from([
    ...prft,
    ...box("moof", fullBox("mfhd", 0, 0, u32(1)), ...(o.audioOnly === true ? [audio] : [video, audio])),
    ...box("mdat", zeros(o.size ?? 100)),
  ]);
}
