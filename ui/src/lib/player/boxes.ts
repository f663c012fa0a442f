/**
 * The few boxes of fragmented MP4 (ISO/IEC 14496-12) that the player looks into: which codecs an init
 * segment holds, which stretch of the timeline a fragment covers, and the wall clock that rides along.
 *
 * The bytes come from the network: every read is checked, and what does not fit is `undefined`.
 */

/** One track of an init segment. */
export interface Track {
  readonly id: number;
  readonly kind: "video" | "audio";
  /** Units a second of its times. */
  readonly timescale: number;
  /** As RFC 6381 names it: `avc1.64001f`, `mp4a.40.2`. */
  readonly codec: string;
}

/** An init segment: what the fragments after it mean. */
export interface Init {
  readonly tracks: readonly Track[];
  /** For `MediaSource.addSourceBuffer`. */
  readonly mime: string;
}

/** What a fragment holds of one track; times in seconds. */
export interface Run {
  readonly kind: "video" | "audio";
  /** Decode time of its first sample. */
  readonly decodeTime: number;
  /** Time at which its first sample is shown. */
  readonly presentationTime: number;
  readonly duration: number;
  /** Its first sample can be decoded without any before it. */
  readonly key: boolean;
}

/** A fragment. */
export interface Fragment {
  readonly runs: readonly Run[];
  /** Wall clock, in milliseconds since 1970, at which its first picture (or sound) came in; from `prft`. */
  readonly wallMs: number | undefined;
}

interface Box {
  readonly type: string;
  /** Of its content. */
  readonly start: number;
  readonly end: number;
}

/** Seconds from 1900 (NTP's epoch) to 1970. */
const NTP_EPOCH = 2_208_988_800;

const NON_SYNC = 0x0001_0000;

function* boxes(view: DataView, start: number, end: number): Generator<Box> {
  let at = start;
  while (at + 8 <= end) {
    let size = view.getUint32(at);
    let head = 8;
    if (size === 1) {
      if (at + 16 > end) return;
      // Sizes past 2^53 are no sizes that reach us.
      size = view.getUint32(at + 8) * 2 ** 32 + view.getUint32(at + 12);
      head = 16;
    } else if (size === 0) {
      size = end - at;
    }
    if (size < head || at + size > end) return;
    const type = String.fromCharCode(
      view.getUint8(at + 4),
      view.getUint8(at + 5),
      view.getUint8(at + 6),
      view.getUint8(at + 7),
    );
    yield { type, start: at + head, end: at + size };
    at += size;
  }
}

function find(view: DataView, box: Box, ...path: string[]): Box | undefined {
  let here: Box | undefined = box;
  for (const type of path) {
    if (!here) return undefined;
    let next: Box | undefined;
    for (const child of boxes(view, here.start, here.end)) {
      if (child.type === type) {
        next = child;
        break;
      }
    }
    here = next;
  }
  return here;
}

const hex = (n: number): string => n.toString(16).padStart(2, "0");

/** The length-of-content field of MPEG-4 descriptors: seven bits a byte, at most four bytes. */
function descriptor(
  view: DataView,
  at: number,
  end: number,
): { tag: number; start: number; end: number } | undefined {
  if (at + 2 > end) return undefined;
  const tag = view.getUint8(at);
  let length = 0;
  let p = at + 1;
  for (let i = 0; i < 4 && p < end; i++) {
    const b = view.getUint8(p++);
    length = (length << 7) | (b & 0x7f);
    if ((b & 0x80) === 0) return { tag, start: p, end: Math.min(p + length, end) };
  }
  return undefined;
}

