import { describe, expect, it } from "vitest";
import type { RelayState, RelayView } from "./generated/protocol";
import { failure, together, tone } from "./relays";

const error = { code: "unreachable", message: "no answer" } as const;
const relay = (state: RelayState): RelayView => ({
  id: "1",
  name: "one",
  url: "rtmp://live.example.tv/app",
  key_end: "",
  on: state.state !== "off",
  state,
  since: 0,
});

describe("restreaming", () => {
  it("is as good as the worst that should run", () => {
    const off = relay({ state: "off" });
    const live = relay({ state: "live" });
    const waiting = relay({ state: "waiting", error, until: 5 });
    const refused = relay({ state: "refused", error });
    expect(together([])).toBe("off");
    expect(together([off, relay({ state: "idle" })])).toBe("off");
    expect(together([off, live])).toBe("good");
    expect(together([live, relay({ state: "connecting" })])).toBe("fair");
    expect(together([waiting, live])).toBe("fair");
    expect(together([live, waiting, refused])).toBe("bad");
  });

  it("says why where something failed", () => {
    expect(failure({ state: "live" })).toBeUndefined();
    expect(failure({ state: "waiting", error, until: 5 })).toEqual(error);
    expect(tone({ state: "refused", error })).toBe("bad");
  });
});
