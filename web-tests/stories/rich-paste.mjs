// What comes in by paste and drop: from Word, Google's documents and web pages, Markdown, files; and what goes out.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { openPage } from '../lib/page.mjs';

const WORD = `<html xmlns:o="urn:schemas-microsoft-com:office:office" xmlns:w="urn:schemas-microsoft-com:office:word"><head>
<meta charset="utf-8"><style><!-- p.MsoNormal { font-size: 11pt; color: red } --></style></head><body lang="EN-GB" style="tab-interval:36pt">
<!--StartFragment--><h1 style="color:#2F5496">Lease<o:p></o:p></h1>
<p class="MsoNormal"><b><span style="font-size:14pt;font-family:Calibri">Bold</span></b><span lang="EN-US"> and
<i>soft</i> words.<o:p></o:p></span></p>
<p class="MsoListParagraphCxSpFirst" style="text-indent:-18pt;mso-list:l0 level1 lfo1"><![if !supportLists]><span style="font-family:Symbol;mso-list:Ignore">·<span style="font:7pt &quot;Times New Roman&quot;">&nbsp;&nbsp;&nbsp; </span></span><![endif]>first<o:p></o:p></p>
<p class="MsoListParagraphCxSpMiddle" style="mso-list:l0 level2 lfo1"><span style="mso-list:Ignore">o<span>&nbsp; </span></span>inner</p>
<p class="MsoListParagraphCxSpLast" style="mso-list:l0 level1 lfo1"><span style="mso-list:Ignore">·<span>&nbsp; </span></span>second</p>
<p class="MsoListParagraph" style="mso-list:l1 level1 lfo2"><span style="mso-list:Ignore">1.<span>&nbsp; </span></span>numbered</p>
<table class="MsoTableGrid" border="1"><tr><td width="200"><p class="MsoNormal">Part</p></td><td><p class="MsoNormal">Price</p></td></tr>
<tr><td colspan="2"><p class="MsoNormal">Chain</p></td></tr></table><!--EndFragment--></body></html>`;

const DOCS = `<meta charset='utf-8'><b style="font-weight:normal;" id="docs-internal-guid-1"><h2 dir="ltr" style="line-height:1.38;"><span style="font-size:16pt;font-weight:400;">Deposit</span></h2>
<p dir="ltr"><span style="font-weight:400;">One </span><span style="font-weight:700;">bold</span><span style="font-weight:400;font-style:italic;"> soft</span><span style="text-decoration:line-through;"> gone</span><span style="font-weight:400;"> and </span><a href="https://example.com/" style="text-decoration:none;"><span style="color:#1155cc;text-decoration:underline;">a link</span></a></p>
<ul><li dir="ltr" aria-level="1"><p dir="ltr"><span>one</span></p></li><ul><li dir="ltr" aria-level="2"><p dir="ltr"><span>inner</span></p></li></ul><li dir="ltr"><p dir="ltr"><span>two</span></p></li></ul></b>`;

const WEB = `<div class="card" onclick="steal()"><h3>News <a href="javascript:alert(1)">now</a></h3><p>Text<script>alert(1)</script> with <code>code</code>
  over lines.</p><img src="data:image/png;base64,AAAA"><img src="https://example.com/a.png" alt="A bike" onerror="alert(1)"><blockquote>Said</blockquote>
<pre><code class="language-js">let a;
let b;</code></pre></div>`;

