// Pages at random, of the words and marks that are hardest to write as Markdown. Runs in a page.

const WORDS = [
  'a', 'word', 'two words', '"q"', '(p)', '.', '-', '*', '_', '~', '`', '#', '1.', '+', '>', '|', '\\', '[x]', '<b>', '&amp;',
  '!', 'ü', '=', ':', 'x_y', '2*3', '~~', '---', '$5',
];

/** Makes pages of a schema, the same ones for the same seed. */
export function pagesOf({ nodes, marks, text }, seed) {
  let state = seed;
  const chance = () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
  const upTo = (most) => Math.floor(chance() * most);
  const pick = (all) => all[upTo(all.length)];
  const many = (most, make) => Array.from({ length: 1 + upTo(most) }, make);
  const edge = () => (chance() < 0.3 ? ' ' : '');

  const words = () => edge() + many(3, () => pick(WORDS)).join(pick(['', ' ', ' '])) + edge();
  const looks = () =>
    Object.entries({ strong: 0.3, em: 0.3, strike: 0.15, link: 0.15, code: 0.1 })
      .filter(([, often]) => chance() < often)
      .map(([name]) => marks[name].create(name === 'link' ? { href: '/u' } : null));
  const run = (most) => many(most, () => text(words(), looks())).flatMap((one) => (chance() < 0.1 ? [pick(breaks).create(), one] : [one]));
  const breaks = [nodes.hard_break, nodes.soft_break];
  const paragraph = () => nodes.paragraph.create(null, run(4));
  const item = (...blocks) => nodes.list_item.create(null, [paragraph(), ...blocks]);
  const cells = (type) => nodes.table_row.create(null, [0, 1].map(() => nodes[type].create(null, text(pick(['a', 'b|c', '*', 'x_y']), looks()))));
  const flat = [
    paragraph,
    paragraph,
    () => nodes.heading.create({ level: 1 + upTo(3) }, run(2)),
    () => nodes.code_block.create({ info: pick(['', 'js']) }, text(pick(['a', '```\nx\n```', 'a\n\n- b', '    x']))),
    () => nodes.horizontal_rule.create(),
  ];
  const deep = [
    (depth) => nodes.blockquote.create(null, blocks(depth + 1)),
    (depth) => nodes.bullet_list.create({ tight: true }, [item(), item(...(depth ? [] : [nodes.bullet_list.create(null, item())]))]),
    (depth) => nodes.ordered_list.create({ start: pick([1, 3]), tight: false }, [item(block(depth + 1)), item()]),
    (depth) => (depth ? paragraph() : nodes.table.create(null, [cells('table_header'), cells('table_cell')])),
  ];
  const block = (depth) => pick(depth < 2 ? [...flat, ...deep] : flat)(depth);
  const blocks = (depth) => many(3, () => block(depth));
  return () => nodes.doc.create(null, blocks(0));
}

/** What a page says: its blocks, and each letter with its marks. Spaces at edges are none in Markdown. */
export function saidBy(doc) {
  const said = [];
  doc.descendants((node) => {
    const names = node.marks.map(({ type }) => type.name).join('+');
    if (node.isText) said.push(...[...node.text.replace(/\s+/g, '')].map((sign) => `${sign} ${names}`));
    else if (!node.isInline) said.push(node.type.name);
  });
  return said.join('\n');
}
