// Starts the worker's program. Messages that come before it listens wait for it.
const early = [];
self.onmessage = (event) => early.push(event);
self.flush = () => early.splice(0).forEach((event) => self.onmessage(event));
const { default: start } = await import("./worker.js");
await start();
