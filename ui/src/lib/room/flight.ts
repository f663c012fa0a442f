/** How comments fly over the picture, by what a person set. */

/** How much of the picture they may cover, from the top. */
export const AREAS = ["quarter", "half", "most", "whole"] as const;
export type Area = (typeof AREAS)[number];

/** Bounds of what can be set: of size and speed, as factors. */
export const SIZE = { min: 0.6, max: 1.8, step: 0.1 } as const;
export const SPEED = { min: 0.5, max: 2, step: 0.1 } as const;
export const OPACITY = { min: 0.1, max: 1, step: 0.1 } as const;

const SHARES: Readonly<Record<Area, number>> = { quarter: 0.25, half: 0.5, most: 0.75, whole: 1 };
/** At normal speed, in pixels a second. */
const NORMAL = 140;
/** More than this a second are not flown over the whole picture: the list has them all. What a computer makes
 *  of a hundred is in `make bench`. */
const RATE = 120;

/** A comment on its way over the picture. */
export interface Flight {
  readonly text: string;
  readonly color: string;
  readonly mode: string;
  readonly own: boolean;
  /** It names the person who watches. */
  readonly mention: boolean;
}

/** The part of the picture's height that is flown over. */
export const shareOf = (area: Area): number => SHARES[area];

/** Pixels a second. */
export const speedOf = (factor: number): number => NORMAL * factor;

/** How many a second there is room for: fewer where they are large and the area small. */
export const rateOf = (area: Area, size: number): number =>
  Math.max(2, Math.round((RATE * shareOf(area)) / Math.max(1, size)));

/** Pixels, for a picture so high. */
export const fontSize = (height: number, factor: number): number =>
  Math.round(Math.min(30, Math.max(16, height / 22)) * factor);

/** What is drawn: gold for one's own, an edge of cinnabar where one is named. */
export function inkOf(flight: Flight): {
  readonly fill: string;
  readonly edge: string;
  readonly width: number;
} {
  const fill = flight.own ? "#dcb46a" : /^#[0-9a-f]{6}$/i.test(flight.color) ? flight.color : "#ffffff";
  return flight.mention
    ? { fill: "#ffffff", edge: "#c4321a", width: 6 }
    : { fill, edge: "rgba(0, 0, 0, 0.75)", width: 3 };
}
