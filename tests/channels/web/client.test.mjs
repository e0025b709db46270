// client.js in a world of its own: what a page hears, what it publishes, and what happens to its lines.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect, OLDEST } from "../../../runner/channels/web/client.js";
import { World } from "./world.mjs";

/** A page that listens to "a" over an open line. */
async function begin(options, world = new World()) {
  const live = connect("/live");
  const heard = [];
  const stop = live.subscribe("a", (message) => heard.push(message.data), options);
  await world.pass(100);
  return { world, live, heard, stop, line: world.open[0] };
}

function said(world, name) {
  return world.heard.filter((each) => name in each);
}

test("a message is handed on with its channel, data and position", async () => {
  const world = new World();
  const heard = [];
  connect("/live").subscribe("a", (message) => heard.push(message));
  await world.pass(100);
  world.publish("a", { x: [1] });
  await world.pass(100);
  assert.deepEqual(heard, [{ channel: "a", position: "e1.1.0", data: { x: [1] } }]);
  assert.equal(world.lines[0].url, "ws://host.test/live");
});

test("it begins after a position, at the beginning, or now", async () => {
  for (const [after, expected] of [["e1.1.0", [2, 3]], [OLDEST, [1, 2, 3]], [null, [3]], [undefined, [3]], ["", [3]]]) {
    const world = new World();
    world.publish("a", 1);
    world.publish("a", 2);
    const { heard } = await begin({ after }, world);
    world.publish("a", 3);
    await world.pass(100);
    assert.deepEqual(heard, expected);
  }
});

test("a lost line is opened again and goes on where it was", async () => {
  const { world, heard, line } = await begin();
  world.publish("a", 1);
  await world.pass(100);
  world.publish("a", 2); // under way when the line is cut
  line.cut();
  world.publish("a", 3);
  await world.pass(5_000);
  assert.deepEqual(heard, [1, 2, 3]);
});

test("what comes twice, or late, is not handed on", async () => {
  const { world, heard, line } = await begin();
  for (const offset of [1, 2, 2, 1, 3]) line.say({ channel: "a", position: `e1.${offset}.0`, data: offset });
  await world.pass(100);
  assert.deepEqual(heard, [1, 2, 3]);
});

test("what belongs to an earlier subscription is not handed on", async () => {
  const { world, stop, live, line } = await begin();
  for (let data = 1; data <= 3; data++) world.publish("a", data);
  await world.pass(100);
  stop();
  const heard = [];
  live.subscribe("a", ({ data }) => heard.push(data), { after: "e1.1.0" });
  line.say({ channel: "a", position: "e1.3.0", data: 3 }); // it was under way
  await world.pass(100);
  assert.deepEqual(heard, [2, 3]);
});

test("what is missing is told of, and then it goes on", async () => {
  const lost = [];
  const { world, heard, line } = await begin({ onresync: (reason) => lost.push(reason) });
  world.most = 1;
  line.cut();
  for (let data = 1; data <= 3; data++) world.publish("a", data);
  await world.pass(5_000);
  assert.deepEqual([lost, heard], [["gap"], []]);
  world.publish("a", 4);
  await world.pass(100);
  assert.deepEqual(heard, [4]);
  world.epoch = "e2"; // the store has come back empty
  world.histories.clear();
  world.open[0].cut();
  await world.pass(5_000);
  world.publish("a", 5);
  await world.pass(100);
  assert.deepEqual([lost, heard], [["gap", "epoch"], [4, 5]]);
});

test("who may not listen is told, and asks again over the next line", async () => {
  const world = new World();
  world.refused.add("a");
  const refused = [];
  const { heard } = await begin({ onrefused: (reason) => refused.push(reason) }, world);
  assert.deepEqual(refused, ["no"]);
  world.refused.clear();
  world.open[0].cut();
  await world.pass(5_000);
  world.publish("a", 1);
  await world.pass(100);
  assert.deepEqual([refused, heard], [["no"], [1]]);
});

test("what nobody listens to is warned of", async () => {
  const world = new World();
  world.refused.add("a");
  await begin({}, world);
  assert.equal(world.warnings.length, 1);
});

