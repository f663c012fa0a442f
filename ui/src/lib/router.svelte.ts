/** Which screen is shown; the address says it, so that a link leads anywhere. */

import { parseRoute, type Route } from "./route";

class Router {
  route = $state<Route>(parseRoute(location.pathname));

  constructor() {
    window.addEventListener("popstate", () => {
      this.route = parseRoute(location.pathname);
    });
  }

  go(path: string, replace = false): void {
    if (path !== location.pathname) {
      const target = path + location.search;
      if (replace) history.replaceState(null, "", target);
      else history.pushState(null, "", target);
    }
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
