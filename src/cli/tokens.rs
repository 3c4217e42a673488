//! `hq token list` and `hq token revoke`: the tokens of everybody in a workspace.

use serde_json::Value;

use super::Common;
use super::agents::{items, second, word};
use super::commands::{RevokeToken, or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;

/// Where they are.
const PATH: &str = "/api/v1/workspace/tokens";

/// `hq token list`
pub async fn list(common: &Common, door: &Door, place: &Place) -> Result<u8, CommandError> {
    let all = door.call(Ask::get(PATH).within(place.workspace.as_ref())).await?;
    let lines: Vec<String> = items(&all).iter().map(line).collect();
    print(common, &all, &or_none(lines, "No tokens. To create one: `hq token create`"))
}

fn line(one: &Value) -> String {
    let scopes: Vec<&str> =
        one["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let used = match second(one, "last_used_at") {
        "" => "never used".to_owned(),
        at => format!("used {at}Z"),
    };
    format!(
        "{}  {:<20} {:<14} {}, until {}Z, {used}",
        word(one, "id"),
        word(one, "name"),
        word(one, "mark"),
        scopes.join(" "),
        second(one, "expires_at"),
    )
}

/// `hq token revoke`
pub async fn revoke(common: &Common, door: &Door, flags: &RevokeToken) -> Result<u8, CommandError> {
    let path = format!("{PATH}/{}", flags.id);
    let gone = door.call(Ask::delete(path).within(flags.place.workspace.as_ref())).await?;
    let message = format!("Revoked {}.", word(&gone, "name"));
    print(common, &gone, &[message])
}
