//! What is said on tasks, and what they are linked to.

use serde_json::{Value, json};

use crate::Common;
use crate::agents::{items, question, word};
use crate::commands::{or_none, print};
use crate::door::{Ask, Door};
use crate::operate::Place;
use crate::reach::CommandError;
use crate::show::part;
use kernel::text::ellipsis;

use super::flags::Which;
use super::{at, path};

/// So much of a comment is shown in a list.
const SAID: usize = 120;

/// Says something on a task.
pub async fn comment(
    common: &Common,
    door: &Door,
    which: &Which,
    (text, reply_to): (&String, Option<String>),
) -> Result<u8, CommandError> {
    let text = question(std::slice::from_ref(text))?;
    let body = json!({ "body": text, "reply_to": reply_to });
    let comment = door.call(Ask::post(path(which, "/comments"), &body).within(at(which))).await?;
    print(common, &comment, &["commented".to_owned()])
}

/// What was said.
pub async fn comments(common: &Common, door: &Door, which: &Which) -> Result<u8, CommandError> {
    let url = format!("{}?limit=100", path(which, "/comments"));
    let all = door.call(Ask::get(url).within(at(which))).await?;
    let lines = items(&all).iter().map(line).collect();
    print(common, &all, &or_none(lines, "No comments."))
}

/// Does something with a comment.
pub async fn act(
    common: &Common,
    door: &Door,
    (comment, verb): (&str, &str),
    (body, place): (&Value, &Place),
) -> Result<u8, CommandError> {
    let path = format!("/api/v1/comments/{}/{verb}", part(comment));
    let comment = door.call(Ask::post(path, body).within(place.workspace.as_ref())).await?;
    print(common, &comment, &[line(&comment)])
}

/// What a task is linked to.
pub async fn links(common: &Common, door: &Door, which: &Which) -> Result<u8, CommandError> {
    let all = door.call(Ask::get(path(which, "/links")).within(at(which))).await?;
    let lines = items(&all).iter().map(link_line).collect();
    print(common, &all, &or_none(lines, "No links."))
}

/// Links a task to something.
pub async fn link(
    common: &Common,
    door: &Door,
    which: &Which,
    (target, label): (&str, &str),
) -> Result<u8, CommandError> {
    let body = json!({ "target": target, "label": label });
    let made = door.call(Ask::post(path(which, "/links"), &body).within(at(which))).await?;
    print(common, &made, &[link_line(&made)])
}

/// Takes a link away.
pub async fn unlink(
    common: &Common,
    door: &Door,
    id: &str,
    place: &Place,
) -> Result<u8, CommandError> {
    let ask = Ask::delete(format!("/api/v1/links/{}", part(id)));
    let gone = door.call(ask.within(place.workspace.as_ref())).await?;
    print(common, &gone, &[link_line(&gone)])
}

/// "0198… · mira · settled · 👍 2 · Blue ones, please".
fn line(comment: &Value) -> String {
    let mut words = vec![word(comment, "id").to_owned(), word(&comment["author"], "handle").into()];
    words.extend(comment["parent"].as_str().map(|_| "reply".to_owned()));
    words.extend(comment["settled_at"].as_str().map(|_| "resolved".to_owned()));
    for one in comment["reactions"].as_array().into_iter().flatten() {
        let count = one["by"].as_array().map_or(0, Vec::len);
        words.push(format!("{} {count}", word(one, "emoji")));
    }
    words.push(ellipsis(&word(comment, "body").replace('\n', " "), SAID));
    words.join(" · ")
}

/// "0198… · task · MC-3 Compare prices · the plan".
fn link_line(link: &Value) -> String {
    let words = ["id", "kind", "name", "label"].map(|key| word(link, key));
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" · ")
}
