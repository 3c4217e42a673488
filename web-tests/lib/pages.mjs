// The list of all pages. The program names its routes (`/design/pages`, in debug builds). Links lead to one page of each
// kind; a route with parameters that no link names is tried with the values of other links. A route that is still not
// visited must be listed here, with the reason.

import assert from 'node:assert/strict';

/** Query strings that show something else at the same path. A walk must find each of them. */
const VARIANTS = [
  '/agents?view=chart',
  '/agents/{slug}/chat?session',
  '/agents/{slug}/files?path',
  '/agents/{slug}/history?commit',
  '/contacts?layout=board',
  '/contacts?layout=cards',
  '/inbox?show=over',
  '/review?changes',
  '/settings/connections/new?kind',
  '/settings/labels?edit',
  '/tasks/{task}?edit',
  '/tasks?layout=board',
  '/tasks?layout=calendar',
  '/tasks?layout=timeline',
];

const PART = 'a part that its page loads';
const FILE = 'a file, or data for a script';

/**
 * Routes that a walk does not visit. A route without parameters need not be listed when it redirects or answers with
 * something else than a page: it is asked.
 */
export const EXCEPTIONS = {
  '/w/{ws}/events': 'an endless stream',
  '/w/{ws}/agents/{slug}/browser/downloads/{id}': FILE,
  '/w/{ws}/agents/{slug}/browser/picture': FILE,
  '/w/{ws}/agents/{slug}/chat/skills': FILE,
  '/w/{ws}/agents/{slug}/files/raw': FILE,
  '/w/{ws}/collections/{id}/complete': FILE,
  '/w/{ws}/collections/{id}/export.csv': FILE,
  '/w/{ws}/collections/{id}/export.json': FILE,
  '/w/{ws}/deliverables/{version}/file': FILE,
  '/w/{ws}/deliverables/{version}/view': FILE,
  '/w/{ws}/files/{id}/content': FILE,
  '/w/{ws}/imports/{id}/problems.csv': FILE,
  '/w/{ws}/knowledge/{id}/file': FILE,
  '/w/{ws}/knowledge/{id}/markdown': FILE,
  '/w/{ws}/messages/{message}/files/{n}': FILE,
  '/w/{ws}/runs/{name}/export': FILE,
  '/w/{ws}/runs/{name}/steps/{n}/picture': FILE,
  '/w/{ws}/runs/{name}/steps/{n}/raw': FILE,
  '/w/{ws}/settings/channels/{id}/picture': FILE,
  '/w/{ws}/settings/export/file': FILE,
  '/gateway/link': 'a line between programs',
  '/join/program': FILE,
  '/s/{file}': FILE,
  '/w/{ws}/agents/{slug}/browser/view': PART,
  '/w/{ws}/agents/{slug}/head': PART,
  '/w/{ws}/agents/{slug}/place': PART,
  '/w/{ws}/approvals/{id}/recent': PART,
  '/w/{ws}/contacts/{id}/cell': PART,
  '/w/{ws}/jobs/{name}/tail': PART,
  '/w/{ws}/on/{place}': PART,
  '/w/{ws}/on/{place}/comments/{comment}': PART,
  '/w/{ws}/on/{place}/comments/{comment}/edit': PART,
  '/w/{ws}/on/{place}/reach': PART,
  '/w/{ws}/organizations/{id}/cell': PART,
  '/w/{ws}/records/{id}/cell': PART,
  '/w/{ws}/routines/{routine}/test': PART,
  '/w/{ws}/runs/{name}/calls/{n}/asked': PART,
  '/w/{ws}/runs/{name}/calls/{n}/page': PART,
  '/w/{ws}/settings/gateways/tokens/{id}': PART,
  '/w/{ws}/tasks/{task}/comments/{comment}': PART,
  '/w/{ws}/tasks/{task}/reach': PART,
  '/oauth/callback/{issuer}': 'only an authorization server leads there',
  '/w/{ws}/settings/mcp-sign-in': 'only an authorization server leads there',
  '/unsubscribe/{token}': 'only a mail has its link',
  '/w/{ws}/agents/{slug}/kept/{name}': 'needs files that changed on two machines',
  '/w/{ws}/jobs/{name}': 'needs a program that an agent has started',
};

/** Pages that no link of the demo company names. */
export const UNLINKED = {
  '/design': 'shows all elements, in debug builds',
  '/offline': 'shown by the service worker',
  '/w/{ws}/agents/upgrades': 'linked while a newer version of a role waits',
  '/w/{ws}/approvals': 'linked while an approval waits',
  '/w/{ws}/collections/from-file': 'opened by a button of the list',
  '/w/{ws}/drafts': 'linked while an agent has drafts',
  '/w/{ws}/knowledge/suggestions': 'linked while an agent suggests something',
  '/w/{ws}/settings/leave': 'linked unless one is the only owner',
  '/w/{ws}/settings/prove': 'asked before what is dangerous',
  '/w/{ws}/suggestions': 'linked while an agent suggests something',
};

const isName = (part) => /^\{.*\}$/.test(part);
const isFixed = (route) => !route.replace('/w/{ws}', '').includes('{');

/** The routes of all pages, as the program names them. */
export async function pageRoutes(server) {
  const answer = await fetch(`${server.url}/design/pages`);
  assert.equal(answer.status, 200, 'only a debug build names its pages');
  return answer.json();
}

/** The route that answers a path: of those that fit the one whose first parts are fixed. */
export function routeOf(routes, path) {
  const parts = path.split('/');
  const fits = (route) => {
    const names = route.split('/');
    return names.length === parts.length && names.every((name, n) => isName(name) || name === parts[n]);
  };
  const order = (route) => route.split('/').map((name) => Number(isName(name))).join('');
  return routes.filter(fits).sort((a, b) => order(a).localeCompare(order(b)))[0];
}

