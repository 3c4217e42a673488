//! Stores binary parts of a tool's result as files in the agent's folder. They are committed with the run's other files
//! and are untrusted like the result. A part that can't be stored never fails its call.

use git::files::AgentFiles;
use git::{File, GitError};
use tool::{ChildCx, ToolOutput, leaks, media};
use web::format;

use super::EngineError;
use super::journal::blocking;
use super::toolbox::Call;
use super::tools::folder::MAX_FILE;
use super::turn::Turn;

/// Folder of files from elsewhere. Downloads of the agent's browser are there, too.
const FOLDER: &str = "downloads";

impl Turn {
    /// Stores the files of a result and adds their paths to its text. Returns the paths.
    pub(super) async fn store_files(
        &self,
        call: &Call,
        step: u32,
        output: &mut ToolOutput,
    ) -> Result<Vec<String>, EngineError> {
        let start = start(self.setting.child.as_ref(), &call.name, self.talk.journal.number, step);
        let mut paths = Vec::new();
        for (at, file) in std::mem::take(&mut output.files).into_iter().enumerate() {
            let (number, bytes) = (at + 1, file.data.len());
            let path = format!("{start}-{number}.{}", media::ending(&file.media_type));
            let line = match self.store_file(&path, file.data).await? {
                Some(why) => format!("\n[file {number} isn't stored: {why}]"),
                None => {
                    let media_type = file.media_type;
                    let line =
                        format!("\n[file {number}: path \"{path}\", {media_type}, {bytes} bytes]");
                    paths.push(path);
                    line
                }
            };
            output.text.push_str(&line);
        }
        Ok(paths)
    }

    /// Writes one file. Returns the reason if it is not stored.
    async fn store_file(&self, path: &str, data: Vec<u8>) -> Result<Option<String>, EngineError> {
        let (journal, size) = (&self.talk.journal, data.len() as u64);
        if MAX_FILE < size {
            let text = format!(
                "it has {}, and files in your folder can have at most {}",
                format::size(size),
                format::size(MAX_FILE)
            );
            return Ok(Some(text));
        }
        if !journal.may_store(size) {
            return Ok(Some("this run has stored 256 MB of results, the maximum".to_owned()));
        }
        let root = journal.ws.agent_folder(&self.setting.agent.slug);
        let guard = journal.ws.paths.hold(&root.join(path)).await;
        let (ws, path) = (journal.ws.clone(), path.to_owned());
        let written = blocking(move || {
            if let Some(leak) = leaks::in_file(&ws.app.redactor, &data) {
                return Ok(Some(leak.why.to_owned()));
            }
            let file = File { path, bytes: data, executable: false };
            AgentFiles::open(&root)?.write(&file)?;
            Ok::<_, GitError>(None)
        });
        let written = written.await?;
        drop(guard);
        Ok(written.unwrap_or_else(|error| {
            tracing::warn!(run.id = %journal.run, %error, "a file of a tool's result was not stored");
            Some(format!("{FOLDER}/ in your folder can't be written"))
        }))
    }
}

/// Path of a result's files without their number and ending.
fn start(child: Option<&ChildCx>, tool: &str, run: u32, step: u32) -> String {
    let folder = child.map(|child| format!("{}/", child.folder)).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let tool: String = tool.chars().map(plain).collect();
    format!("{folder}{FOLDER}/{tool}-{run}-{step}")
}

#[cfg(test)]
mod tests {
    use tool::ChildCx;

    use super::start;

    #[test]
    fn the_name_of_a_tool_leads_nowhere_else() {
        assert_eq!(start(None, "files__record", 7, 3), "downloads/files__record-7-3");
        assert_eq!(start(None, "../a/ü", 7, 3), "downloads/___a__-7-3");
        let child = ChildCx {
            folder: "work/r-1".to_owned(),
            may_spawn: false,
            may_exec: false,
            may_network: false,
            minutes: None,
        };
        let own = start(Some(&child), "files__record", 7, 3);
        assert_eq!(own, "work/r-1/downloads/files__record-7-3");
    }
}
