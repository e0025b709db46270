// A browser's world for client.js: a clock that is moved by hand, and a server with a history behind lines that can be
// cut. Whatever is under way on a line that is cut is lost, in both directions. Start at World.

import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto;

export class World {
  constructor(seed = 1) {
    this.now = 1_000_000;
    this.timers = new Map();
    this.number = 0;
    this.seed = seed;
    this.lines = []; // all that were ever opened, of both kinds
    this.websockets = true; // can they be opened?
    this.up = true; // is the server there at all?
    this.dead = false; // nothing arrives any more, and nobody says so
    this.refused = new Set(); // channels that nobody may listen to or publish in
    this.away = false; // the store
    this.deaf = false; // posts arrive, their answers do not
    this.histories = new Map();
    this.most = Infinity;
    this.epoch = "e1";
    this.ids = new Map();
    this.heard = []; // everything that clients have said
    this.posts = 0;
    this.warnings = [];
    this.page();
  }

  /** What a page finds; a second call is a reload in the same tab. */
  page() {
    const world = this;
    const page = new EventTarget();
    const storage = (this.storage ??= new Map());
    Object.assign(globalThis, {
      location: { href: "http://host.test/page" },
      document: Object.assign(new EventTarget(), { visibilityState: "visible" }),
      addEventListener: page.addEventListener.bind(page),
      removeEventListener: page.removeEventListener.bind(page),
      sessionStorage: {
        getItem: (name) => storage.get(name) ?? null,
        setItem: (name, text) => void storage.set(name, text),
        removeItem: (name) => void storage.delete(name),
      },
      setTimeout: (call, after = 0) => this.at(after, call),
      clearTimeout: (number) => void this.timers.delete(number),
      WebSocket: class { constructor(url) { return new Socket(world, url); } },
      EventSource: class { constructor(url) { return new Events(world, url); } },
      fetch: (url, options) => this.post(url, options),
      reportError: undefined,
    });
    Date.now = () => this.now;
    Math.random = () => this.random();
    console.warn = (...what) => this.warnings.push(what);
    console.error = (...what) => this.warnings.push(what);
    this.fire = (name, more = {}) => page.dispatchEvent(Object.assign(new Event(name), more));
  }

