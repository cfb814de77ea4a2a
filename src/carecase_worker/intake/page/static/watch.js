/** A value of the service that is followed: by its events where there are some, else by being read again and again. */

import { CONNECT_ANEW_S, pause, pauseAfter, untilHidden, untilVisible } from "./pauses.js";

/**
 * Follow a value until `signal` is aborted, or `onValue` returns true: `read` it, then take its `events`, until
 * `onEvent` returns true: then it is read anew. `events` gives null if the service has none, and then the value is read
 * every `everyS` seconds. While nobody looks at the page, nothing is asked.
 *
 * `onFault` gets a fault that passes, with the seconds until the next attempt, and `onValue` shows that it is over;
 * any other fault comes without seconds, and is the end.
 */
export async function watch({ read, events, everyS, signal, onValue, onEvent, onFault }) {
  let failures = 0;
  try {
    for (;;) {
      await untilVisible(signal);
      try {
        if (onValue(await read(signal))) return;
        failures = 0;
        await pause((await followed(events, onEvent, signal)) ? CONNECT_ANEW_S : everyS, signal);
      } catch (fault) {
        if (signal.aborted || !fault.passes) throw fault;
        const seconds = pauseAfter(fault, failures);
        failures += 1;
        onFault(fault, seconds);
        await pause(seconds, signal);
      }
    }
  } catch (fault) {
    if (signal.aborted) return;
    if (fault.passes === undefined) throw fault;
    onFault(fault, null);
  }
}

/** Take events until one asks for the value anew, they break off, or the page is hidden. Returns false if there are none. */
async function followed(events, onEvent, signal) {
  const left = new AbortController();
  let isOpen = false;
  try {
    const stream = await events(AbortSignal.any([signal, left.signal]));
    if (!stream) return false;
    isOpen = true;
    untilHidden(signal).then(() => left.abort(), () => {});
    for await (const event of stream) if (onEvent(event)) break;
  } catch {
    signal.throwIfAborted(); // a stream that cannot be had now is asked for anew
  } finally {
    left.abort();
  }
  return isOpen;
}
