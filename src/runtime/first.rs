//! What is written when a run begins or goes on.

use features::inbox::model::Item;
use features::runs::model::{Body, EventKind, PromptPart};
use features::runs::rules::{self, Pen};
use kernel::{Actor, Part, RunId};
use providers::bound::Size;
use store::WriteTx;

use super::chosen::Chosen;
use super::turn::Turn;
use super::{EngineError, card, prompt};

/// What is written when a run begins or goes on.
struct FirstEvents {
    /// Its card is written, unless it stands in what a run that begins again shares.
    item: Option<Item>,
    again: Option<String>,
    chosen: Chosen,
    request_bytes: u32,
    /// What the model is told first of all.
    parts: Vec<PromptPart>,
}

impl FirstEvents {
    fn write(self, tx: &mut WriteTx<'_>, run: RunId) -> Result<Pen, EngineError> {
        let Chosen { connection, model, source, thinking, thinking_source, .. } = self.chosen;
        let mut pen = rules::begin(tx, run)?;
        (pen.run.connection, pen.run.model_source) = (connection, source);
        (pen.run.model, pen.run.thinking) = (model.clone(), thinking);
        pen.run.thinking_source = Some(thinking_source);
        let attempt = pen.run.attempt;
        pen.append(
            tx,
            EventKind::RunStarted { attempt, model, thinking, request_bytes: self.request_bytes },
        )?;
        if let Some(text) = self.again {
            pen.append(tx, EventKind::Notice { text })?;
        }
        if let Some(item) = self.item {
            let text = Body::Inline(card::write(tx, &item)?);
            let by = Actor::System(Part::Engine);
            pen.append(tx, EventKind::Input { input: None, text, by, steered: false })?;
        }
        if attempt < 2 && !self.parts.is_empty() {
            pen.append(tx, EventKind::Prompted { parts: self.parts })?;
        }
        Ok(pen)
    }
}

/// What opens the pen of a run in a transaction: by its first events as long as they are not written.
pub(super) struct Opening {
    first: Option<FirstEvents>,
    run: RunId,
    epoch: u64,
    /// How long the run has worked, in milliseconds.
    worked: i64,
}

impl Opening {
    pub(super) fn pen(self, tx: &mut WriteTx<'_>) -> Result<Pen, EngineError> {
        let pen = match self.first {
            Some(first) => first.write(tx, self.run)?,
            None => Pen::open(tx, self.run, self.epoch)?,
        };
        Ok(pen.measured(self.worked))
    }
}

impl Turn {
    /// What the next transaction of this run begins with; `size` is that of its request.
    pub(super) fn opening(&mut self, size: Size) -> Opening {
        let (first, worked) = (self.first_events(size), self.talk.journal.works());
        Opening { first, run: self.talk.journal.run, epoch: self.talk.journal.epoch, worked }
    }

    /// What is written when the run begins or goes on.
    fn first_events(&self, size: Size) -> Option<FirstEvents> {
        (!self.talk.begun).then(|| FirstEvents {
            item: self
                .setting
                .item
                .clone()
                .filter(|_| self.setting.run.attempt == 0 && self.setting.again.is_none()),
            again: self
                .setting
                .again
                .clone()
                .filter(|note| self.setting.run.attempt == 0 && !note.is_empty()),
            chosen: Chosen {
                connection: self.chooser.home.connection,
                model: self.chooser.home.model.clone(),
                ..self.chooser.chosen.clone()
            },
            request_bytes: u32::try_from(size.bytes).unwrap_or(u32::MAX),
            parts: prompt::parts(&self.talk.request),
        })
    }
}
