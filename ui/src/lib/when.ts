/** Points in time as people say them, in this computer's time zone. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How many midnights lie between two times; negative where the second is earlier. */
export function daysBetween(from: number, to: number): number {
  const midnight = (at: number): number => {
    const day = new Date(at);
    // Days differ in length where clocks are put forward and back; as dates of UTC they do not.
    return Date.UTC(day.getFullYear(), day.getMonth(), day.getDate());
  };
  return Math.round((midnight(to) - midnight(from)) / DAY);
}

export interface Ago {
  readonly n: number;
  readonly unit: "minute" | "hour" | "day";
}

/** How long something lies back, in the largest unit of which it is one at least. */
export function ago(milliseconds: number): Ago {
  const past = Math.max(0, milliseconds);
  if (past >= DAY) return { n: Math.floor(past / DAY), unit: "day" };
  if (past >= HOUR) return { n: Math.floor(past / HOUR), unit: "hour" };
  return { n: Math.floor(past / MINUTE), unit: "minute" };
}

/** A time as a field of the kind `datetime-local` has it. */
export function toField(at: number): string {
  const day = new Date(at);
  const two = (n: number): string => String(n).padStart(2, "0");
  const date = `${String(day.getFullYear()).padStart(4, "0")}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
  return `${date}T${two(day.getHours())}:${two(day.getMinutes())}`;
}

/** What stands in such a field, also where it is written by hand; undefined: no time. */
export function ofField(text: string): number | undefined {
  const found = /^(\d{4})-(\d{1,2})-(\d{1,2})[T ]+(\d{1,2}):(\d{2})(?::\d{2}(?:\.\d+)?)?$/.exec(text.trim());
  if (!found) return undefined;
  const [year = 0, month = 0, date = 0, hour = 0, minute = 0] = found.slice(1).map(Number);
  const at = new Date(year, month - 1, date, hour, minute);
  // The 31st of February is no day, whatever the browser makes of it.
  const same = at.getFullYear() === year && at.getMonth() === month - 1 && at.getDate() === date;
  return same && hour < 24 && minute < 60 ? at.getTime() : undefined;
}

/** A time that is likely meant when nothing was chosen yet: tomorrow evening. */
export function tomorrowEvening(now: number): number {
  const day = new Date(now);
  return new Date(day.getFullYear(), day.getMonth(), day.getDate() + 1, 20).getTime();
}