/** `mp4a.OTI.AOT` from an `esds` (ISO/IEC 14496-1, 7.2.6.5). */
function audioCodec(view: DataView, esds: Box): string | undefined {
  const es = descriptor(view, esds.start + 4, esds.end);
  if (es?.tag !== 3 || es.start + 3 > es.end) return undefined;
  const flags = view.getUint8(es.start + 2);
  let at = es.start + 3;
  if (flags & 0x80) at += 2;
  if (flags & 0x40) at += 1 + (at < es.end ? view.getUint8(at) : 0);
  if (flags & 0x20) at += 2;
  const config = descriptor(view, at, es.end);
  if (config?.tag !== 4 || config.start + 13 > config.end) return undefined;
  const type = view.getUint8(config.start);
  const specific = descriptor(view, config.start + 13, config.end);
  if (specific?.tag !== 5 || specific.start >= specific.end) return undefined;
  const first = view.getUint8(specific.start);
  let objectType = first >> 3;
  if (objectType === 31 && specific.start + 1 < specific.end) {
    objectType = 32 + (((first & 7) << 3) | (view.getUint8(specific.start + 1) >> 5));
  }
  return `mp4a.${hex(type)}.${String(objectType)}`;
}

function sampleEntryCodec(view: DataView, stsd: Box): { kind: "video" | "audio"; codec: string } | undefined {
  for (const entry of boxes(view, stsd.start + 8, stsd.end)) {
    if (entry.type === "avc1" || entry.type === "avc3") {
      const avcc = find(view, { ...entry, start: entry.start + 78 }, "avcC");
      if (!avcc || avcc.start + 4 > avcc.end) return undefined;
      const profile = [1, 2, 3].map((i) => hex(view.getUint8(avcc.start + i))).join("");
      return { kind: "video", codec: `${entry.type}.${profile}` };
    }
    if (entry.type === "mp4a") {
      const esds = find(view, { ...entry, start: entry.start + 28 }, "esds");
      const codec = esds && audioCodec(view, esds);
      return codec === undefined ? undefined : { kind: "audio", codec };
    }
  }
  return undefined;
}

function readTrack(view: DataView, trak: Box): Track | undefined {
  const tkhd = find(view, trak, "tkhd");
  const mdhd = find(view, trak, "mdia", "mdhd");
  const stsd = find(view, trak, "mdia", "minf", "stbl", "stsd");
  if (!tkhd || !mdhd || !stsd) return undefined;
  const idAt = tkhd.start + (view.getUint8(tkhd.start) === 1 ? 20 : 12);
  const scaleAt = mdhd.start + (view.getUint8(mdhd.start) === 1 ? 20 : 12);
  if (idAt + 4 > tkhd.end || scaleAt + 4 > mdhd.end) return undefined;
  const timescale = view.getUint32(scaleAt);
  const entry = sampleEntryCodec(view, stsd);
  if (!entry || timescale === 0) return undefined;
  return { id: view.getUint32(idAt), timescale, ...entry };
}

/** Whether the bytes begin an init segment (`ftyp` or `moov`) rather than a fragment. */
export function isInit(bytes: Uint8Array): boolean {
  if (bytes.byteLength < 8) return false;
  const type = String.fromCharCode(...bytes.subarray(4, 8));
  return type === "ftyp" || type === "moov";
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Reads an init segment; `undefined` if it is none or holds a codec that the player does not take. */
export function readInit(bytes: Uint8Array): Init | undefined {
  try {
    const view = viewOf(bytes);
    const moov = find(view, { type: "", start: 0, end: view.byteLength }, "moov");
    if (!moov) return undefined;
    const tracks: Track[] = [];
    for (const box of boxes(view, moov.start, moov.end)) {
      if (box.type !== "trak") continue;
      const track = readTrack(view, box);
      if (!track) return undefined;
      tracks.push(track);
    }
    if (tracks.length === 0) return undefined;
    return { tracks, mime: `video/mp4; codecs="${tracks.map((t) => t.codec).join(",")}"` };
  } catch (e) {
    if (e instanceof RangeError) return undefined; // a field beyond the end
    throw e;
  }
}

/** A 64-bit unsigned integer as a number: exact to 2^53, which at 90 kHz is three thousand years. */
const uint64 = (view: DataView, at: number): number => view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);

