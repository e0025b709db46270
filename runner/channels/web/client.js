/**
 * Channels in a page: what is published on the server arrives here, in order, each message once, also what was
 * published while the page was away.
 *
 *     import { connect } from "/live/client.js";
 *
 *     const live = connect("/live");
 *     const stop = live.subscribe("public.guestbook", ({ data }) => show(data), {
 *       after: position,                       // where the channel stood before the page's data were read
 *       onresync: () => location.reload(),     // something is missing
 *     });
 *     await live.publish("room.7", { text: "Hello" });
 *
 * It speaks over a WebSocket, or, where none can be opened, by server-sent events and POST. A lost connection is opened
 * again, and goes on where it was. Laws: nothing is handed to a listener twice or out of order; what is to be published
 * is repeated until the server has it, in order, under a name by which the server knows it again (for five minutes).
 */

/** A position before everything that a channel still has, for `after`. */
export const OLDEST = "oldest";

// Milliseconds.
const LEAST = 200, MOST = 15_000; // before the next attempt
const SOON = 2_000; // at most, when the server has asked to come back: all others come, too
const STABLE = 5_000; // a connection that lasts so long has worked
const OPENING = 35_000; // until a connection must be open: after a restart we may be kept waiting for our turn
const QUIET = 25_000, PATIENCE = 10_000; // without a word before we ask, and for the answer
const SILENT = 45_000; // server-sent events: the server says something each 20 s
const PROBE = 60_000, MOST_PROBE = 900_000; // before a WebSocket is tried beside server-sent events

const TRIES = 3; // WebSockets that could not be opened, none ever, before server-sent events
const RESTART = 1012; // "come back", RFC 6455 and IANA's list of close codes
const LONGEST = 1 << 20; // characters of a message
const counts = new Map();

/**
 * Connect to the channels.
 *
 * @param {string} url  where `runner.channels:endpoint` is mounted, e.g. "/live"
 * @param {{keep?: boolean}} [options]  keep: what is not published yet outlives a reload of the page (sessionStorage);
 *   true if left out
 * @returns {Live}
 *
 * @typedef {object} Live
 * @property {"connecting"|"open"|"waiting"|"paused"|"closed"} state  waiting: for the next attempt; paused: the page
 *   is not shown any more, and may come back
 * @property {?(state: string) => void} onstate  called when it changes
 * @property {(channel: string, listener: (message: Message) => void, options?: Options) => (() => void)} subscribe
 *   returns what ends it
 * @property {(channel: string, data: any) => Promise<string>} publish  resolves to the position when the server has
 *   it, however long that takes; rejects if it refuses
 * @property {() => void} close  for good; what is not published yet is rejected, and left to the next page
 *
 * @typedef {{channel: string, data: any, position: string}} Message
 *
 * @typedef {object} Options
 * @property {?string} [after]  a position; if left out: from now on
 * @property {(reason: "epoch"|"gap"|"unknown") => void} [onresync]  messages are missing: read the whole state again;
 *   what comes next is newer
 * @property {(reason: string) => void} [onrefused]  this visitor may not listen (it is tried again at the next connection)
 */
