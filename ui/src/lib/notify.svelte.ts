/** Tells of followed streamers who go live, outside the page: by the browser, or by the desktop in the app. */
import { backend } from "./backend";
import type { RoomView } from "./generated/protocol";
import { nameOf, news, readKnown } from "./golive";
import { t } from "./i18n/index.svelte";
import { prefs } from "./prefs.svelte";
import { router } from "./router.svelte";
import { session } from "./session.svelte";
import { store, stored } from "./stored";

const KNOWN = "mujian.known_streams";
/** How often it is looked, in milliseconds, also while the page is hidden: that is when it matters. */
const EVERY = 20_000;

/** `unable`: this browser shows none here; `denied`: the person told it not to. */
export type Permission = "granted" | "asked_first" | "denied" | "unable";

function browsers(): Permission {
  // Where the address is not secure, browsers refuse without asking.
  if (typeof Notification === "undefined" || !window.isSecureContext) return "unable";
  if (Notification.permission === "granted") return "granted";
  return Notification.permission === "denied" ? "denied" : "asked_first";
}

class Notices {
  permission = $state<Permission>(backend.notify ? "granted" : browsers());

  /** Streams that were on when their room was pressed to be followed: they are no news. */
  readonly #quiet = new Set<string>();

  /** What is followed from now on, and is on already. */
  quiet(room: RoomView): void {
    this.#quiet.add(nameOf(room));
  }

  /** Switched on, and allowed. */
  get on(): boolean {
    const wanted = prefs.notify ?? backend.kind === "app";
    return wanted && this.permission === "granted";
  }

  /** Only by a press: browsers ask the person. */
  async switch(on: boolean): Promise<void> {
    if (on && this.permission === "asked_first") {
      await Notification.requestPermission();
      this.permission = browsers();
    }
    prefs.set({ notify: on && this.permission === "granted" });
    // What runs by now is no news.
    if (on) store(KNOWN, undefined);
  }

  /** Looks again and again for whoever is logged in. Returns what stops it. */
  watch(): () => void {
    const account = session.account?.id ?? "";
    let over = false;
    let asked = 0;
    let taken = 0;
    const look = async (): Promise<void> => {
      const mine = ++asked;
      try {
        const live = await backend.request<RoomView[]>("GET", "/me/followed?live=true");
        // An older answer may come after a newer one, and knows of less.
        if (over || account !== session.account?.id || mine < taken) return;
        taken = mine;
        // Read only now: another tab may have told it meanwhile.
        const { known, told } = news(readKnown(stored(KNOWN)), account, live, Date.now());
        store(KNOWN, JSON.stringify(known));
        for (const room of told) if (!this.#quiet.has(nameOf(room))) this.#tell(room);
      } catch {
        // It is looked again in a moment.
      }
    };
    // A computer that wakes up, or that has its network again, does not wait for the next round.
    const now = (): void => void look();
    now();
    const timer = setInterval(now, EVERY);
    window.addEventListener("online", now);
    return () => {
      over = true;
      clearInterval(timer);
      window.removeEventListener("online", now);
    };
  }

  #tell(room: RoomView): void {
    const { route } = router;
    // Who looks at it knows.
    if (!document.hidden && document.hasFocus() && route.screen === "watch" && route.room === room.id) return;
    const title = t("notify_live", { name: room.owner.name });
    const open = (): void => router.go(`/watch/${room.id}`);
    if (backend.notify) {
      void backend.notify({ title, body: room.title, open: t("notify_open") }, open).catch(() => undefined);
      return;
    }
    try {
      // The tag keeps two tabs that look at the same moment from telling it twice.
      const notice = new Notification(title, { body: room.title, tag: nameOf(room), icon: "/favicon.svg" });
      notice.onclick = () => {
        window.focus();
        open();
        notice.close();
      };
    } catch {
      // Some browsers on phones show none from a page.
      this.permission = "unable";
    }
  }
}

export const notices = new Notices();
