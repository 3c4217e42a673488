//! A workspace of 100,000 contacts with twelve custom fields: import, undo, lists, and a cell change. The list rows
//! share it; the row that restarts the program comes last.

use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::load::{self, Client, Times, told};
use crate::rows::{Ready, figure, folder, id, unlimited};
use crate::{Figure, ms};
use support::program::{self, Program};

/// Custom fields of contacts.
const FIELDS: usize = 12;
/// Rows of the measured import, and of the imports that fill the workspace.
const MEASURED: usize = 10_000;
const FILLING: usize = 45_000;
/// Rows of previewed files, and columns of the workbook.
const LOOKED_AT: usize = 50_000;
const COLUMNS: usize = 20;
/// Duration of repeated requests.
const SPAN: Duration = Duration::from_secs(4);
const CONTACTS: &str = "/api/v1/contacts";
/// Python script that writes a workbook with shared strings.
const WORKBOOK: &str = r#"
import sys, zipfile
rows, columns, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
words = {}
def text(word):
    return ' t="s"><v>%d</v></c>' % words.setdefault(word, len(words))
def number(n):
    return '><v>%d</v></c>' % n
def row(at, cells):
    cells = ''.join('<c r="%s%d"%s' % (chr(65 + n), at, cell) for n, cell in enumerate(cells))
    return '<row r="%d">%s</row>' % (at, cells)
def cells(n):
    yield text('Contact %d' % n)
    yield text('c%d@example.com' % n)
    for field in range(columns - 2):
        odd = field % 2
        yield text('word%d' % (n * (field + 3) % 500)) if odd else number(n * (field + 7) % 1000)
heads = ['Name', 'Email'] + ['Field %d' % field for field in range(columns - 2)]
lines = [row(1, [text(head) for head in heads])]
lines += [row(n + 2, list(cells(n))) for n in range(rows)]
main = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main'
office = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
package = 'http://schemas.openxmlformats.org/package/2006'
types = 'application/vnd.openxmlformats-officedocument.spreadsheetml'
head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
def link(name, kind, to):
    return '<Relationship Id="%s" Type="%s/%s" Target="%s"/>' % (name, office, kind, to)
def links(all):
    return '<Relationships xmlns="%s/relationships">%s</Relationships>' % (package, ''.join(all))
def kind(part, name):
    return '<Override PartName="%s" ContentType="%s.%s+xml"/>' % (part, types, name)
parts = {
    '[Content_Types].xml': '<Types xmlns="%s/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>%s</Types>' % (package,
        kind('/xl/workbook.xml', 'sheet.main') + kind('/xl/worksheets/sheet1.xml', 'worksheet')
        + kind('/xl/sharedStrings.xml', 'sharedStrings')),
    '_rels/.rels': links([link('rId1', 'officeDocument', 'xl/workbook.xml')]),
    'xl/workbook.xml': '<workbook xmlns="%s" xmlns:r="%s"><sheets><sheet name="Contacts" sheetId="1" '
        'r:id="rId1"/></sheets></workbook>' % (main, office),
    'xl/_rels/workbook.xml.rels': links([link('rId1', 'worksheet', 'worksheets/sheet1.xml'),
        link('rId2', 'sharedStrings', 'sharedStrings.xml')]),
    'xl/worksheets/sheet1.xml': '<worksheet xmlns="%s"><sheetData>%s</sheetData></worksheet>'
        % (main, ''.join(lines)),
    'xl/sharedStrings.xml': '<sst xmlns="%s">%s</sst>'
        % (main, ''.join('<si><t>%s</t></si>' % word for word in words)),
}
with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as book:
    for name, part in parts.items():
        book.writestr(name, head + part)
"#;

/// The workspace with all contacts, created on first use.
static DESK: Mutex<Option<Ready>> = Mutex::const_new(None);

/// Stops the program and deletes its folder.
pub fn close() {
    if let Ok(mut desk) = DESK.try_lock() {
        desk.take();
    }
}

/// Rows as JSON: even fields are numbers, odd ones text.
fn file(from: usize, count: usize) -> Value {
    let row = |n: usize| {
        let stage = ["Lead", "Qualified", "Won"][n % 3];
        let (name, email) = (format!("Contact {n}"), format!("c{n}@example.com"));
        let mut row = json!({ "Name": name, "Email": email, "Stage": stage });
        for field in 0..FIELDS {
            row[format!("Field {field}")] = match field % 2 {
                0 => json!(n * (field + 7) % 1_000),
                _ => json!(format!("word{}", n * (field + 3) % 500)),
            };
        }
        row
    };
    Value::Array((from..from + count).map(row).collect())
}

/// An HQ with the fields and without contacts.
async fn desk() -> Result<(Ready, Client), String> {
    let hq = Ready::start().await?;
    let mut program = hq.client().await?;
    for field in 0..FIELDS {
        let kind = if field % 2 == 0 { "number" } else { "text" };
        let body = json!({ "label": format!("Field {field}"), "kind": kind });
        program.json("POST", "/api/v1/fields?of=contacts", Some(&body)).await?;
    }
    Ok((hq, program))
}

