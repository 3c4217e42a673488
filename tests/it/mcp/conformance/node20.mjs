// The suite imports a function of Node 22 for a command that the test does not use. Debian has an older Node.
import { register } from 'node:module';

const hooks = `export async function load(url, context, next) {
  const found = await next(url, context);
  if (!url.includes('@modelcontextprotocol/conformance/dist')) return found;
  return { ...found, source: String(found.source).replace(/\\bglobSync as \\w+,/, '') };
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
