/** A value of the service that is followed: by its events where there are some, else by being read again and again. */

import { CONNECT_ANEW_S, pause, pauseAfter, untilHidden, untilVisible } from "./pauses.js";

/**
 * Follow a value until `signal` is aborted, or `onValue` returns true: `read` it, then take its `events`, until
 * `onEvent` returns true: then it is read anew. `events` gives null if the service has none, and then the value is read
 * every `everyS` seconds. While nobody looks at the page, nothing is asked.
 *
 * Events that do not begin with the value as it is, but come `fromNowOn`, are connected before it is read, so that none
 * is missed between the two.
 *
 * `onFault` gets a fault that passes, with the seconds until the next attempt, and `onValue` shows that it is over;
 * any other fault comes without seconds, and is the end.
 */
export async function watch({ read, events, everyS, signal, onValue, onEvent, onFault, fromNowOn = false }) {
  let failures = 0;
  try {
    for (;;) {
      await untilVisible(signal);
      const left = new AbortController();
      try {
        let stream = fromNowOn ? await opened(events, signal, left) : null;
        if (onValue(await read(signal))) return;
        failures = 0;
        stream ??= await opened(events, signal, left);
        if (stream) await taken(stream, onEvent, signal);
        await pause(stream ? CONNECT_ANEW_S : everyS, signal);
      } catch (fault) {
        if (signal.aborted || !fault.passes) throw fault;
        const seconds = pauseAfter(fault, failures);
        failures += 1;
        onFault(fault, seconds);
        await pause(seconds, signal);
      } finally {
        left.abort();
      }
    }
  } catch (fault) {
    if (signal.aborted) return;
    if (fault.passes === undefined) throw fault;
    onFault(fault, null);
  }
}

/** Return a stream of events that ends with `left`, and once the page is hidden; null if there is none now. */
async function opened(events, signal, left) {
  const ended = AbortSignal.any([signal, left.signal]);
  try {
    const stream = await events(ended);
    if (stream) untilHidden(ended).then(() => left.abort(), () => {});
    return stream;
  } catch {
    signal.throwIfAborted(); // a stream that cannot be had now is asked for anew
    return null;
  }
}

/** Take events until one asks for the value anew, or they break off. */
async function taken(stream, onEvent, signal) {
  try {
    for await (const event of stream) if (onEvent(event)) break;
  } catch {
    signal.throwIfAborted();
  }
}