/// Uploads a file; returns the address of the import.
async fn sent(program: &mut Client, rows: &Value) -> Result<String, String> {
    let path = "/api/v1/imports?of=contacts&name=contacts.json";
    let import = program.json("POST", path, Some(rows)).await?;
    Ok(format!("/api/v1/imports/{}", id(&import)?))
}

/// Runs an import; returns its duration.
async fn begun(program: &mut Client, at: &str) -> Result<Duration, String> {
    let began = Instant::now();
    program.json("POST", &format!("{at}/begin"), Some(&json!({}))).await?;
    until(program, at, "done").await?;
    Ok(began.elapsed())
}

/// Uploads and runs an import; returns its address and duration.
async fn bring(program: &mut Client, rows: &Value) -> Result<(String, Duration), String> {
    let at = sent(program, rows).await?;
    let took = begun(program, &at).await?;
    Ok((at, took))
}

/// Waits until an import is in a state.
async fn until(program: &mut Client, at: &str, wanted: &str) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let now = program.json("GET", at, None).await?;
        if now["state"] == wanted {
            return Ok(());
        }
        if Duration::from_secs(300) < began.elapsed() {
            return Err(format!("an import is {} after five minutes", now["state"]));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn import(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let (_hq, mut program) = desk().await?;
        let (at, took) = bring(&mut program, &file(0, MEASURED)).await?;
        let began = Instant::now();
        program.json("POST", &format!("{at}/undo"), Some(&json!({}))).await?;
        until(&mut program, &at, "undone").await?;
        let back = began.elapsed();
        let text = format!("{}, back in {}", ms(took), ms(back));
        let kept = took <= Duration::from_secs(5) && back <= Duration::from_secs(10);
        Ok(figure(text, kept))
    })
}

/// An HQ with all contacts.
async fn filled() -> Result<Ready, String> {
    let (hq, mut program) = desk().await?;
    for from in [0, FILLING] {
        bring(&mut program, &file(from, FILLING)).await?;
    }
    bring(&mut program, &file(2 * FILLING, MEASURED)).await?;
    Ok(hq)
}

/// The workspace that rows share.
async fn shared() -> Result<MappedMutexGuard<'static, Ready>, String> {
    let mut desk = DESK.lock().await;
    if desk.is_none() {
        *desk = Some(filled().await?);
    }
    Ok(MutexGuard::map(desk, |desk| desk.as_mut().expect("made just now")))
}

/// Addresses of these lists.
fn addresses(hq: &Ready, paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| format!("/w/{}/contacts{path}", hq.workspace)).collect()
}

/// Times of lists, requested in turn.
async fn asked(hq: &Ready, paths: &[String]) -> Result<Times, String> {
    load::in_turn(hq.person().await?, paths, SPAN).await
}

/// Row of lists of 100,000 contacts, requested in turn.
async fn lists(paths: &[&str], promise: Duration) -> Result<Figure, String> {
    let hq = shared().await?;
    let Times { p50, p99 } = asked(&hq, &addresses(&hq, paths)).await?;
    Ok(figure(format!("p50 {}, p99 {}", ms(p50), ms(p99)), p99 <= promise))
}

pub fn list(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    let paths = &[
        "",
        "?q=field_0:%3E500",
        "?q=field_1:word7+stage:won",
        "?sort=-field_2",
        "?group=stage&foot=field_0:sum,field_2:average,field_4:sum",
        "?q=field_0:%3E500&sort=-field_2&group=stage&foot=field_0:sum,field_2:sum,field_4:sum",
    ];
    Box::pin(lists(paths, Duration::from_millis(10)))
}

/// Sort orders by text, which are cached until a row changes, and uncached searches.
pub fn sort(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    let paths = &["?sort=name", "?sort=-name", "?sort=email", "?sort=-field_1", "?sort=stage"];
    Box::pin(async {
        let hq = shared().await?;
        let paths = addresses(&hq, paths);
        let mut page = hq.person().await?;
        let mut first = Duration::ZERO;
        for path in &paths {
            first = first.max(page.timed(path).await?);
        }
        let Times { p50, p99 } = asked(&hq, &paths).await?;
        let text = format!("p50 {}, p99 {} (first {})", ms(p50), ms(p99), ms(first));
        Ok(figure(text, p99 <= Duration::from_millis(25)))
    })
}

pub fn search(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    let paths = &["?q=contact+9", "?q=c4711%40", "?q=word7", "?q=zzz", "?q=word12+lead"];
    Box::pin(lists(paths, Duration::from_millis(25)))
}

/// A grouped list, and further rows of a group.
pub fn groups(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    let paths = &["?group=stage", "?group=owner", "?group=organization"];
    Box::pin(lists(paths, Duration::from_millis(25)))
}

pub fn board(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    let paths = &["?layout=board", "?layout=board&q=field_0:%3E500"];
    Box::pin(lists(paths, Duration::from_millis(15)))
}

