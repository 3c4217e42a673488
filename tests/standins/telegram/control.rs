//! Control of the stand-in over HTTP, for clients in other languages. Everything is JSON.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::methods::{Bot, Refused};
use super::params::{Params, int};
use super::{Chat, Plan, Shared, User};

/// Answers `POST /control/<what>`.
pub(super) async fn serve(shared: &Shared, what: &str, params: &Params) -> Response {
    let token = params.text("token");
    let (chat, from) = (Chat(params.get("chat").clone()), User(params.get("from").clone()));
    let method = || params.text("method").to_owned();
    let done = match what {
        "bot" => Some(shared.change(|state| {
            let id = int(params, "id").unwrap_or(1);
            let bot = Bot::new(id, params.text("name"), params.text("handle"));
            state.bots.insert(token.to_owned(), bot);
            Value::Null
        })),
        "say" => {
            shared.on_bot(token, |bot, now| bot.say(&chat, &from, params.text("text"), now).into())
        }
        "update" => {
            shared.on_bot(token, |bot, now| bot.queue(params.get("update").clone(), now).into())
        }
        "press" => {
            let message = int(params, "message_id").unwrap_or_default();
            let data = params.text("data");
            shared.on_bot(token, |bot, now| bot.press(&chat, &from, message, data, now).into())
        }
        "sent" => shared.on_bot_quietly(token, |bot| {
            let shown = bot.sent.iter().map(|it| {
                json!({"method": it.method, "chat": it.chat, "text": it.text,
                       "message_id": it.message_id, "params": it.params})
            });
            Value::Array(shown.collect())
        }),
        "fail" => Some(shared.change(|state| {
            let status = int(params, "status").and_then(|it| u16::try_from(it).ok());
            let mut refused = Refused::new(status.unwrap_or(500), params.text("description"));
            refused.parameters = int(params, "retry_after").map(|it| json!({"retry_after": it}));
            state.planned.push((method(), Plan::Fail(refused)));
            Value::Null
        })),
        "cut" => Some(shared.change(|state| {
            let after_effect = params.get("after_effect") == true;
            state.planned.push((method(), Plan::Cut { after_effect }));
            Value::Null
        })),
        "revoke" => shared.on_bot(token, |bot, _| {
            bot.is_revoked = true;
            Value::Null
        }),
        _ => None,
    };
    match done {
        Some(done) => axum::Json(done).into_response(),
        None => (StatusCode::NOT_FOUND, "unknown control or token").into_response(),
    }
}