/** What an address shows: two tasks are one kind, and so are two agents or two runs. */
export function kindOf(routes, address) {
  const { pathname, searchParams } = new URL(address, 'http://hq');
  const route = routeOf(routes, pathname);
  const name = route?.replace('/w/{ws}/', '/');
  const turns = [...searchParams].flatMap(([key, value]) => (value ? [`${name}?${key}=${value}`, `${name}?${key}`] : []));
  return turns.find((turn) => VARIANTS.includes(turn)) ?? name;
}

/** The addresses that a page links to; a download is no page. */
function linksOf(html) {
  const links = [...html.matchAll(/<a\b([^>]*)>/g)].filter(([, words]) => !/\s(download|target)\b/.test(words));
  return links.flatMap(([, words]) => words.match(/\shref="(\/[^"#]*)/)?.slice(1) ?? []).map((link) => link.replaceAll('&amp;', '&'));
}

/** The last address of each distinct value that links have for the first parameter of a route. */
function guesses(route, links, place) {
  const parts = route.replace('/w/{ws}', place).split('/');
  const at = parts.findIndex(isName);
  const before = `${parts.slice(0, at).join('/')}/`;
  const values = links.filter((link) => link.startsWith(before)).map((link) => link.slice(before.length).split(/[/?]/)[0]);
  return [...new Set(values)].map((value) => [...parts.slice(0, at), value, ...parts.slice(at + 1).map((part) => (isName(part) ? '1' : part))].join('/'));
}

/** What a walk knows: the pages by kind, all links, and what is wrong. */
class Walk {
  pages = new Map();
  remarks = [];
  #links = [];
  #known = new Set();
  #seen = new Set();

  constructor({ http, routes, place }) {
    Object.assign(this, { http, routes, place });
  }

  add(...links) {
    for (const link of links.filter((one) => !this.#known.has(one))) {
      this.#known.add(link);
      this.#links.push(link);
    }
  }

  /** Opens an address, and keeps it when it is a page. */
  async visit(address) {
    const answer = await this.http.get(address, { maxRedirects: 0 });
    const html = answer.headers()['content-type']?.startsWith('text/html') ? await answer.text() : '';
    const isPage = answer.status() === 200 && html.includes('<html');
    if (isPage) this.pages.set(kindOf(this.routes, address), address);
    if (/<[a-z][^<>]*\sstyle=/.test(html)) this.remarks.push(`${address} is served with an inline style`);
    this.add(...linksOf(html));
    return { status: answer.status(), isPage };
  }

  /** Opens one link of each kind, until there are no new ones. */
  async follow() {
    for (const address of this.#links) {
      const kind = kindOf(this.routes, address);
      if (!kind) this.remarks.push(`${address} is a link to no route`);
      if (!kind || this.#seen.has(kind) || this.#routeFor(address) in EXCEPTIONS) continue;
      this.#seen.add(kind);
      const { status } = await this.visit(address);
      if (status >= 400) this.remarks.push(`${address} answers ${status}`);
    }
  }

  #routeFor(address) {
    return routeOf(this.routes, new URL(address, 'http://hq').pathname);
  }

  /** The routes that must be visited and are not. */
  rest() {
    const visited = new Set([...this.pages.values()].map((address) => this.#routeFor(address)));
    return this.routes.filter((route) => !(route in EXCEPTIONS) && !visited.has(route));
  }

  /** Tries a route with parameters with each value that links have for the first of them. */
  async guess(route) {
    for (const address of guesses(route, this.#links, this.place)) {
      if ((await this.visit(address)).isPage) return true;
    }
    return false;
  }
}

/**
 * One page of each kind for whom `http` is signed in, from `starts` on: `pages`, addresses by kind, and `remarks`: dead
 * links, inline styles in what is served, kinds and routes that were not found, lines of the lists above that are wrong.
 */
export async function everyPage({ http, routes, place, starts = [] }) {
  const walk = new Walk({ http, routes, place });
  const { pages, remarks } = walk;
  walk.add(`${place}/`, ...starts);
  await walk.follow();
  for (const route of walk.rest().filter(isFixed)) {
    const { isPage, status } = await walk.visit(route.replace('/w/{ws}', place));
    if (isPage && !(route in UNLINKED)) remarks.push(`no link leads to ${route}`);
    if (status >= 400 && route.startsWith('/w/')) remarks.push(`${route} answers ${status}`);
  }
  await walk.follow();
  for (const route of walk.rest().filter((one) => !isFixed(one))) {
    if (!(await walk.guess(route))) remarks.push(`${route} was not visited: furnish it, or list it as an exception`);
  }
  remarks.push(...VARIANTS.filter((kind) => !pages.has(kind)).map((kind) => `no link leads to ${kind}`));
  const listed = [...Object.keys(EXCEPTIONS), ...Object.keys(UNLINKED)];
  remarks.push(...listed.filter((route) => !routes.includes(route)).map((route) => `${route} is no route any more`));
  return { pages, remarks };
}

/** The pages for whom nobody is signed in, from `starts` on. */
export async function everyOpenPage({ http, routes, starts = [] }) {
  const walk = new Walk({ http, routes, place: '' });
  const fixed = routes.filter((route) => isFixed(route) && !route.startsWith('/w/') && !(route in EXCEPTIONS) && !(route in UNLINKED));
  for (const address of [...starts, ...fixed]) await walk.visit(address);
  return { pages: walk.pages, remarks: walk.remarks };
}