function readRun(view: DataView, traf: Box, init: Init): Run | undefined {
  const tfhd = find(view, traf, "tfhd");
  const tfdt = find(view, traf, "tfdt");
  if (!tfhd || !tfdt) return undefined;
  const id = view.getUint32(tfhd.start + 4);
  const track = init.tracks.find((t) => t.id === id);
  if (!track) return undefined;

  const tfFlags = view.getUint32(tfhd.start) & 0xff_ffff;
  let at = tfhd.start + 8;
  if (tfFlags & 0x01) at += 8;
  if (tfFlags & 0x02) at += 4;
  let defaultDuration = 0;
  if (tfFlags & 0x08) {
    defaultDuration = view.getUint32(at);
    at += 4;
  }
  if (tfFlags & 0x10) at += 4;
  const defaultFlags = tfFlags & 0x20 ? view.getUint32(at) : 0;

  const decodeTime =
    view.getUint8(tfdt.start) === 1 ? uint64(view, tfdt.start + 4) : view.getUint32(tfdt.start + 4);
  let duration = 0;
  let offset = 0;
  let key = track.kind === "audio";
  let first = true;
  for (const trun of boxes(view, traf.start, traf.end)) {
    if (trun.type !== "trun") continue;
    const version = view.getUint8(trun.start);
    const flags = view.getUint32(trun.start) & 0xff_ffff;
    const count = view.getUint32(trun.start + 4);
    let p = trun.start + 8;
    if (flags & 0x01) p += 4;
    let firstFlags: number | undefined;
    if (flags & 0x04) {
      firstFlags = view.getUint32(p);
      p += 4;
    }
    const width = [0x100, 0x200, 0x400, 0x800].reduce((n, bit) => n + (flags & bit ? 4 : 0), 0);
    if (width > 0 && p + count * width > trun.end) return undefined;
    if (!(flags & 0x100)) duration += defaultDuration * count;
    for (let i = 0; width > 0 && i < count; i++) {
      let q = p + i * width;
      if (flags & 0x100) {
        duration += view.getUint32(q);
        q += 4;
      }
      if (flags & 0x200) q += 4;
      if (first) {
        if (flags & 0x400) firstFlags ??= view.getUint32(q);
        if (flags & 0x400) q += 4;
        if (flags & 0x800) offset = version === 0 ? view.getUint32(q) : view.getInt32(q);
        if (track.kind === "video") key = ((firstFlags ?? defaultFlags) & NON_SYNC) === 0;
        first = false;
      }
    }
    if (first && count > 0) {
      if (track.kind === "video") key = ((firstFlags ?? defaultFlags) & NON_SYNC) === 0;
      first = false;
    }
  }
  return {
    kind: track.kind,
    decodeTime: decodeTime / track.timescale,
    presentationTime: (decodeTime + offset) / track.timescale,
    duration: duration / track.timescale,
    key,
  };
}

/** Reads a fragment (`[prft] moof mdat`); `undefined` if it is none. */
export function readFragment(bytes: Uint8Array, init: Init): Fragment | undefined {
  try {
    const view = viewOf(bytes);
    const runs: Run[] = [];
    let wallMs: number | undefined;
    let seen = false;
    for (const box of boxes(view, 0, view.byteLength)) {
      if (box.type === "prft" && box.end - box.start >= 16) {
        const seconds = view.getUint32(box.start + 8) - NTP_EPOCH;
        wallMs = seconds * 1000 + (view.getUint32(box.start + 12) / 2 ** 32) * 1000;
      } else if (box.type === "moof") {
        seen = true;
        for (const traf of boxes(view, box.start, box.end)) {
          if (traf.type !== "traf") continue;
          const run = readRun(view, traf, init);
          if (run) runs.push(run);
        }
      }
    }
    return seen && runs.length > 0 ? { runs, wallMs } : undefined;
  } catch (e) {
    if (e instanceof RangeError) return undefined; // a field beyond the end
    throw e;
  }
}
