//! Requests and notifications of a client, read strictly: a request with an invalid id is refused and never treated as
//! a notification.

use serde_json::{Map, Value};

use crate::wire::{INVALID_REQUEST, Id, RpcError};

/// A message of a client.
pub(super) struct Incoming {
    /// `None` for a notification.
    pub(super) id: Option<Id>,
    pub(super) method: String,
    pub(super) params: Map<String, Value>,
}

impl Incoming {
    /// The error has the id of the message, if that could be read.
    pub(super) fn parse(value: Value) -> Result<Incoming, (Option<Id>, RpcError)> {
        let invalid = |text: &str| RpcError::new(INVALID_REQUEST, text);
        let Value::Object(mut fields) = value else {
            return Err((None, invalid("a message is an object")));
        };
        let id = match fields.remove("id") {
            None => None,
            Some(Value::String(text)) => Some(Id::Text(text)),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
                Some(Id::Number(number))
            }
            Some(_) => return Err((None, invalid("an id is a string or an integer"))),
        };
        if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err((id, invalid("jsonrpc is not \"2.0\"")));
        }
        let Some(Value::String(method)) = fields.remove("method") else {
            return Err((id, invalid("this server takes requests and notifications only")));
        };
        let params = match fields.remove("params") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err((id, invalid("params is not an object"))),
        };
        Ok(Incoming { id, method, params })
    }

    /// A field of `_meta`.
    pub(super) fn meta(&self, key: &str) -> Option<&Value> {
        self.params.get("_meta")?.get(key)
    }
}
