//! Writes facts that a summary marks as worth keeping to the daily note, before their source leaves the conversation.

use jiff::tz::TimeZone;

use crate::EngineError;
use crate::journal::blocking;
use crate::turn::Turn;
use features::agents::memory;
use features::runs::model::{EventKind, Session};
use features::runs::queries::talk;
use features::trust::senders;
use features::workspace::queries as workspace;
use git::{File, GitError, files::AgentFiles};
use store::{ReadExt, StoreError};

impl Turn {
    /// Writes lines to the daily note. Throw-away conversations, guests, rooms and sub-agents, which write only in their
    /// own folder, leave none. A failed write does not prevent compaction.
    pub(super) async fn remember(
        &mut self,
        lines: Vec<String>,
    ) -> Result<Option<EventKind>, EngineError> {
        let ws = self.talk.journal.ws.clone();
        let run = self.talk.journal.run;
        let (session, zone, sender) = ws.read(|snap| {
            let zone = workspace::settings(snap)?.and_then(|s| TimeZone::get(&s.zone).ok());
            let sender = senders::of_run(snap, run)?;
            Ok::<_, StoreError>((snap.get::<Session>(self.setting.session)?, zone, sender))
        })?;
        let lasts = session.is_some_and(|session| !talk::is_throw_away(&session.key))
            && sender.is_none_or(|sender| sender.is_private() && sender.may_write());
        if lines.is_empty() || !lasts || self.setting.child.is_some() {
            return Ok(None);
        }
        let today = ws.app.clock.now().to_zoned(zone.unwrap_or(TimeZone::UTC)).date();
        let (path, folder) = (memory::note_of(today), ws.agent_folder(&self.setting.agent.slug));
        let _turn = ws.paths.hold(&folder.join(&path)).await;
        let (note, kept) = (path.clone(), lines.clone());
        let written = blocking(move || -> Result<bool, GitError> {
            let files = AgentFiles::open(&folder)?;
            let old = match files.read_up_to(&note, memory::MAX_FILE)? {
                // Do not write a note that cannot be read whole.
                Some(part) if memory::MAX_FILE < part.total => return Ok(false),
                Some(part) => String::from_utf8_lossy(&part.bytes).into_owned(),
                None => String::new(),
            };
            let lines: Vec<&str> = kept.iter().map(String::as_str).collect();
            let Some(new) = memory::with_lines(&old, &lines) else { return Ok(false) };
            files.write(&File { path: note, bytes: new.into_bytes(), executable: false })?;
            Ok(true)
        })
        .await?;
        match written {
            Ok(true) => Ok(Some(EventKind::Remembered { path, lines })),
            Ok(false) => {
                // The lines may come from this run before a crash: commit the file.
                self.talk.journal.paths.insert(path);
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(run.id = %self.talk.journal.run, %error, "a note was not written");
                Ok(None)
            }
        }
    }
}
