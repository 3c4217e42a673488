//! The first events of a started or resumed run.

use providers::bound::Size;

use super::command::{Entry, First};
use super::turn::Turn;
use super::{EngineError, prompt};

impl Turn {
    /// Writes an entry, after starting the run if necessary. `size` is that of its request.
    pub(super) async fn enter<E: Entry>(
        &mut self,
        size: Size,
        entry: E,
    ) -> Result<E::Answer, EngineError> {
        let first = self.first_events(size);
        self.talk.journal.apply_first(first, entry, None).await
    }

    /// The data for starting or resuming the run; `None` if this task has done so.
    fn first_events(&self, size: Size) -> Option<Box<First>> {
        let (home, chosen, run) = (&self.chooser.home, &self.chooser.chosen, &self.setting.run);
        let is_new = run.attempt == 0;
        let retry_note = self.setting.retry_note.clone();
        (!self.talk.begun).then(|| {
            Box::new(First {
                item: self.setting.item.clone().filter(|_| is_new && retry_note.is_none()),
                again: retry_note.filter(|note| is_new && !note.is_empty()),
                connection: home.connection,
                model: home.model.clone(),
                answers: home.model.clone(),
                source: chosen.source,
                thinking: chosen.thinking,
                thinking_source: chosen.thinking_source,
                request_bytes: u32::try_from(size.bytes).unwrap_or(u32::MAX),
                parts: prompt::parts(&self.talk.request),
            })
        })
    }
}
