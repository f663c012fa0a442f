/** Which screen is shown; the address says it, so that a link leads anywhere. */

import { parseRoute, type Route, wordsOf, withWords } from "./route";

class Router {
  route = $state<Route>(parseRoute(location.pathname));
  /** What is searched for in the hall. */
  words = $state(wordsOf(location.search));

  constructor() {
    window.addEventListener("popstate", () => {
      this.route = parseRoute(location.pathname);
      this.words = wordsOf(location.search);
    });
  }

  /** Searches for something else, or nothing: the same place in the history, which the way back leads to. */
  search(words: string): void {
    this.words = words;
    history.replaceState(null, "", location.pathname + withWords(location.search, words));
  }

  go(path: string, replace = false): void {
    if (path !== location.pathname) {
      const target = path + withWords(location.search, "");
      if (replace) history.replaceState(null, "", target);
      else history.pushState(null, "", target);
      this.words = "";
    }
    // What has the focus goes with its screen. Chromium lays the new one out twice where it is taken away while it has it.
    const focused = document.activeElement;
    if (focused instanceof HTMLElement && focused.closest("main") !== null) focused.blur();
    this.route = parseRoute(path);
    window.scrollTo(0, 0);
  }
}

export const router = new Router();

/** For links: keeps the page, unless the person wants a new tab. */
export function follow(event: MouseEvent): void {
  if (
    event.defaultPrevented ||
    event.button !== 0 ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey ||
    event.altKey
  ) {
    return;
  }
  const link = (event.currentTarget as HTMLAnchorElement).getAttribute("href");
  if (link === null) return;
  event.preventDefault();
  router.go(link);
}