test("who stops hears no more, and the server is told when nobody listens", async () => {
  const { world, live, heard, stop } = await begin();
  const others = [];
  const stopOther = live.subscribe("a", ({ data }) => others.push(data));
  world.publish("a", 1);
  await world.pass(100);
  stop();
  stop();
  world.publish("a", 2);
  await world.pass(100);
  assert.deepEqual([heard, others], [[1], [1, 2]]);
  assert.equal(said(world, "unsubscribe").length, 0);
  stopOther();
  await world.pass(100);
  assert.equal(said(world, "unsubscribe").length, 1);
});

test("nothing was heard yet, and still nothing is missed", async () => {
  for (const after of [undefined, ""]) {
    const { world, heard, line } = await begin({ after });
    line.cut();
    world.publish("a", 1);
    await world.pass(5_000);
    assert.deepEqual(heard, [1]);
  }
});

test("of two listeners the one who has seen less says where to begin", async () => {
  const world = new World();
  for (let data = 1; data <= 3; data++) world.publish("a", data);
  const places = ["e1.2.0", OLDEST, "e1.1.0", null];
  const heard = places.map(() => []);
  const live = connect("/live");
  places.forEach((after, at) => live.subscribe("a", ({ data }) => heard[at].push(data), { after }));
  await world.pass(100);
  assert.deepEqual(heard.slice(0, 3), [[3], [1, 2, 3], [2, 3]]);
  assert.equal(said(world, "subscribe").length, 1);
});

test("two listeners of a channel each have a place of their own", async () => {
  const { world, live, heard } = await begin();
  for (let data = 1; data <= 3; data++) world.publish("a", data);
  await world.pass(100);
  const older = [], newer = [];
  live.subscribe("a", ({ data }) => older.push(data), { after: "e1.1.0" });
  live.subscribe("a", ({ data }) => newer.push(data));
  await world.pass(100);
  world.publish("a", 4);
  await world.pass(100);
  assert.deepEqual([heard, older], [[1, 2, 3, 4], [2, 3, 4]]);
  assert.equal(newer.at(-1), 4);
  world.open[0].cut();
  world.publish("a", 5);
  await world.pass(5_000);
  assert.deepEqual([heard, older], [[1, 2, 3, 4, 5], [2, 3, 4, 5]]);
});

test("an error in a listener is the page's, and nothing else changes", async () => {
  const world = new World();
  const live = connect("/live");
  const heard = [];
  live.onstate = () => { throw new Error("state"); };
  live.subscribe("a", ({ data }) => { heard.push(data); throw new Error("listener"); });
  await world.pass(100);
  world.publish("a", 1);
  world.publish("a", 2);
  await world.pass(100);
  assert.deepEqual(heard, [1, 2]);
  assert.deepEqual(world.warnings.map(([error]) => error.message), ["state", "listener", "listener"]);
});

// ---- publishing -----------------------------------------------------------------------------------------------------

test("a promise resolves when the server has it, and rejects when it refuses", async () => {
  const { world, live } = await begin();
  world.refused.add("b");
  const good = live.publish("a", { x: 1 }), bad = live.publish("b", 1);
  bad.catch(() => {});
  await world.pass(100);
  assert.equal(await good, "e1.1.0");
  await assert.rejects(bad, /no/);
  await assert.rejects(live.publish("a", undefined), TypeError);
  await assert.rejects(live.publish("a", "x".repeat(1 << 20)), RangeError);
});

test("it is what the data were when they were published", async () => {
  const world = new World();
  const live = connect("/live");
  const data = { x: 1 };
  live.publish("a", data);
  data.x = 2;
  await world.pass(100);
  assert.deepEqual(world.history("a").messages[0].data, { x: 1 });
});

test("what has no answer is said again, in order, and published once", async () => {
  const { world, live, line } = await begin();
  const all = [1, 2, 3].map((data) => live.publish("a", data));
  await world.pass(15); // some have arrived, no answer has
  line.cut();
  await world.pass(5_000);
  assert.deepEqual(await Promise.all(all), ["e1.1.0", "e1.2.0", "e1.3.0"]);
  assert.deepEqual(world.history("a").messages.map(({ data }) => data), [1, 2, 3]);
});

test("what was refused for a moment is repeated, in order", async () => {
  const { world, live } = await begin();
  world.away = true;
  const all = [1, 2, 3].map((data) => live.publish("a", data));
  await world.pass(3_000);
  assert.equal(world.history("a").messages.length, 0);
  world.away = false;
  await world.pass(20_000);
  await Promise.all(all);
  assert.deepEqual(world.history("a").messages.map(({ data }) => data), [1, 2, 3]);
});

