// Client program of the conformance suite. Passes the address in its argument to the test, which has HQ use it.
const { DRIVER, MCP_CONFORMANCE_SCENARIO: scenario, MCP_CONFORMANCE_CONTEXT: context } = process.env;
const url = process.argv.at(-1);
const body = JSON.stringify({ scenario, url, context: JSON.parse(context || '{}') });
const answer = await fetch(DRIVER, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
console.log(await answer.text());