  random() {
    this.seed = (Math.imul(this.seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (this.seed >>> 8) / 0x800000;
  }

  at(after, call) {
    this.timers.set(++this.number, { due: this.now + after, call });
    return this.number;
  }

  /** Let so many milliseconds pass. */
  async pass(milliseconds) {
    const end = this.now + milliseconds;
    await settle();
    for (;;) {
      const [next] = [...this.timers].filter(([, { due }]) => due <= end).sort(([a, x], [b, y]) => x.due - y.due || a - b);
      if (!next) break;
      const [number, { due, call }] = next;
      this.timers.delete(number);
      this.now = Math.max(this.now, due);
      call();
      await settle();
    }
    this.now = end;
  }

  /** The lines that are open now. */
  get open() {
    return this.lines.filter((line) => line.open);
  }

  // ---- the server -----------------------------------------------------------------------------------------------

  history(channel) {
    if (!this.histories.has(channel)) this.histories.set(channel, { last: 0, messages: [] });
    return this.histories.get(channel);
  }

  publish(channel, data, id) {
    if (id && this.ids.has(id)) return this.ids.get(id);
    const history = this.history(channel);
    const message = { channel, position: `${this.epoch}.${++history.last}.0`, data };
    history.messages.push(message);
    if (history.messages.length > this.most) history.messages.shift();
    if (id) this.ids.set(id, message.position);
    for (const line of this.open) if (line.channels.has(channel)) line.say(message);
    return message.position;
  }

  follow(line, channel, after, n) {
    const history = this.history(channel), last = `${this.epoch}.${history.last}.0`;
    if (this.refused.has(channel)) return line.say({ refused: "subscribe", channel, reason: "no", n });
    line.say({ subscribed: channel, position: after ?? last, n });
    line.channels.add(channel);
    if (after === null) return;
    const [epoch, offset] = after === "oldest" ? [this.epoch, 0] : after.split(".");
    const missing = history.messages.filter(({ position }) => Number(position.split(".")[1]) > Number(offset));
    const lost = epoch !== this.epoch || missing.length !== history.last - Number(offset);
    if (lost) line.say({ resync: channel, reason: epoch === this.epoch ? "gap" : "epoch", position: last });
    else for (const message of missing) line.say(message);
  }

  take(said) {
    this.heard.push(said);
    const { publish: channel, id, data } = said;
    if (this.away) return { refused: "publish", id, reason: "away", again: true };
    if (this.refused.has(channel)) return { refused: "publish", id, reason: "no" };
    return { published: id, position: this.publish(channel, data, id) };
  }

  answer(line, text) {
    const said = JSON.parse(text);
    if (said.publish) return line.say(this.take(said));
    this.heard.push(said);
    if (said.subscribe) this.follow(line, said.subscribe, said.after, said.n);
    if (said.unsubscribe) line.channels.delete(said.unsubscribe);
    if (said.ping) line.say({ pong: said.ping });
  }

  async post(url, { headers, body }) {
    this.posts++;
    await this.travel();
    if (!this.up || headers["Content-Type"] !== "application/json") throw new TypeError("no answer");
    const said = this.take(JSON.parse(body));
    await this.travel();
    if (this.deaf) throw new TypeError("the answer was lost");
    const status = said.published ? 200 : said.again ? 503 : 403;
    return { ok: status === 200, status, json: async () => said };
  }

  travel() {
    return new Promise((resolve) => this.at(1 + this.random() * 20, resolve));
  }
}

export function settle() {
  return new Promise(setImmediate);
}

/** One direction after the other, each in order; what both kinds of lines have in common. */
class Line {
  constructor(world, url) {
    Object.assign(this, { world, url, open: false, over: false, silent: false, channels: new Set(), ends: [0, 0] });
    world.lines.push(this);
    this.born = world.now;
  }

  travel(way, call) {
    if (this.world.dead) return;
    const due = Math.max(this.ends[way], this.world.now + 1 + this.world.random() * 20);
    this.ends[way] = due;
    this.world.at(due - this.world.now, () => this.over || call());
  }

  say(said) {
    if (!this.silent) this.travel(0, () => this.onmessage?.({ data: JSON.stringify(said) }));
  }
}

class Socket extends Line {
  constructor(world, url) {
    super(world, url);
    this.kind = "socket";
    this.said = [];
    this.travel(0, () => {
      if (!world.up || !world.websockets) return this.cut(1006);
      this.open = true;
      this.onopen?.();
    });
  }

  send(text) {
    if (!this.open) throw new Error("not open");
    this.said.push(text);
    if (!this.silent) this.travel(1, () => this.world.answer(this, text));
  }

  close(code) {
    this.closed = code;
    this.cut(code);
  }

  /** Everything that is under way is lost. */
  cut(code = 1006) {
    if (this.over) return;
    this.over = true;
    this.open = false;
    this.world.at(0, () => this.onclose?.({ code }));
  }
}

class Events extends Line {
  constructor(world, url) {
    super(world, url);
    this.kind = "events";
    this.names = new EventTarget();
    const query = new URL(url).searchParams, after = query.get("after").split(",");
    this.travel(0, () => {
      if (!world.up) return this.cut();
      this.open = true;
      this.onopen?.();
      query.getAll("channel").forEach((channel, place) => world.follow(this, channel, after[place] || null));
    });
  }

  addEventListener(name, call) {
    this.names.addEventListener(name, call);
  }

  beat() {
    this.names.dispatchEvent(new Event("beat"));
  }

  close() {
    this.over = true;
    this.open = false;
  }

  cut() {
    if (this.over) return;
    this.close();
    this.world.at(0, () => this.onerror?.());
  }
}