test("a reload of the page loses nothing", async () => {
  const world = new World();
  world.up = false;
  const live = connect("/one");
  live.publish("a", 1);
  live.publish("a", 2);
  await world.pass(1_000);
  world.fire("pagehide", { persisted: false });
  world.timers.clear();
  world.page();
  world.up = true;
  const { connect: again } = await import("../../../runner/channels/web/client.js?reloaded");
  const second = again("/one");
  const third = second.publish("a", 3);
  await world.pass(1_000);
  await third;
  assert.deepEqual(world.history("a").messages.map(({ data }) => data), [1, 2, 3]);
  assert.equal(world.storage.size, 0);
});

test("nothing is kept where it should not, or cannot, be", async () => {
  const world = new World();
  world.up = false;
  connect("/live", { keep: false }).publish("a", 1);
  assert.equal(world.storage.size, 0);
  for (const name of ["getItem", "setItem"]) sessionStorage[name] = () => { throw new Error("forbidden"); };
  const live = connect("/live");
  const sent = live.publish("a", 2);
  world.up = true;
  await world.pass(20_000);
  assert.ok(await sent);
});

test("two pages that share what was kept do not take each other's names", async () => {
  const world = new World();
  const names = [];
  for (let page = 0; page < 2; page++) {
    const live = connect("/live");
    live.publish("a", page);
    await world.pass(100);
  }
  for (const { id } of said(world, "publish")) names.push(id);
  assert.equal(new Set(names).size, 2);
  assert.deepEqual(world.history("a").messages.map(({ data }) => data), [0, 1]);
});

test("closed, it says and hears nothing", async () => {
  const { world, live, heard } = await begin();
  world.open[0].silent = true;
  const waiting = live.publish("a", 1);
  live.close();
  live.close();
  await assert.rejects(waiting, /closed/);
  await assert.rejects(live.publish("a", 1), /closed/);
  world.publish("a", 2);
  world.fire("online");
  world.fire("pageshow", { persisted: true });
  await world.pass(60_000);
  assert.deepEqual([heard, world.lines.length, live.state], [[], 1, "closed"]);
});

// ---- lines ----------------------------------------------------------------------------------------------------------

test("it waits longer and longer, by chance, and never beyond a bound", async () => {
  const world = new World();
  delete globalThis.EventSource;
  world.up = false;
  connect("/live");
  await world.pass(600_000);
  const pauses = world.lines.slice(1).map(({ born }, place) => born - world.lines[place].born);
  assert.ok(pauses.every((pause) => pause >= 200 && pause < 15_100), String(pauses));
  assert.ok(Math.max(...pauses.slice(0, 3)) < 2_000);
  assert.ok(Math.max(...pauses) > 8_000);
  assert.ok(new Set(pauses.map(Math.round)).size > 20);
});

test("asked to come back, it does so soon, and not at the same moment as all others", async () => {
  const pauses = new Set();
  for (let seed = 1; seed <= 20; seed++) {
    const { world, line } = await begin({}, new World(seed));
    const cut = world.now;
    line.cut(1012);
    await world.pass(2_500);
    assert.equal(world.lines.length, 2);
    pauses.add(Math.round((world.lines[1].born - cut) / 100));
  }
  assert.ok(pauses.size > 5, String([...pauses]));
});

test("a page that is left closes its line, and goes on when it is shown again", async () => {
  const states = [];
  const { world, live, heard, line } = await begin();
  live.onstate = (state) => states.push(state);
  world.fire("pagehide", { persisted: true });
  assert.equal(line.closed, 1000);
  world.publish("a", 1);
  world.fire("online");
  await world.pass(60_000);
  assert.equal(world.lines.length, 1);
  world.fire("pageshow", { persisted: true });
  await world.pass(100);
  assert.deepEqual([heard, states], [[1], ["paused", "connecting", "open"]]);
});

test("it tries at once when the network, or the visitor, is back", async () => {
  for (const come of [(world) => world.fire("online"), () => document.dispatchEvent(new Event("visibilitychange"))]) {
    const { world, live, line } = await begin();
    line.cut();
    await world.pass(1);
    assert.equal(live.state, "waiting");
    come(world);
    assert.equal(live.state, "connecting");
  }
});

test("hidden, it is in no hurry", async () => {
  const { world, live, line } = await begin();
  document.visibilityState = "hidden";
  line.cut();
  await world.pass(1);
  document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(live.state, "waiting");
});

