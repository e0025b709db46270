// Lines that are cut at every moment, stores that go away, WebSockets that cannot be opened for a while: each page hears
// each message once and in order, and what it publishes is published once and in order.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../../runner/channels/web/client.js";
import { World } from "./world.mjs";

const ROUNDS = 150;

for (let seed = 1; seed <= 40; seed++) {
  test(`nothing is lost or doubled, seed ${seed}`, async () => {
    const world = new World(seed * 7919);
    world.websockets = seed % 4 !== 0;
    const live = connect("/live", { keep: false });
    const heard = { a: [], b: [] };
    const settled = [];
    for (const name of ["a", "b"]) live.subscribe(name, ({ data }) => heard[name].push(data), { after: "oldest" });
    for (let round = 0; round < ROUNDS; round++) {
      await world.pass(world.random() * 200);
      const channel = world.random() < 0.5 ? "a" : "b", chance = world.random();
      if (chance < 0.4) world.publish(channel, `theirs ${round}`);
      else if (chance < 0.7) settled.push(live.publish(channel, `mine ${round}`));
      else if (chance < 0.85) for (const line of world.open) line.cut(world.random() < 0.3 ? 1012 : 1006);
      else if (chance < 0.9) world.away = !world.away;
      else if (chance < 0.93) world.up = !world.up;
      else if (chance < 0.96) world.fire("online");
      else { world.fire("pagehide"); world.fire("pageshow", { persisted: true }); }
    }
    Object.assign(world, { away: false, up: true });
    await world.pass(120_000);
    await Promise.all(settled);
    for (const name of ["a", "b"]) {
      assert.deepEqual(heard[name], world.history(name).messages.map(({ data }) => data));
      const mine = heard[name].filter((data) => data.startsWith("mine")).map((data) => Number(data.slice(5)));
      assert.deepEqual(mine, [...new Set(mine)].sort((a, b) => a - b));
    }
    assert.equal(heard.a.concat(heard.b).filter((data) => data.startsWith("mine")).length, settled.length);
    live.close();
  });
}
