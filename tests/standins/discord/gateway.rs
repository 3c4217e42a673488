//! The gateway: sessions, replay, heartbeats.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde_json::{Value, json};

use super::{APPLICATION, GUILD, Shared, TOKEN, bot, string};

pub(super) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(move |socket| connection(shared, socket))
}

/// One connection to the gateway.
async fn connection(shared: Arc<Shared>, mut socket: WebSocket) {
    let mut changed = shared.changed.subscribe();
    let (ended, mut frames) = {
        let state = shared.state.lock();
        (state.ended.0, state.frames.len())
    };
    if !post(&mut socket, json!({"op": 10, "d": {"heartbeat_interval": 500}})).await {
        return;
    }
    let mut session: Option<(String, usize)> = None;
    loop {
        let mut out = Vec::new();
        let end = {
            let state = shared.state.lock();
            if let Some((id, sent)) = &mut session {
                let log = state.sessions.get(id).map(Vec::as_slice).unwrap_or_default();
                for (kind, data) in log.iter().skip(*sent) {
                    *sent += 1;
                    out.push(json!({"op": 0, "s": *sent, "t": kind, "d": data}));
                }
            }
            out.extend(state.frames.iter().skip(frames).cloned());
            frames = state.frames.len();
            (ended < state.ended.0).then_some(state.ended.1)
        };
        for frame in out {
            if !post(&mut socket, frame).await {
                return;
            }
        }
        match end {
            Some(0) => return,
            Some(code) => {
                let frame = CloseFrame { code, reason: "".into() };
                // ok: the connection ends in any case.
                let _ = socket.send(Message::Close(Some(frame))).await;
                return;
            }
            None => {}
        }
        let message = tokio::select! {
            message = socket.recv() => message,
            _ = changed.changed() => continue,
        };
        let Some(Ok(message)) = message else { return };
        let Ok(text) = message.to_text() else { continue };
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        let replies = match frame["op"].as_u64() {
            Some(1) if !shared.state.lock().is_mute => vec![json!({"op": 11})],
            Some(2 | 6) if frame["d"]["token"] != TOKEN => {
                let frame = CloseFrame { code: 4004, reason: "".into() };
                let _ = socket.send(Message::Close(Some(frame))).await;
                return;
            }
            Some(2) => {
                session = Some((shared.change(|state| identify(state, &shared.url)), 0));
                Vec::new()
            }
            Some(6) => resume(&shared, &frame["d"], &mut session),
            _ => Vec::new(),
        };
        for reply in replies {
            if !post(&mut socket, reply).await {
                return;
            }
        }
    }
}

fn identify(state: &mut super::State, url: &str) -> String {
    let id = format!("session-{}", state.id());
    let ready = json!({
        "v": 10, "user": bot(), "session_id": id, "guilds": [{"id": GUILD, "unavailable": true}],
        "resume_gateway_url": format!("{}/gateway", url.replace("http", "ws")),
        "application": {"id": APPLICATION, "flags": state.flags}, "private_channels": [],
    });
    let log = vec![("READY".to_owned(), ready), ("GUILD_CREATE".to_owned(), state.guild())];
    state.sessions.insert(id.clone(), log);
    state.identified += 1;
    id
}

/// Continues a session after the given number: what came since then, then RESUMED.
fn resume(shared: &Shared, data: &Value, session: &mut Option<(String, usize)>) -> Vec<Value> {
    let id = string(data, "session_id");
    shared.change(|state| {
        let Some(log) = state.sessions.get(&id) else { return vec![json!({"op": 9, "d": false})] };
        let since = usize::try_from(data["seq"].as_u64().unwrap_or_default()).unwrap_or_default();
        let missed = log.iter().enumerate().skip(since);
        let mut out: Vec<Value> = missed
            .map(|(index, (kind, data))| json!({"op": 0, "s": index + 1, "t": kind, "d": data}))
            .collect();
        out.push(json!({"op": 0, "s": log.len(), "t": "RESUMED", "d": {}}));
        *session = Some((id, log.len()));
        state.resumed += 1;
        out
    })
}

async fn post(socket: &mut WebSocket, frame: Value) -> bool {
    socket.send(Message::text(frame.to_string())).await.is_ok()
}
