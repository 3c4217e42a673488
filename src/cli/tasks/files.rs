//! Files on tasks.

use std::path::Path;

use serde_json::Value;

use crate::Common;
use crate::agents::word;
use crate::commands::print;
use crate::door::{Ask, Door};
use crate::reach::CommandError;
use crate::show::{listed, query, short};
use web::format::size;

use super::flags::{Attach, Which};
use super::{at, path};

/// Puts a file on a task.
pub async fn send(door: &Door, which: &Which, file: &Path) -> Result<Value, CommandError> {
    let failed = |why: String| CommandError::Failed(format!("{}: {why}", file.display()));
    let content = tokio::fs::read(file).await.map_err(|error| failed(error.to_string()))?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| failed("it has no name".to_owned()))?;
    let below = format!("/files{}", query(&[("name", Some(&name))]));
    door.call(Ask::file(path(which, &below), content).within(at(which))).await
}

/// Puts files on a task; those before the first that is refused stay there.
pub async fn attach(common: &Common, door: &Door, flags: Attach) -> Result<u8, CommandError> {
    let mut sent = Vec::with_capacity(flags.files.len());
    for file in &flags.files {
        sent.push(send(door, &flags.which, file).await?);
    }
    let all = serde_json::json!({ "items": sent });
    print(common, &all, &listed(&all, row, ""))
}

/// The files on a task.
pub async fn list(common: &Common, door: &Door, which: &Which) -> Result<u8, CommandError> {
    let all = door.call(Ask::get(path(which, "/files")).within(at(which))).await?;
    print(common, &all, &listed(&all, row, "No files."))
}

fn row(file: &Value) -> Vec<String> {
    vec![
        short(word(file, "id")).to_owned(),
        size(file["size"].as_u64().unwrap_or_default()),
        word(&file["by"], "handle").to_owned(),
        word(file, "name").to_owned(),
    ]
}
