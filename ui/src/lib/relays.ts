/** Restreaming as a person sees it. */
import type { RelayState, RelayView } from "./generated/protocol";

export type Tone = "off" | "good" | "fair" | "bad";

/** How one of them stands. */
export function tone({ state }: RelayState): Tone {
  switch (state) {
    case "off":
    case "idle":
      return "off";
    case "live":
      return "good";
    case "connecting":
    case "waiting":
      return "fair";
    case "refused":
      return "bad";
  }
}

/** How they stand together: the worst of those that should run. */
export function together(relays: readonly RelayView[]): Tone {
  const tones = relays.map((r) => tone(r.state));
  return (["bad", "fair", "good"] as const).find((t) => tones.includes(t)) ?? "off";
}

/** Why the last attempt failed, if one did. */
export function failure(state: RelayState): Extract<RelayState, { state: "refused" }>["error"] | undefined {
  return state.state === "waiting" || state.state === "refused" ? state.error : undefined;
}