export function tell(given) {
  const pasted = (name, html, markdown) =>
    test(`what is pasted from ${name} is clean Markdown`, async () => {
      const { page, paste, holds, editor, end } = await openPage(given, '');
      await editor.click();
      await paste({ 'text/html': html, 'text/plain': 'plain words' });
      await holds(markdown);
      assert.equal(await page.locator('.ProseMirror [style], .ProseMirror script, .ProseMirror [onclick]').count(), 0);
      await end();
    });

  pasted(
    'Word',
    WORD,
    '# Lease\n\n**Bold** and *soft* words.\n\n- first\n  - inner\n- second\n\n1. numbered\n\n| Part | Price |\n| --- | --- |\n| Chain |  |',
  );
  pasted(
    'Google’s documents',
    DOCS,
    '## Deposit\n\nOne **bold** *soft* ~~gone~~ and [a link](https://example.com/)\n\n- one\n  - inner\n- two',
  );
  pasted(
    'a web page',
    WEB,
    '### News now\n\nText with `code` over lines.\n\n![A bike](https://example.com/a.png)\n\n> Said\n\n```js\nlet a;\nlet b;\n```',
  );

  test('Markdown that is pasted as words is read, and one step takes it back', async () => {
    const { at, keys, paste, holds, end } = await openPage(given, 'Before.\n\nBehind.\n');
    await at('Before');
    await keys('Enter');
    await paste({ 'text/plain': '## Heading\n\n- [x] done\n- **bold**\n\n| a | b |\n|---|:-:|\n| 1 | 2 |\n' });
    const made = 'Before.\n\n## Heading\n\n- [x] done\n- **bold**\n\n| a | b |\n| --- | :-: |\n| 1 | 2 |\n\nBehind.\n';
    await holds(made);
    await keys('Control+z');
    await holds('Before.\n\nBehind.\n');
    await keys('Control+Shift+z');
    await holds(made);
    await end();
  });

  test('Markdown that cannot be read is there as words', async () => {
    const { at, paste, holds, context } = await openPage(given, 'Before\n');
    await at('Before');
    given.server.given.isAway = true;
    await paste({ 'text/plain': ' **bold**' });
    await holds('Before \\*\\*bold\\*\\*\n');
    await context.close();
  });

  test('what is longer than an item may be is not put in', async () => {
    const { page, at, paste, holds, end } = await openPage(given, 'Before\n');
    await at('Before');
    const said = page.evaluate(() => new Promise((done) => document.addEventListener('hq:toast', ({ detail }) => done(detail.text), { once: true })));
    await paste({ 'text/plain': 'words\n\n'.repeat(38_000) });
    assert.match(await said, /^An item has at most 256 KB of text\./);
    await holds('Before\n');
    await end();
  });

  test('words that are pasted into a line or into source stay in it', async () => {
    const { at, paste, holds, end } = await openPage(given, 'Before\n\n<div>x</div>\n');
    await at('Before');
    await paste({ 'text/plain': ' **bold** words' });
    await holds('Before **bold** words\n\n<div>x</div>\n');
    await at('<div>');
    await paste({ 'text/plain': '<!-- **a** -->' });
    await holds('Before **bold** words\n\n<div>x</div><!-- **a** -->\n');
    await end();
  });

  test('what is copied is Markdown as words', async () => {
    const { editor, keys, at, end } = await openPage(given, '# One\n\nSome **bold** words\n\n* a\n* b\n');
    const copied = () =>
      editor.evaluate((dom) => {
        const data = new DataTransfer();
        dom.dispatchEvent(new ClipboardEvent('copy', { clipboardData: data, bubbles: true, cancelable: true }));
        return data.getData('text/plain');
      });
    await at('Some', 'Home');
    await keys('Control+a');
    assert.equal(await copied(), '# One\n\nSome **bold** words\n\n- a\n- b');
    await at('Some', 'Home');
    await keys('Shift+End');
    assert.equal(await copied(), 'Some **bold** words');
    await end();
  });

  test('a picture that is pasted or dropped is sent, and stands where it was put', async () => {
    const { page, editor, at, type, paste, holds, context } = await openPage(given, 'Before\n\nBehind\n');
    await at('Before');
    await type(' ');
    await paste({ 'bike.png': '' });
    await holds('Before ![bike.png](/s/icons.svg)\n\nBehind\n');
    await editor.evaluate((dom) => {
      const data = new DataTransfer();
      data.items.add(new File(['%PDF'], 'terms.pdf', { type: 'application/pdf' }));
      const { right, top, height } = dom.querySelector('p:last-of-type').getBoundingClientRect();
      const where = { clientX: right - 2, clientY: top + height / 2 };
      dom.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true, ...where }));
    });
    await holds('Before ![bike.png](/s/icons.svg)\n\nBehind[terms.pdf](/s/icons.svg)\n');
    const said = page.evaluate(() => new Promise((done) => document.addEventListener('hq:toast', ({ detail }) => done(detail.text), { once: true })));
    await paste({ 'bad.png': '' });
    assert.equal(await said, 'bad.png was not sent: This picture is too large.');
    await holds('Before ![bike.png](/s/icons.svg)\n\nBehind[terms.pdf](/s/icons.svg)\n');
    await context.close();
  });

  test('a picture has a caption and a width, which only its own block is written anew for', async () => {
    const text = 'Before  \nit\n\n![A *plan*|30%](/s/icons.svg)\n\n* Behind\n';
    const { page, editor, holds, keys, type, end } = await openPage(given, text);
    const picture = editor.getByRole('img', { name: 'A plan' });
    assert.equal(await picture.getAttribute('width'), '30%');
    await picture.click();
    const box = page.getByRole('group', { name: 'Picture' });
    await box.getByLabel('Caption').fill('The "first" plan');
    await box.getByLabel('Width').selectOption('Half');
    await holds(text.replace('![A *plan*|30%](/s/icons.svg)', '![A plan|50%](/s/icons.svg "The \\"first\\" plan")'));
    await editor.getByText('The "first" plan').waitFor();
    assert.equal(await picture.getAttribute('width'), '50%');
    await box.getByLabel('Width').selectOption('Original width');
    await box.getByLabel('Caption').fill('');
    await box.getByLabel('Caption').press('Escape');
    await holds(text.replace('![A *plan*|30%](/s/icons.svg)', '![A plan](/s/icons.svg)'));
    // With keys alone.
    await keys('Alt+F10');
    await type('Plan');
    await holds(text.replace('![A *plan*|30%](/s/icons.svg)', '![A plan](/s/icons.svg "Plan")'));
    await keys('Escape');
    await editor.getByText('Behind').click();
    await box.waitFor({ state: 'detached' });
    await end();
  });
}
