/** Which screen is shown; the address says it, so that a link leads anywhere. */

export type Route =
  | { readonly screen: "hall" }
  | { readonly screen: "watch"; readonly room: string }
  | { readonly screen: "studio" }
  | { readonly screen: "account" }
  | { readonly screen: "missing" };

/** Room ids as the server forms them. */
const ROOM = /^[a-z0-9-]{4,32}$/;

export function parseRoute(path: string): Route {
  const parts = path.split("/").filter((p) => p !== "");
  const [first, second] = parts;
  if (first === undefined || (first === "index.html" && parts.length === 1)) return { screen: "hall" };
  if (first === "watch" && second !== undefined && parts.length === 2 && ROOM.test(second)) {
    return { screen: "watch", room: second };
  }
  if (parts.length === 1 && (first === "studio" || first === "account")) return { screen: first };
  return { screen: "missing" };
}

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
