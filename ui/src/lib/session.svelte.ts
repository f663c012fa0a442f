/** Who is logged in, and the dialog that asks. */
import { backend } from "./backend";
import type { AccountView, AppHome, RecoveryRequest, ServerInfo } from "./generated/protocol";
import { i18n } from "./i18n/index.svelte";
import { toasts } from "./toasts.svelte";

class Session {
  account = $state<AccountView | null>(null);
  /** It is known who is logged in. */
  known = $state(false);
  /** The log-in dialog is open, for which of the three. */
  asking = $state<"log_in" | "sign_up" | "recover" | undefined>(undefined);
  server = $state<ServerInfo | undefined>(undefined);
  /** Which server the app uses; undefined in a browser. */
  home = $state<AppHome | undefined>(undefined);
  /** Keys are heard while another program is in front; undefined in a browser. */
  hotkeys = $state<boolean | undefined>(undefined);
  /** The app behind the window could not start: nothing else works. */
  fatal = $state<unknown>();

  async load(): Promise<void> {
    try {
      const locale = await backend.locale();
      if (locale !== undefined) i18n.setSystem(locale);
      this.account = await backend.account();
      this.home = backend.homes?.now;
      this.hotkeys = backend.hotkeys?.on;
      this.fatal = undefined;
    } catch (error) {
      if (backend.kind === "app") this.fatal = error;
      else toasts.bad(error);
    }
    this.known = true;
    try {
      this.server = await backend.request<ServerInfo>("GET", "/server");
    } catch {
      // Only decides whether some forms are offered.
    }
  }

  ask(): void {
    this.asking = "log_in";
  }

  async open(create: boolean, name: string, password: string): Promise<void> {
    this.account = create ? await backend.signUp(name, password) : await backend.logIn(name, password);
    this.asking = undefined;
  }

  /** Sets a new password with a code of the operator's, and logs in with it. */
  async recover(request: RecoveryRequest): Promise<void> {
    await backend.request("POST", "/recovery", request);
    // The code is used up: if logging in fails now, it is tried again without it.
    this.asking = "log_in";
    await this.open(false, request.name, request.password);
  }

  /** Uses the server at an address, or null: one that the app hosts. */
  async choose(address: string | null): Promise<void> {
    await backend.homes?.choose(address);
    this.home = backend.homes?.now;
  }

  async setHotkeys(on: boolean): Promise<void> {
    await backend.hotkeys?.set(on);
    this.hotkeys = backend.hotkeys?.on;
  }

  constructor() {
    backend.onexpired = () => {
      this.account = null;
    };
  }

  /** `everywhere`: on all devices. */
  async close(everywhere = false): Promise<void> {
    // If that fails, nobody is logged out anywhere.
    if (everywhere) await backend.request("DELETE", "/sessions/others");
    try {
      await backend.logOut();
    } finally {
      this.account = null;
    }
  }
}

export const session = new Session();
