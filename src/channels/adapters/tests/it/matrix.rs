//! The bridge to Matrix of the manual, against a server that is Matrix and HQ in one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);
const BOB: &str = "@bob:example.org";

/// Ended when dropped.
struct Bridge(Child);

impl Drop for Bridge {
    fn drop(&mut self) {
        // ok: it may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the bridge asked for.
struct Asked {
    path: String,
    body: Value,
}

/// Reads a request and answers it.
fn serve(stream: TcpStream, answer: impl Fn(&Asked) -> (u16, Value)) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut len) = (String::new(), 0);
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| 0 < *read)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            len = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    let asked = Asked { path, body: serde_json::from_slice(&body).unwrap_or_default() };
    let (status, reply) = answer(&asked);
    let reply = reply.to_string();
    let head = format!("HTTP/1.1 {status} Answer\r\nconnection: close\r\ncontent-length:");
    write!(reader.get_mut(), "{head} {}\r\n\r\n{reply}", reply.len()).ok()?;
    Some(asked)
}

fn event(id: &str, content: Value) -> Value {
    json!({
        "type": "m.room.message", "event_id": id, "sender": BOB, "content": content,
        "origin_server_ts": 1_700_000_000_000_i64,
    })
}

fn said(id: &str, text: &str) -> Value {
    event(id, json!({"msgtype": "m.text", "body": text}))
}

/// Matrix and HQ. `busy` is how often HQ answered that it has too much to do.
fn answer(asked: &Asked, busy: &mut u32) -> (u16, Value) {
    let path = asked.path.split('?').next().unwrap_or_default();
    match path.trim_start_matches("/_matrix/client/v3/") {
        "account/whoami" => (200, json!({"user_id": "@ada:example.org"})),
        "sync" if asked.path.contains("since=0") => {
            let mut later = said("$later", "later");
            later["origin_server_ts"] = json!("tomorrow");
            let mut far = said("$far", "far");
            far["origin_server_ts"] = json!(u64::MAX);
            let events = json!([
                said("$1", "first"),
                event("$body", json!({"body": 1})),
                event("$relation", json!({"body": "odd", "m.relates_to": "x"})),
                event("$list", json!({"body": "odd", "m.relates_to": {"m.in_reply_to": {"event_id": []}}})),
                event("$mentions", json!({"body": "odd", "m.mentions": 1})),
                event("$content", Value::Null),
                later,
                far,
                "no event",
                {"type": "m.room.message"},
                said("$2", "refused"),
                said("$3", "busy"),
                said("$4", "last"),
            ]);
            let rooms = json!({
                "invite": {"!gone": {}},
                "join": {
                    "!left": {"timeline": {"events": [said("$0", "left")]}},
                    "!room": {"timeline": {"events": events}},
                },
            });
            (200, json!({"next_batch": "1", "rooms": rooms}))
        }
        "sync" => (200, json!({"next_batch": "1"})),
        "rooms/%21room/joined_members" => (200, json!({"joined": {BOB: {"display_name": "Bob"}}})),
        "/hq" => match asked.body["data"]["text"].as_str() {
            Some("refused") => (403, json!({})),
            Some("busy") if *busy == 0 => {
                *busy += 1;
                (429, json!({}))
            }
            _ => (202, json!({})),
        },
        // The bot may not join this room, and was removed from the other.
        _ => (403, json!({"errcode": "M_FORBIDDEN"})),
    }
}

/// Answers until the test ends.
fn run(listener: &TcpListener, asked: &Sender<Asked>) {
    let busy = std::cell::RefCell::new(0);
    for stream in listener.incoming().flatten() {
        let served = serve(stream, |asked| answer(asked, &mut busy.borrow_mut()));
        if served.is_some_and(|one| asked.send(one).is_err()) {
            return;
        }
    }
}

/// What HQ received until Matrix was asked for what follows the events.
fn received(asked: &Receiver<Asked>) -> Vec<(String, String)> {
    let mut received = Vec::new();
    // For all of it, because a bridge that repeats a request for ever is never silent.
    let until = Instant::now() + PATIENCE;
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        let one = asked.recv_timeout(rest).expect("the bridge did not get past the events");
        if one.path.contains("since=1") {
            return received;
        }
        if one.path == "/hq" {
            let field = |name: &str| one.body["data"][name].as_str().unwrap_or_default().to_owned();
            received.push((field("id"), field("text")));
        }
    }
}

#[test]
fn the_bridge_skips_what_it_cannot_read_and_what_hq_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = channel();
    std::thread::spawn(move || run(&listener, &sender));
    let folder = std::env::temp_dir().join(format!("hq-matrix-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let state = folder.join("matrix.json");
    std::fs::write(&state, json!({"since": "0", "buttons": {}}).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../examples/bridges/matrix.py");
    let mut bridge = Command::new("python3");
    bridge.arg(script).args(["--homeserver", &base, "--hq", &format!("{base}/hq")]);
    bridge.args(["--listen", "127.0.0.1:0", "--state"]).arg(&state);
    bridge.env("HQ_SECRET", "whsec_c2VjcmV0").env("MATRIX_TOKEN", "token");
    bridge.env_remove("http_proxy").env_remove("HTTP_PROXY").env_remove("all_proxy");
    let bridge = Bridge(bridge.stdout(Stdio::null()).spawn().unwrap());
    let received = received(&asked);
    drop(bridge);
    std::fs::remove_dir_all(&folder).unwrap();
    let right =
        [("$1", "first"), ("$2", "refused"), ("$3", "busy"), ("$3", "busy"), ("$4", "last")];
    assert_eq!(received, right.map(|(id, text)| (id.to_owned(), text.to_owned())));
}
