/** Server-sent events, read by `fetch`: an EventSource could not send the credentials. */

/** The service sends something every 15 s: a stream that is silent for longer than this is dead, though no end of it came. */
const SILENT_MS = 45_000;

/** Yield the events of a response, as `{ name, data, id }`, until it ends or breaks off. */
export async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await nextOf(reader);
      if (done) return;
      const texts = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = texts.pop();
      for (const event of texts.map(parsed)) if (event) yield event;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Read what comes next; nothing of a stream that broke off, or is dead: whoever follows it connects anew. */
async function nextOf(reader) {
  const dead = setTimeout(() => reader.cancel().catch(() => {}), SILENT_MS);
  try {
    return await reader.read();
  } catch {
    return { done: true };
  } finally {
    clearTimeout(dead);
  }
}

function parsed(text) {
  const fields = { event: "message", data: "", id: null };
  for (const line of text.split("\n")) {
    const [name, value] = [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1).replace(/^ /, "")];
    if (name in fields) fields[name] = value;
  }
  return fields.data && { name: fields.event, data: JSON.parse(fields.data), id: fields.id };
}
