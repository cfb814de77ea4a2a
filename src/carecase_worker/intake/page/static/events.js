/** Server-sent events, read by `fetch`: an EventSource could not send the credentials. */

/** Yield the events of a response, as `{ name, data, id }`, until it ends or breaks off. */
export async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(() => ({ done: true })); // whoever follows them connects anew
      if (done) return;
      const texts = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = texts.pop();
      for (const event of texts.map(parsed)) if (event) yield event;
    }
  } finally {
    await reader.cancel().catch(() => {});
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
