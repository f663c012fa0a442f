/** Pictures that are put together: the small one over the large one, and what is kept of both under a name. */
import type { Inset, Scene, StudioSettings, VideoSource } from "./generated/protocol";

/** Most that are kept, and most characters of a name. */
export const SCENES_MAX = 20;
export const SCENE_NAME_MAX = 40;
/** Bounds of the small picture's width, as a share of the large one's. */
export const INSET_WIDTHS = { least: 0.1, most: 0.5 } as const;

/** Corners of the picture, a little off its edges. */
export const CORNERS = {
  top_left: { x: 0.03, y: 0.03 },
  top_right: { x: 0.97, y: 0.03 },
  bottom_left: { x: 0.03, y: 0.97 },
  bottom_right: { x: 0.97, y: 0.97 },
} as const;
export type Corner = keyof typeof CORNERS;
/** In the order in which they are offered. */
export const CORNER_NAMES = Object.keys(CORNERS) as Corner[];

type Shown = Pick<StudioSettings, "source" | "inset">;

/** Numbers go through 32 bits on their way to the app and back. */
function near(a: number, b: number): boolean {
  return Math.abs(a - b) < 1e-4;
}

export function sameSource(a: VideoSource, b: VideoSource): boolean {
  const values = (source: VideoSource): string => JSON.stringify(Object.entries(source).sort());
  return values(a) === values(b);
}

function sameInset(a: Inset | null, b: Inset | null): boolean {
  if (a === null || b === null) return a === b;
  return sameSource(a.source, b.source) && near(a.width, b.width) && near(a.x, b.x) && near(a.y, b.y);
}

/** Whether this is what is shown. */
export function isShown(scene: Scene, shown: Shown): boolean {
  return sameSource(scene.source, shown.source) && sameInset(scene.inset, shown.inset);
}

/** With what is shown kept under this name, in the place of what had the name before; undefined: it cannot be. */
export function kept(scenes: readonly Scene[], name: string, { source, inset }: Shown): Scene[] | undefined {
  const called = name.trim();
  if (called === "" || [...called].length > SCENE_NAME_MAX) return undefined;
  const scene: Scene = { name: called, source, inset };
  const at = scenes.findIndex((s) => s.name === called);
  if (at >= 0) return scenes.map((s, i) => (i === at ? scene : s));
  return scenes.length < SCENES_MAX ? [...scenes, scene] : undefined;
}

/** The corner that a small picture lies in, if it is one. */
export function cornerOf(inset: Inset): Corner | undefined {
  return CORNER_NAMES.find((name) => near(CORNERS[name].x, inset.x) && near(CORNERS[name].y, inset.y));
}

/** Shares of the large picture, from 0 to 1. */
export interface Spot {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Where a small picture of this shape (its width by its height) lies in a large one of another. */
export function spotOf({ width, x, y }: Inset, shape: number, large: number): Spot {
  const high = (width * large) / shape;
  // As high as the large one at most.
  const height = Math.min(1, high);
  const wide = high > 1 ? shape / large : width;
  return { left: x * (1 - wide), top: y * (1 - height), width: wide, height };
}

/** The place of a small picture whose left upper corner was moved so far, in shares of the large one. */
export function moved(inset: Inset, by: { x: number; y: number }, shape: number, large: number): Inset {
  const spot = spotOf(inset, shape, large);
  const part = (at: number, way: number): number => (way > 1e-6 ? Math.min(1, Math.max(0, at / way)) : 0);
  return {
    ...inset,
    x: part(spot.left + by.x, 1 - spot.width),
    y: part(spot.top + by.y, 1 - spot.height),
  };
}
