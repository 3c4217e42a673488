//! Delivered work, and what is said to it.

use serde_json::{Value, json};

use crate::Common;
use crate::agents::{question, word};
use crate::commands::print;
use crate::door::{Ask, Door};
use crate::operate::Place;
use crate::reach::CommandError;
use crate::show::{listed, moment, part, pick, quoted, short};

use super::flags::{Deliver, Review};
use super::{at, files, path};

/// Where what waits is seen.
const SEE: &str = "hq task review";

/// Delivers work.
pub async fn deliver(common: &Common, door: &Door, flags: Deliver) -> Result<u8, CommandError> {
    let text = match flags.work.text {
        Some(text) => Some(question(&[text])?),
        None => None,
    };
    let file = match &flags.work.file {
        Some(file) => {
            let sent = files::send(door, &flags.which, file).await?;
            Some(sent["id"].clone())
        }
        None => None,
    };
    let revises = match &flags.revises {
        Some(meant) => {
            let of = Ask::get(path(&flags.which, "/deliverables")).within(at(&flags.which));
            let all = door.call(of).await?;
            Some(
                word(pick(&all, meant, ("deliverable on this task", SEE), titles)?, "id")
                    .to_owned(),
            )
        }
        None => None,
    };
    let body = json!({
        "title": flags.title.unwrap_or_default(), "text": text, "url": flags.work.link, "file": file,
        "page": flags.work.page, "record": flags.work.record,
        "note": flags.note, "revises": revises,
    });
    let ask = Ask::post(path(&flags.which, "/deliverables"), &body).within(at(&flags.which));
    let piece = door.call(ask).await?;
    print(common, &piece, &[line(&piece)])
}

/// What waits for a review, one piece of it, or the review itself.
pub async fn review(common: &Common, door: &Door, flags: Review) -> Result<u8, CommandError> {
    let workspace = flags.place.workspace.as_ref();
    let Some(meant) = &flags.piece else {
        let all = door.call(Ask::get("/api/v1/deliverables").within(workspace)).await?;
        return print(common, &all, &listed(&all, row, "Nothing waits for review."));
    };
    let piece = find(door, meant, &flags.place).await?;
    let Some(verdict) = &flags.verdict else {
        let lines = shown(&piece);
        return print(common, &piece, &lines);
    };
    let verdict = match verdict.as_str() {
        "approve" => "approved",
        "changes" => "changes_requested",
        _ => "rejected",
    };
    // Of what was looked at: a newer version is not judged by mistake.
    let version = piece["versions"].as_array().and_then(|all| all.last());
    let version = version.map(|version| version["id"].clone());
    let body = json!({ "verdict": verdict, "note": flags.note, "version": version });
    let path = format!("/api/v1/deliverables/{}/reviews", part(word(&piece, "id")));
    let judged = door.call(Ask::post(path, &body).within(workspace)).await?;
    print(common, &judged, &[line(&judged)])
}

/// The work that is meant: by id, by the end of it, or by its task when one piece of that waits.
async fn find(door: &Door, meant: &str, place: &Place) -> Result<Value, CommandError> {
    let workspace = place.workspace.as_ref();
    if meant.contains('-') && meant.len() == 36 {
        let ask = Ask::get(format!("/api/v1/deliverables/{}", part(meant)));
        return door.call(ask.within(workspace)).await;
    }
    let all = door.call(Ask::get("/api/v1/deliverables").within(workspace)).await?;
    let found = pick(&all, meant, ("waiting deliverable", SEE), |one| {
        vec![word(one, "task"), word(one, "title")]
    });
    found.cloned()
}

fn titles(piece: &Value) -> Vec<&str> {
    vec![word(piece, "title")]
}

/// How many versions there are.
fn version(piece: &Value) -> u64 {
    let last = piece["versions"].as_array().and_then(|all| all.last());
    last.and_then(|version| version["number"].as_u64()).unwrap_or_default()
}

fn row(piece: &Value) -> Vec<String> {
    vec![
        short(word(piece, "id")).to_owned(),
        word(piece, "task").to_owned(),
        word(&piece["submitted_by"], "handle").to_owned(),
        moment(piece, "updated_at"),
        format!("{} (version {})", quoted(word(piece, "title")), version(piece)),
    ]
}

/// "7fa31c02 · MC-3 · in review · "Offer" · version 2".
fn line(piece: &Value) -> String {
    let words = [
        short(word(piece, "id")).to_owned(),
        word(piece, "task").to_owned(),
        word(piece, "state").replace('_', " "),
        quoted(word(piece, "title")),
        format!("version {}", version(piece)),
    ];
    words.join(" · ")
}

/// A piece of work with its last version.
fn shown(piece: &Value) -> Vec<String> {
    let mut lines = vec![line(piece)];
    let Some(last) = piece["versions"].as_array().and_then(|all| all.last()) else { return lines };
    let note = word(last, "note");
    lines.extend((!note.is_empty()).then(|| format!("Note: {note}")));
    if let Some(questions) = last["review"]["asks"].as_array() {
        lines.extend(
            questions
                .iter()
                .filter_map(Value::as_str)
                .map(|ask| format!("Requested change: {ask}")),
        );
    }
    let file = word(&last["file"], "name");
    let what = [word(last, "text"), word(last, "url"), file];
    let what = what.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    lines.extend([String::new(), what.to_owned()]);
    lines
}
