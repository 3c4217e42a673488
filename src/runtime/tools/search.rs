//! `search`: text and names in the agent's own files.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kernel::Can;
use crate::kernel::text::ellipsis;
use crate::tool::{Effect, Group, ReadTool, ToolCx, ToolError, ToolOutput, ToolSpec};

use super::{files, folder};

/// How many hits are given.
const HITS: usize = 100;
/// Larger files are passed over.
const MAX_SEARCHED: u64 = 1024 * 1024;

/// Searches files.
pub(crate) struct Search;

/// What `search` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Args {
    /// Text to find; case does not matter.
    text: String,
    /// Only below this folder, or in `result:<n>`.
    path: Option<String>,
    /// Look in names only.
    names: Option<bool>,
}

impl ReadTool for Search {
    type Args = Args;
    const SPEC: ToolSpec = ToolSpec {
        name: "search",
        group: Group::Files,
        needs: Can::Read,
        effect: Effect::Read,
        about: "Find text in the files of your folder.",
    };

    async fn read(&self, cx: &ToolCx, args: Args) -> Result<ToolOutput, ToolError> {
        if let Some(name) = args.path.as_deref().and_then(|path| path.strip_prefix("result:")) {
            let text = files::result_text(cx, name).await?;
            return in_text(&text, &args.text);
        }
        let root = cx.folder.clone();
        let cancel = cx.cancel.clone();
        let work = tokio::task::spawn_blocking(move || {
            let files = folder::open(&root)?;
            let below = files.relative(args.path.as_deref().unwrap_or(""))?;
            let wanted = args.text.to_lowercase();
            if wanted.is_empty() {
                return Err(ToolError::refused("bad_arguments", "text must not be empty"));
            }
            let scan = files.scan()?;
            let mut hits = Vec::new();
            for (path, bytes) in scan.files() {
                if cancel.is_cancelled() || hits.len() >= HITS {
                    break;
                }
                let inside = below.is_empty()
                    || path.strip_prefix(below.as_str()).is_some_and(|r| r.starts_with('/'));
                if !inside {
                    continue;
                }
                if path.to_lowercase().contains(&wanted) {
                    hits.push(path.to_owned());
                }
                if args.names == Some(true) || bytes > MAX_SEARCHED {
                    continue;
                }
                // ok: what cannot be read as text has no text to find.
                let Ok(Some(part)) = files.read(path, 0, MAX_SEARCHED) else { continue };
                let Ok(text) = String::from_utf8(part.bytes) else { continue };
                for (n, line) in text.lines().enumerate() {
                    if hits.len() < HITS && line.to_lowercase().contains(&wanted) {
                        hits.push(format!("{path}:{}: {}", n + 1, ellipsis(line.trim(), 200)));
                    }
                }
            }
            Ok(hits)
        });
        let hits = work.await.unwrap_or_else(|_| {
            Err(ToolError::Failed { code: "internal", message: "the search panicked".to_owned() })
        })?;
        Ok(ToolOutput::text(if hits.is_empty() {
            "nothing found".to_owned()
        } else {
            hits.join("\n")
        }))
    }
}

/// The lines of an earlier output that have the text; of a long line the words around it.
fn in_text(text: &str, wanted: &str) -> Result<ToolOutput, ToolError> {
    let wanted = wanted.to_lowercase();
    if wanted.is_empty() {
        return Err(ToolError::refused("bad_arguments", "text must not be empty"));
    }
    let mut hits = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let Some(at) = line.to_lowercase().find(&wanted) else { continue };
        let mut from = at.saturating_sub(80).min(line.len());
        while !line.is_char_boundary(from) {
            from -= 1;
        }
        hits.push(format!("{}: {}", n + 1, ellipsis(line[from..].trim(), 200)));
        if hits.len() >= HITS {
            break;
        }
    }
    Ok(ToolOutput::text(if hits.is_empty() { "nothing found".to_owned() } else { hits.join("\n") }))
}
