//! A desk of 100,000 contacts with twelve fields of their own: what bringing them in, taking them back, their
//! lists and one cell cost.

use std::pin::Pin;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::load::{self, Client, Load, Times};
use crate::rows::{Ready, figure, id};
use crate::{Figure, ms};

/// Own fields of a contact.
const FIELDS: usize = 12;
/// Rows of the import that is measured, and of the ones that fill the desk.
const MEASURED: usize = 10_000;
const FILLING: usize = 45_000;
/// How long a list is asked for again and again.
const SPAN: Duration = Duration::from_secs(4);
/// Where the contacts are, for programs.
const CONTACTS: &str = "/api/v1/contacts";

/// Rows as a file of JSON: even fields are numbers, odd ones words.
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

/// HQ with the fields, and with nobody yet.
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

/// Brings a file in; its address, and how long it took from *Begin* to the last row.
async fn bring(program: &mut Client, rows: &Value) -> Result<(String, Duration), String> {
    let path = "/api/v1/imports?of=contacts&name=contacts.json";
    let import = program.json("POST", path, Some(rows)).await?;
    let at = format!("/api/v1/imports/{}", id(&import)?);
    let began = Instant::now();
    program.json("POST", &format!("{at}/begin"), Some(&json!({}))).await?;
    until(program, &at, "done").await?;
    Ok((at, began.elapsed()))
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

/// What lists cost in a desk of 100,000, asked for in these ways in turn.
async fn lists(paths: &[&str], promise: Duration) -> Result<Figure, String> {
    let (hq, mut program) = desk().await?;
    for from in [0, FILLING] {
        bring(&mut program, &file(from, FILLING)).await?;
    }
    bring(&mut program, &file(2 * FILLING, MEASURED)).await?;
    let cookie = ("cookie", hq.browser.cookie_header());
    let page = Client::connect(hq.program.url(), cookie).await?;
    let paths: Vec<String> =
        paths.iter().map(|path| format!("/w/{}/contacts{path}", hq.workspace)).collect();
    let Load { times: Times { p50, p99 }, .. } =
        load::repeat(vec![page], SPAN, async |client, _, count| {
            client.call("GET", &paths[count % paths.len()], None).await.map(drop)
        })
        .await?;
    Ok(figure(format!("p50 {}, p99 {}", ms(p50), ms(p99)), p99 <= promise))
}

pub fn list(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    let paths = &[
        "",
        "?q=field_0:%3E500",
        "?q=field_1:word7+stage:won",
        "?sort=-field_2",
        "?group=stage&foot=field_0:sum,field_2:average,field_4:sum",
    ];
    Box::pin(lists(paths, Duration::from_millis(10)))
}

pub fn board(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    let paths = &["?layout=board", "?layout=board&q=field_0:%3E500"];
    Box::pin(lists(paths, Duration::from_millis(15)))
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
