//! Stores binary parts of a tool's result as files in the agent's folder. Like the files of a file tool they are recorded
//! first and then written, so that each is committed and labelled as untrusted after a crash, too. A part that can't be
//! stored never fails its call.

use std::path::Path;

use app::Ws;
use features::agents::queries::reach;
use features::runs::model::EventKind;
use features::trust::authorize::{self, Facts, Reach};
use kernel::AccessDecision;
use tool::registry::Entry;
use tool::{ChildCx, Effect, FileChange, ResultFile, ToolOutput, leaks, media};
use web::format;

use super::EngineError;
use super::file_calls::marks_of;
use super::journal::blocking;
use super::toolbox::Call;
use super::tools::folder::{self, MAX_FILE};
use super::turn::Turn;

/// Folder of files from elsewhere. Downloads of the agent's browser are there, too.
const FOLDER: &str = "downloads";
const UNWRITABLE: &str = "downloads/ in your folder can't be written";
const TAKEN_OVER: &str = "the run was stopped or taken over";

/// A file to store, or the reason why it isn't stored.
type Planned = Result<FileChange, String>;

impl Turn {
    /// Stores the files of a result and adds their paths to its text. Returns the paths.
    pub(super) async fn store_files(
        &mut self,
        call: &Call,
        step: u32,
        output: &mut ToolOutput,
    ) -> Result<Vec<String>, EngineError> {
        let is_layered = self.setting.tools.get(&call.name).is_some_and(Entry::is_layered);
        if is_layered && !self.chooser.chosen.known.vision {
            picture_as_file(output);
        }
        let files = std::mem::take(&mut output.files);
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let refused = self.refused_files()?;
        let start = start(self.setting.child.as_ref(), &call.name, self.talk.journal.number, step);
        let mut planned = Vec::with_capacity(files.len());
        for (number, ResultFile { media_type, data }) in (1_usize..).zip(files) {
            let path = format!("{start}-{number}.{}", media::ending(&media_type));
            planned.push(match &refused {
                Some(why) => Err(why.clone()),
                None => self.plan_file(path, data).await?,
            });
        }
        let is_begun = self.begin_files(call, step, &planned).await?;
        let mut paths = Vec::new();
        for (number, change) in (1_usize..).zip(planned) {
            let stored = match change {
                Ok(_) if !is_begun => Err(TAKEN_OVER.to_owned()),
                Ok(change) => self.write_file(change).await?,
                Err(why) => Err(why),
            };
            // Nothing of the server's own words is repeated outside its marks.
            let line = match stored {
                Ok((path, bytes)) => {
                    let line = format!("\n[file {number}: path \"{path}\", {bytes} bytes]");
                    paths.push(path);
                    line
                }
                Err(why) => format!("\n[file {number} isn't stored: {why}]"),
            };
            output.text.push_str(&line);
        }
        Ok(paths)
    }

    /// Why this run may not write files: also a tool that only reads stores none then.
    fn refused_files(&self) -> Result<Option<String>, EngineError> {
        let (agent, run) = (self.setting.agent.id, self.talk.journal.run);
        let ws = &self.talk.journal.ws;
        let facts = Facts::of("write", Effect::File, Reach::Inside, ws.app.clock.now());
        let verdict = ws.read(|snap| {
            let agents = reach::agents_of(snap, agent, run)?;
            authorize::authorize(snap, &agents, Some(run), &facts)
        })?;
        let is_refused = verdict.decision == AccessDecision::Deny;
        Ok(is_refused.then(|| format!("you can't write files: {}", verdict.why)))
    }

    async fn plan_file(&self, path: String, data: Vec<u8>) -> Result<Planned, EngineError> {
        let (journal, size) = (&self.talk.journal, data.len() as u64);
        if MAX_FILE < size {
            return Ok(Err(format!(
                "it has {}, and files in your folder can have at most {}",
                format::size(size),
                format::size(MAX_FILE)
            )));
        }
        if !journal.may_store(size) {
            return Ok(Err("this run has stored 256 MB of results, the maximum".to_owned()));
        }
        let root = journal.ws.agent_folder(&self.setting.agent.slug);
        let ws = journal.ws.clone();
        blocking(move || change(&ws, &root, path, data)).await
    }

    /// Records what is about to be written. Returns `false` if the run may write nothing more.
    async fn begin_files(
        &mut self,
        call: &Call,
        step: u32,
        planned: &[Planned],
    ) -> Result<bool, EngineError> {
        let files = marks_of(planned.iter().flatten());
        if files.is_empty() {
            return Ok(true);
        }
        let paths: Vec<String> = files.iter().map(|mark| mark.path.clone()).collect();
        // Without their content, because a restart completes no result.
        let kept = self.keep(&[]).await?;
        let (call_id, name) = (call.id.clone(), call.name.clone());
        let begun = EventKind::FilesStarted { step, call_id, name, files, kept };
        match self.talk.journal.append(vec![begun]).await {
            Ok(()) => {
                // Keep the paths even if the run is taken over before the result is written.
                self.talk.journal.paths.extend(paths);
                Ok(true)
            }
            // The result itself is kept as evidence.
            Err(error) if error.is_fenced() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes one file. Returns its path and its bytes, or the reason why it isn't stored.
    async fn write_file(
        &self,
        change: FileChange,
    ) -> Result<Result<(String, usize), String>, EngineError> {
        let path = change.path.clone();
        let bytes = change.content.as_ref().map_or(0, Vec::len);
        Ok(match self.write_files(vec![change]).await? {
            Ok(()) => Ok((path, bytes)),
            Err(error) => {
                let run = self.talk.journal.run;
                tracing::warn!(run.id = %run, ?error, "a file of a tool's result was not stored");
                Err(UNWRITABLE.to_owned())
            }
        })
    }
}

/// Makes the picture of a result a file, for a model that can't see it.
fn picture_as_file(output: &mut ToolOutput) {
    if let Some(picture) = output.picture.take() {
        output.files.push(ResultFile { media_type: picture.media_type, data: picture.data });
        let number = output.files.len();
        output
            .text
            .push_str(&format!("\n[your model can't see images; the image is file {number}]"));
    }
}

/// The change that stores a file. Blocking.
fn change(ws: &Ws, root: &Path, path: String, data: Vec<u8>) -> Planned {
    if let Some(leak) = leaks::in_file(&ws.app.redactor, &data) {
        return Err(leak.why.to_owned());
    }
    match folder::open(root).and_then(|files| folder::hash(&files, &path)) {
        Ok(before) => Ok(FileChange { path, before, content: Some(data), executable: false }),
        Err(error) => {
            tracing::warn!(?error, "a file of a tool's result was not stored");
            Err(UNWRITABLE.to_owned())
        }
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
    use tool::{ChildCx, Picture, ResultFile, ToolOutput};

    use super::{picture_as_file, start};

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

    #[test]
    fn a_picture_that_is_not_seen_becomes_the_last_file() {
        let file = |media_type: &str, data: &[u8]| ResultFile {
            media_type: media_type.to_owned(),
            data: data.to_vec(),
        };
        let mut output = ToolOutput::text("[image]");
        output.files.push(file("audio/wav", b"a"));
        output.picture = Some(Picture { media_type: "image/png".to_owned(), data: b"p".to_vec() });
        picture_as_file(&mut output);
        assert_eq!(output.picture, None);
        assert_eq!(output.files, [file("audio/wav", b"a"), file("image/png", b"p")]);
        assert!(output.text.ends_with("[your model can't see images; the image is file 2]"));
        let before = output.clone();
        picture_as_file(&mut output);
        assert_eq!(output, before);
    }
}