test("a line on which nothing is heard is asked, and left if it does not answer", async () => {
  const { world, line, heard } = await begin();
  await world.pass(24_000);
  assert.equal(said(world, "ping").length, 0);
  await world.pass(3_000);
  assert.equal(said(world, "ping").length, 1);
  await world.pass(60_000);
  assert.equal(world.lines.length, 1, "it has answered");
  line.silent = true;
  world.publish("a", 1);
  await world.pass(9_000);
  assert.equal(world.lines.length, 1);
  await world.pass(30_000);
  assert.ok(world.lines.length > 1);
  assert.deepEqual(heard, [1]);
});

test("back from another network, it asks whether the line is still there", async () => {
  const { world, line, heard } = await begin();
  line.silent = true;
  world.fire("online");
  world.publish("a", 1);
  await world.pass(15_000);
  assert.deepEqual(heard, [1]);
});

test("a line that does not open is given up", async () => {
  const world = new World();
  world.dead = true;
  connect("/live");
  await world.pass(30_000);
  assert.equal(world.lines.length, 1);
  await world.pass(10_000);
  assert.equal(world.lines.length, 2);
  world.dead = false;
  await world.pass(40_000);
  assert.equal(world.open.length, 1);
});

test("where no WebSocket can be opened, it uses events and posts, and later a WebSocket again", async () => {
  const world = new World();
  world.websockets = false;
  const live = connect("/live");
  const heard = [];
  live.subscribe("a", ({ data }) => heard.push(data));
  await world.pass(10_000);
  assert.deepEqual(world.open.map(({ kind }) => kind), ["events"]);
  assert.equal(live.state, "open");
  const all = [1, 2].map((data) => live.publish("a", data));
  await world.pass(1_000);
  assert.deepEqual(await Promise.all(all), ["e1.1.0", "e1.2.0"]);
  assert.deepEqual([heard, world.posts], [[1, 2], 2]);
  const others = [];
  live.subscribe("b", ({ data }) => others.push(data)); // all channels over one line
  await world.pass(100);
  assert.equal(world.open.length, 1);
  world.publish("b", 3);
  world.open[0].cut();
  world.publish("a", 4);
  await world.pass(10_000);
  assert.deepEqual([heard, others], [[1, 2, 4], [3]]);
  world.websockets = true;
  for (let beat = 0; beat < 20; beat++) {
    await world.pass(18_000);
    for (const line of world.open) line.beat?.();
  }
  assert.deepEqual(world.open.map(({ kind }) => kind), ["socket"]);
  world.publish("a", 5);
  await world.pass(100);
  assert.deepEqual(heard, [1, 2, 4, 5]);
});

test("events that do not beat any more are left", async () => {
  const world = new World();
  world.websockets = false;
  connect("/live").subscribe("a", () => {});
  await world.pass(10_000);
  const [line] = world.open;
  line.silent = true;
  await world.pass(30_000);
  assert.ok(line.open);
  await world.pass(20_000);
  assert.ok(!line.open);
});

test("over posts, a refusal is final and everything else is repeated", async () => {
  const world = new World();
  world.websockets = false;
  const live = connect("/live");
  live.subscribe("a", () => {});
  await world.pass(10_000);
  world.refused.add("b");
  const bad = live.publish("b", 1);
  bad.catch(() => {});
  await world.pass(1_000);
  await assert.rejects(bad, /no/);
  world.away = true;
  const good = live.publish("a", 2);
  await world.pass(5_000);
  world.away = false;
  world.deaf = true; // it is published, and nobody hears of it
  await world.pass(30_000);
  world.deaf = false;
  await world.pass(30_000);
  assert.equal(await good, "e1.1.0");
  assert.equal(world.history("a").last, 1);
});

test("once a WebSocket has worked, it is waited for", async () => {
  const { world, line } = await begin();
  world.websockets = false;
  line.cut();
  await world.pass(120_000);
  assert.ok(world.lines.every(({ kind }) => kind === "socket"));
});

test("its states can be shown", async () => {
  const world = new World();
  const live = connect("/live");
  const states = [live.state];
  live.onstate = (state) => states.push(state);
  await world.pass(100);
  world.open[0].cut();
  await world.pass(5_000);
  live.close();
  assert.deepEqual(states, ["connecting", "open", "waiting", "connecting", "open", "closed"]);
});