export function connect(url, { keep = true } = {}) {
  const target = new URL(url, location.href);
  const channels = new Map(); // name → {listeners, position, asked, answered}
  const outbox = []; // {id, text, sent, resolve, reject}, the oldest first
  const session = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => (byte % 36).toString(36)).join("");
  const count = counts.get(target.href) ?? 0;
  const place = `runner.channels ${target.href} ${count}`;
  counts.set(target.href, count + 1);

  let line = null; // the connection, open or not yet: {open, send, close, alone, mute}
  let numbers = 0, asked = 0;
  let tries = 0, failures = 0, turns = 0, refusals = 0, worked = false;
  let since = 0, heardAt = 0, pinged = false;
  let attempt, watch, hold, probing, reopening; // timers
  let wait = PROBE;

  const live = { state: "connecting", onstate: null, subscribe, publish, close };

  // ---- what the page calls ------------------------------------------------------------------------------------

  function subscribe(name, onmessage, { after = null, onresync, onrefused } = {}) {
    after ||= null; // a page that knows no position may say ""
    let entry = channels.get(name);
    const listener = { after, onmessage, onresync, onrefused };
    if (!entry) channels.set(name, (entry = { listeners: new Set(), position: null, asked: 0, answered: null }));
    const joins = entry.listeners.size && entry.asked === entry.answered && (after ?? entry.position) === entry.position;
    if (joins) listener.after = entry.position;
    entry.listeners.add(listener);
    if (!joins) follow(name, entry);
    return () => {
      if (!entry.listeners.delete(listener) || entry.listeners.size) return;
      channels.delete(name);
      if (line?.open) line.send(JSON.stringify({ unsubscribe: name }));
    };
  }

  async function publish(channel, data) {
    const said = JSON.stringify(data);
    if (said === undefined) throw new TypeError("a message must be JSON");
    if (said.length > LONGEST) throw new RangeError(`a message may have ${LONGEST} characters`);
    if (live.state === "closed") throw new Error("closed");
    return new Promise((resolve, reject) => {
      const id = `${session}-${++numbers}`;
      const text = `{"publish":${JSON.stringify(channel)},"id":"${id}","data":${said}}`;
      outbox.push({ id, text, sent: false, resolve, reject });
      save();
      flush();
    });
  }

  function close() {
    if (live.state === "closed") return;
    listen("removeEventListener");
    drop();
    enter("closed");
    for (const { reject } of outbox.splice(0)) reject(new Error("closed"));
  }

  // ---- connections --------------------------------------------------------------------------------------------

  function open() {
    drop();
    enter("connecting");
    since = heardAt = Date.now();
    const events = !worked && failures >= TRIES && globalThis.EventSource && turns++ % 2 === 0;
    const mine = (line = events ? openEvents() : openSocket());
    mine.onopen = () => {
      if (mine !== line) return;
      mine.open = true;
      since = heardAt = Date.now();
      look();
      if (events) {
        turns = 0;
        probing = setTimeout(probe, wait * (1 + Math.random()));
      } else {
        worked = true;
        for (const [name, entry] of channels) follow(name, entry);
      }
      enter("open");
      flush();
    };
    mine.onlost = (code) => {
      if (mine !== line) return;
      if (!events && !mine.open) failures++;
      retry(code);
    };
    look();
  }

  function openSocket() {
    const place = new URL(target);
    place.protocol = place.protocol.replace("http", "ws");
    const socket = new WebSocket(place.href);
    const mine = { send: (text) => socket.send(text), close: () => socket.close(1000) };
    socket.onopen = () => mine.onopen();
    socket.onmessage = ({ data }) => mine === line && hear(JSON.parse(data));
    socket.onclose = ({ code }) => mine.onlost(code);
    return mine;
  }

  function openEvents() {
    let source = null;
    const mine = { alone: true, send, close: () => source?.close() };
    reopen();
    return mine;

    function reopen() {
      source?.close();
      source = null;
      mine.mute = !channels.size; // nothing to listen to: what is published needs no connection
      if (mine.mute) return queueMicrotask(() => mine.open || mine.onopen());
      const place = new URL(target);
      for (const [name, entry] of channels) {
        place.searchParams.append("channel", name);
        entry.asked = entry.answered = null;
      }
      place.searchParams.set("after", [...channels.values()].map(oldest).join());
      const own = (source = new EventSource(place.href));
      const only = (call) => (event) => own === source && mine === line && call(event);
      heardAt = Date.now();
      own.onopen = only(() => mine.open || mine.onopen());
      own.onmessage = only(({ data }) => hear(JSON.parse(data)));
      own.onerror = only(() => mine.onlost(0));
      own.addEventListener("beat", only(() => (heardAt = Date.now())));
    }

    function send(text, id) {
      if (id) return void post(text, id);
      clearTimeout(reopening); // another channel: all of them anew, from where they are
      reopening = setTimeout(() => mine === line && reopen());
    }

    async function post(text, id) {
      let said = { refused: "publish", id, again: true };
      try {
        const headers = { "Content-Type": "application/json" };
        const answer = await fetch(target.href, { method: "POST", headers, body: text });
        const body = await answer.json().catch(() => ({}));
        if (answer.ok && body.published) said = body;
        else if (answer.status >= 400 && answer.status < 500 && ![408, 425, 429].includes(answer.status)) {
          said = { refused: "publish", id, reason: body.reason ?? body.error ?? `status ${answer.status}` };
        }
      } catch {
        // no answer is as good as "again"
      }
      if (mine === line) hear(said);
    }
  }

  /** Beside server-sent events: if a WebSocket opens now, one is used from now on. */
  function probe() {
    wait = Math.min(2 * wait, MOST_PROBE);
    const socket = openSocket();
    socket.onopen = () => {
      socket.close();
      if (!line?.alone) return;
      worked = true;
      open();
    };
    socket.onlost = () => {
      if (line?.alone) probing = setTimeout(probe, wait * (1 + Math.random()));
    };
  }

  /** Leave the connection, and forget what was begun over it. */
  function drop() {
    for (const timer of [attempt, watch, hold, probing, reopening]) clearTimeout(timer);
    hold = undefined;
    pinged = false;
    const old = line;
    line = null;
    old?.close();
    for (const entry of channels.values()) entry.answered = null;
    for (const item of outbox) item.sent = false;
  }

  function retry(code) {
    if (line?.open && Date.now() - since >= STABLE) tries = 0;
    drop();
    const most = code === RESTART ? SOON : Math.min(MOST, LEAST * 2 ** ++tries);
    attempt = setTimeout(open, LEAST + Math.random() * (most - LEAST));
    enter("waiting");
  }

  /** Is the connection still there? Comes back when it is time to look again. */
  function look() {
    clearTimeout(watch);
    const silence = Date.now() - heardAt;
    const most = !line.open ? OPENING : line.alone ? SILENT : pinged ? PATIENCE : QUIET;
    if (line.open && line.mute) heardAt = Date.now(); // nobody has anything to say to us
    else if (silence >= most) return !line.open || line.alone || pinged ? line.onlost(0) : ask();
    watch = setTimeout(look, Math.max(most - silence, 1_000));
  }

  function ask() {
    pinged = true;
    heardAt = Date.now(); // that is: the patience begins now
    line.send(`{"ping":${++numbers}}`);
    look();
  }

  // ---- what is heard ------------------------------------------------------------------------------------------

  function hear(said) {
    heardAt = Date.now();
    pinged = false;
    const entry = channels.get(said.subscribed ?? said.resync ?? said.channel);
    if (said.published || said.refused === "publish") answer(said);
    else if (!entry || (said.n ?? entry.asked) !== entry.asked) return;
    else if (said.refused) tell(entry, "onrefused", said.reason);
    else if (said.subscribed) {
      entry.answered = entry.asked;
      entry.position = said.position;
      for (const listener of entry.listeners) listener.after ??= said.position;
    } else if (entry.answered !== entry.asked) return; // of a subscription before the present one
    else if (said.resync) {
      entry.position = said.position;
      tell(entry, "onresync", said.reason, (listener) => {
        const lost = listener.after !== said.position;
        listener.after = said.position;
        return lost;
      });
    } else {
      entry.position = said.position;
      tell(entry, "onmessage", said, (listener) => {
        const news = isNewer(said.position, listener.after);
        if (news) listener.after = said.position;
        return news;
      });
    }
  }

  function tell(entry, how, what, check = () => true) {
    for (const listener of [...entry.listeners]) {
      if (!entry.listeners.has(listener) || !check(listener)) continue;
      if (!listener[how]) console.warn(`nobody listens to ${how}:`, what);
      else guard(listener[how], what);
    }
  }

  function follow(name, entry) {
    if (!line?.open) return;
    entry.asked = ++asked;
    entry.answered = null;
    line.send(JSON.stringify({ subscribe: name, after: oldest(entry), n: entry.asked }));
  }

  // ---- what is published --------------------------------------------------------------------------------------

  function answer({ published, refused, id = published, again, reason, position }) {
    const at = outbox.findIndex((item) => item.id === id);
    if (at < 0) return;
    if (again) {
      hold ??= setTimeout(repeat, LEAST + Math.random() * (Math.min(MOST, LEAST * 2 ** ++refusals) - LEAST));
      return;
    }
    const [item] = outbox.splice(at, 1);
    save();
    refusals = 0;
    if (refused) item.reject(new Error(reason));
    else item.resolve(position);
    flush();
  }

  function repeat() {
    hold = undefined;
    for (const item of outbox) item.sent = false;
    flush();
  }

  function flush() {
    if (!line?.open || hold !== undefined) return;
    for (const item of line.alone ? outbox.slice(0, 1) : outbox) {
      if (item.sent) continue;
      item.sent = true;
      line.send(item.text, item.id);
    }
  }

  function save() {
    if (!keep) return;
    try {
      if (outbox.length) sessionStorage.setItem(place, JSON.stringify(outbox.map(({ id, text }) => [id, text])));
      else sessionStorage.removeItem(place);
    } catch {
      // full, or forbidden: it is kept as long as the page
    }
  }

  function load() {
    try {
      for (const [id, text] of JSON.parse(sessionStorage.getItem(place)) ?? []) {
        outbox.push({ id, text, sent: false, resolve() {}, reject: (error) => console.warn(error) });
      }
    } catch {
      // forbidden, or nothing that we have written
    }
  }

  // ---- the page -----------------------------------------------------------------------------------------------

  function listen(how) {
    for (const [name, call] of [["pagehide", pause], ["pageshow", resume], ["online", nudge]]) {
      globalThis[how]?.(name, call);
    }
    globalThis.document?.[how]("visibilitychange", nudge);
  }

  /** A page with an open connection is not kept for the way back. */
  function pause() {
    drop();
    enter("paused");
  }

  function resume() {
    if (live.state === "paused") open();
  }

  function nudge() {
    if (globalThis.document?.visibilityState === "hidden") return;
    if (live.state === "waiting") open();
    else if (line?.open && !line.alone && !pinged) ask();
  }

  function enter(state) {
    if (live.state === state) return;
    live.state = state;
    guard(live.onstate, state);
  }

  if (keep) load();
  listen("addEventListener");
  open();
  return live;
}

/** Errors of the page are the page's. */
function guard(call, ...what) {
  try {
    call?.(...what);
  } catch (error) {
    (globalThis.reportError ?? console.error)(error);
  }
}

/** Does *position* come after *after*? Of another beginning of the channel: yes; a resync has come before it. */
function isNewer(position, after) {
  if (!after || after === OLDEST) return true;
  const [epoch, offset] = position.split("."), [before, seen] = after.split(".");
  return epoch !== before || Number(offset) > Number(seen);
}

/** Where the listener is who has seen least. */
function oldest({ listeners }) {
  const all = [...listeners].map(({ after }) => after).filter(Boolean);
  if (all.includes(OLDEST)) return OLDEST;
  return all.reduce((least, after) => (isNewer(least, after) ? after : least), all[0] ?? null);
}
