//! Socket Mode: envelopes that repeat until they are acknowledged.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde_json::{Value, json};

use super::Shared;

pub(super) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(move |socket| async move {
        let id = shared.change(|state| {
            state.opened += 1;
            state.open.insert(state.opened);
            state.opened
        });
        serve(&shared, socket, id).await;
        shared.change(|state| {
            state.open.remove(&id);
        });
    })
}

async fn serve(shared: &Shared, mut socket: WebSocket, id: u64) {
    let mut changed = shared.changed.subscribe();
    let hello = json!({
        "type": "hello", "num_connections": 1, "connection_info": {"app_id": "A0"},
        "debug_info": {"host": "standin", "approximate_connection_time": 3600},
    });
    if !post(&mut socket, hello).await {
        return;
    }
    let mut is_announced = false;
    loop {
        let (due, leaving) = {
            let mut state = shared.state.lock();
            let leaving = (id <= state.leaving.0).then(|| state.leaving.1.clone());
            let is_newest = state.open.last() == Some(&id);
            let due = if is_newest && leaving.is_none() { due(&mut state, id) } else { Vec::new() };
            (due, leaving.map(|reason| (reason, !is_newest)))
        };
        for envelope in due {
            if !post(&mut socket, envelope).await {
                return;
            }
        }
        match leaving {
            Some((reason, _)) if reason.is_empty() => return,
            Some((reason, _)) if !is_announced => {
                is_announced = true;
                let frame = json!({"type": "disconnect", "reason": reason, "debug_info": {}});
                if !post(&mut socket, frame).await {
                    return;
                }
            }
            Some((_, true)) => {
                // ok: the connection ends in any case.
                let _ = socket.send(Message::Close(None)).await;
                return;
            }
            Some((_, false)) | None => {}
        }
        let message = tokio::select! {
            message = socket.recv() => message,
            _ = changed.changed() => continue,
        };
        let Some(Ok(message)) = message else { return };
        let Ok(text) = message.to_text() else { continue };
        let ack: Value = serde_json::from_str(text).unwrap_or_default();
        shared.change(|state| {
            let of_ack = |value: &Value| value["envelope_id"] == ack["envelope_id"];
            let acknowledged = state.envelopes.iter_mut().filter(|one| of_ack(&one.value));
            acknowledged.for_each(|envelope| envelope.is_acknowledged = true);
            state.acknowledged += 1;
        });
    }
}

/// Unacknowledged envelopes that no open connection has.
fn due(state: &mut super::State, id: u64) -> Vec<Value> {
    let mut due = Vec::new();
    for envelope in &mut state.envelopes {
        let is_with_someone = envelope.sent_to.is_some_and(|other| state.open.contains(&other));
        if envelope.is_acknowledged || is_with_someone {
            continue;
        }
        let mut value = envelope.value.clone();
        if 0 < envelope.attempts {
            value["retry_attempt"] = envelope.attempts.into();
            value["retry_reason"] = "timeout".into();
        }
        envelope.attempts += 1;
        envelope.sent_to = Some(id);
        due.push(value);
    }
    due
}

async fn post(socket: &mut WebSocket, frame: Value) -> bool {
    socket.send(Message::text(frame.to_string())).await.is_ok()
}
