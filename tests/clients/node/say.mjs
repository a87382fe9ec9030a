// What each program here prints: what the library handed it, as one JSON object a line.

export const NAMES = ["message", "changed", "reset"];

export function say(name, data, id) {
  console.log(JSON.stringify({ name: name || "message", data, id }));
}

// An event as the DOM has it.
export const sayEvent = (event) => say(event.type, event.data, event.lastEventId);

// What a library tells beside events. It is for whoever looks into a failure.
export const note = (text) => console.error(String(text));
