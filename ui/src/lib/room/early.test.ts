import { describe, expect, it, vi } from "vitest";
import type { MediaHandlers } from "../backend/types";
import { EarlyMedia } from "./early";

function opened() {
  let inner: MediaHandlers | undefined;
  const connection = { restart: vi.fn(), close: vi.fn() };
  const early = new EarlyMedia((handlers) => {
    inner = handlers;
    return connection;
  });
  if (!inner) throw new Error("nothing was opened");
  return { early, connection, inner };
}

function heard() {
  const all: (string | number)[] = [];
  const handlers: MediaHandlers = { data: (b) => all.push(b.byteLength), state: (s) => all.push(s) };
  return { all, handlers };
}

describe("a programme that is asked for early", () => {
  it("hands over what has come, in its order, and then the connection itself", async () => {
    const { early, connection, inner } = opened();
    inner.state("connected");
    inner.data(new ArrayBuffer(3));
    inner.data(new ArrayBuffer(5));
    const { all, handlers } = heard();
    expect(early.take(handlers)).toBe(connection);
    // Whoever takes it has it before the first of it comes.
    expect(all).toEqual([]);
    await Promise.resolve();
    inner.data(new ArrayBuffer(7));
    inner.state("lost");
    expect(all).toEqual(["connected", 3, 5, 7, "lost"]);
    early.close();
    expect(connection.close).not.toHaveBeenCalled();
  });

  it("is taken once", () => {
    const { early, connection } = opened();
    expect(early.take(heard().handlers)).toBe(connection);
    expect(early.take(heard().handlers)).toBeUndefined();
  });

  it("is closed where nobody takes it", () => {
    const { early, connection, inner } = opened();
    early.close();
    early.close();
    inner.data(new ArrayBuffer(3));
    expect(connection.close).toHaveBeenCalledTimes(1);
    expect(early.take(heard().handlers)).toBeUndefined();
  });

  it("does not gather without end", () => {
    const { early, connection, inner } = opened();
    for (let i = 0; i < 9; i++) inner.data(new ArrayBuffer(1024 * 1024));
    expect(connection.close).toHaveBeenCalledTimes(1);
    expect(early.take(heard().handlers)).toBeUndefined();
  });
});
