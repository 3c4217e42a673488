/** Asks the server for the blocks of a Markdown text. */
export async function parse(box, text) {
  const headers = { "content-type": "text/markdown; charset=utf-8", accept: "application/json" };
  const answer = await fetch(box.dataset.richParse, { method: "POST", headers, body: text });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return (await answer.json()).blocks;
}
