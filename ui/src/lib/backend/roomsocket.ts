/** The loop around a room's connection in a browser: the socket and the clock of {@link RoomLink}. */
import type { ServerMessage } from "../generated/protocol";
import { type LinkOptions, RoomLink } from "../room/link";
import type { RoomConnection, RoomHandlers } from "./types";

const now = (): number => performance.now();

/** The address of a socket at the server that the page came from. */
export function socketUrl(path: string): string {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/** Opens a room's connection, and opens it again whenever it is lost. */
export function openRoomSocket(
  room: string,
  options: Omit<LinkOptions, "random">,
  handlers: RoomHandlers,
): RoomConnection {
  const link = new RoomLink({ ...options, random: Math.random });
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let over = false;

  const connect = (): void => {
    const mine = new WebSocket(socketUrl(`/api/v1/rooms/${room}/socket`));
    socket = mine;
    mine.onopen = () => {
      if (socket !== mine) return;
      link.opened(now());
      pump();
    };
    mine.onmessage = (e: MessageEvent<unknown>) => {
      if (socket !== mine || typeof e.data !== "string") return;
      let message: ServerMessage;
      try {
        message = JSON.parse(e.data) as ServerMessage;
      } catch {
        return;
      }
      link.message(message, now());
      pump();
    };
    mine.onclose = () => {
      if (socket !== mine) return;
      socket = undefined;
      link.closed(now());
      pump();
    };
  };
  const pump = (): void => {
    if (over) return;
    for (let a = link.poll(); a; a = link.poll()) {
      if (a.do === "connect") connect();
      else if (a.do === "send") socket?.send(JSON.stringify(a.message));
      else if (a.do === "deliver") handlers.message(a.message);
      else if (a.do === "state") handlers.state(a.state);
      else {
        const old = socket;
        socket = undefined;
        old?.close();
      }
    }
    clearTimeout(timer);
    const wake = link.wakeAt;
    if (wake !== undefined) {
      timer = setTimeout(
        () => {
          link.tick(now());
          pump();
        },
        Math.max(10, wake - now()),
      );
    }
  };
  const online = (): void => {
    link.retry(now());
    pump();
  };
  window.addEventListener("online", online);
  link.start(now());
  pump();
  return {
    send(message) {
      const sent = link.send(message);
      pump();
      return sent;
    },
    renew() {
      link.renew(now());
      pump();
    },
    close() {
      over = true;
      clearTimeout(timer);
      window.removeEventListener("online", online);
      const old = socket;
      socket = undefined;
      old?.close();
    },
  };
}