/// Lists during another person's import, compared with the same lists before.
pub fn beside(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = shared().await?;
        let paths = addresses(&hq, &["", "?q=field_0:%3E500", "?sort=-field_2"]);
        let idle = asked(&hq, &paths).await?.p99;
        let mut program = hq.client().await?;
        let at = sent(&mut program, &file(2 * FILLING + MEASURED, MEASURED)).await?;
        let mut page = hq.person().await?;
        let (times, _) = load::beside(&mut page, &paths, begun(&mut program, &at)).await?;
        let count = times.len();
        let busy = load::share(times)?.p99;
        let ratio = busy.as_secs_f64() / idle.as_secs_f64();
        let text = format!("{ratio:.2} (p99 {} : {}, {count} lists)", ms(busy), ms(idle));
        Ok(figure(text, ratio <= 2.0))
    })
}

/// The first list after a start, which reads the columns of all contacts, and its memory.
pub fn start(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let made = DESK.lock().await.take();
        let hq = match made {
            Some(hq) => hq,
            None => filled().await?,
        };
        let path = format!("/w/{}/contacts", hq.workspace);
        let Ready { program, browser, folder, .. } = hq;
        program.stop();
        let program = Program::start_with(&mut unlimited(folder.path()));
        let cookie = ("cookie", browser.cookie_header());
        let mut page = Client::connect(program.url(), cookie).await?;
        // Remaining work of the start does not count.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let before = program::pss_kib(program.id());
        let took = page.timed(&path).await?;
        let after = program::pss_kib(program.id());
        let again = page.timed(&path).await?;
        let more = after.saturating_sub(before) as f64 * 1_024.0 / 1e6;
        let text = format!("{}, {more:.0} MB more (then {})", ms(took), ms(again));
        Ok(figure(text, took <= Duration::from_millis(400) && more <= 60.0))
    })
}

/// Preview of an import with many rows.
pub fn preview(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let (_hq, mut program) = desk().await?;
        let at = sent(&mut program, &file(0, LOOKED_AT)).await?;
        let began = Instant::now();
        let seen = program.json("POST", &format!("{at}/preview"), Some(&json!({}))).await?;
        let took = began.elapsed();
        if seen["rows"] != LOOKED_AT {
            return Err(format!("{} rows were seen", seen["rows"]));
        }
        let text = format!("{} (it would make {})", ms(took), seen["made"]);
        Ok(figure(text, took <= Duration::from_secs(2)))
    })
}

/// A workbook with many rows.
fn workbook(at: &Path) -> Result<Vec<u8>, String> {
    let (rows, columns) = (LOOKED_AT.to_string(), COLUMNS.to_string());
    let mut python = Command::new("python3");
    python.args(["-c", WORKBOOK, &rows, &columns]).arg(at);
    let done = python.output().map_err(told("python3"))?;
    if !done.status.success() {
        return Err(format!("python3: {}", String::from_utf8_lossy(&done.stderr).trim()));
    }
    std::fs::read(at).map_err(told("a workbook"))
}

/// Upload of a workbook: time to read it and propose a column mapping.
pub fn sheet(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let place = folder()?;
        let at = place.path().join("contacts.xlsx");
        let book = tokio::task::spawn_blocking(move || workbook(&at));
        let book = book.await.map_err(told("a thread"))??;
        let size = book.len() as f64 / 1e6;
        let (hq, mut program) = desk().await?;
        let process = hq.program.id();
        let before = program::pss_kib(process);
        let mut most = before;
        let began = Instant::now();
        let answer = program.file("/api/v1/imports?of=contacts&name=contacts.xlsx", book);
        tokio::pin!(answer);
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        let import = loop {
            tokio::select! {
                import = &mut answer => break import?,
                _ = tick.tick() => most = most.max(program::pss_kib(process)),
            }
        };
        let took = began.elapsed();
        if import["rows"] != LOOKED_AT {
            return Err(format!("{} rows were read", import["rows"]));
        }
        let more = (most - before) as f64 * 1_024.0 / 1e6;
        let text = format!("{}, {more:.0} MB more (a file of {size:.1} MB)", ms(took));
        Ok(figure(text, took <= Duration::from_secs(4) && more <= 200.0))
    })
}

pub fn cell(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let (hq, mut program) = desk().await?;
        let body = json!({ "name": "Rosa", "email": "rosa@example.com" });
        let rosa = program.json("POST", CONTACTS, Some(&body)).await?;
        let path = format!("{CONTACTS}/{}", id(&rosa)?);
        let cells = load::repeat(hq.clients(1).await?, SPAN, async |client, _, count| {
            client.call("PATCH", &path, Some(&json!({ "field_0": count }))).await.map(drop)
        })
        .await?;
        let assigned = crate::rows::assignments(1).await?;
        let ratio = cells.times.p50.as_secs_f64() / assigned.times.p50.as_secs_f64();
        let text = format!("{ratio:.2} ({} : {})", ms(cells.times.p50), ms(assigned.times.p50));
        Ok(figure(text, ratio <= 1.2))
    })
}
