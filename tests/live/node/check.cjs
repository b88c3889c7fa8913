// What the scripts beside this file share: checks by name, each within its time, told as lines of JSON.
"use strict";

const SECONDS = 20;

// What fails before it is awaited fails its check once it is; it must not end the others.
process.on("unhandledRejection", () => {});

function within(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${SECONDS} s`)), SECONDS * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Runs the checks one after another; each is given what `before` makes, and `after` gets it back.
exports.run = async (checks, before, after) => {
  for (const [name, check] of Object.entries(checks)) {
    let said = "well";
    const given = await within(before());
    try {
      await within(check(given));
    } catch (error) {
      said = error.stack;
    }
    await within(after(given));
    console.log(JSON.stringify([name, said]));
  }
  // A check that failed has left its connections open.
  process.exit();
};

// A promise that is kept when `keep` is called: for what comes by itself.
exports.soon = () => {
  let keep;
  const promise = new Promise((resolve) => {
    keep = resolve;
  });
  return [promise, keep];
};
