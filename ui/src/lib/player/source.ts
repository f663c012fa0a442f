/** What the browser can play media with. */

interface WithManaged {
  ManagedMediaSource?: typeof MediaSource;
}

/** Media source extensions, or Safari's managed ones on phones; nothing where there are none. */
export function mediaSourceClass(): typeof MediaSource | undefined {
  if (typeof MediaSource !== "undefined") return MediaSource;
  return (globalThis as WithManaged).ManagedMediaSource;
}

/** Whether the element plays HLS by itself. */
export function playsHls(video: HTMLVideoElement): boolean {
  return video.canPlayType("application/vnd.apple.mpegurl") !== "";
}
