// node-redis by itself: pushes to a list.
const { createClient } = require("redis");
const { note, produce, url } = require("./notes.cjs");

const client = createClient({ url });
client.on("error", (error) => note("trouble", 0, error));
client.connect().then(() => produce((number) => client.rPush("outage:node-redis", String(number))));
