// What tests/outage/notes.py is for Python.
const fs = require("fs");

const file = process.env.OUTAGE_NOTES;
const url = process.env.LIVE_SERVER;
const seconds = () => Number(process.hrtime.bigint()) / 1e9;

function note(word, number, text = "") {
  fs.appendFileSync(file, `${word} ${number} ${seconds().toFixed(3)} ${String(text).replace(/\s+/g, " ").slice(0, 200)}\n`);
}

async function produce(send) {
  for (let number = 0; !fs.existsSync(`${file}.stop`); number++) {
    while (fs.existsSync(`${file}.pause`)) await new Promise((resolve) => setTimeout(resolve, 50));
    try {
      await send(number);
      note("sent", number);
    } catch (error) {
      note("failed", number, error);
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  process.exit(0);
}

module.exports = { note, produce, url };
