//! Nested attempts inside a transaction: a layer of changes that is merged, or dropped together with its events.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::{StoreError, panic_text};
use super::layer::Layer;
use super::tx::WriteTx;

/// The state to return to when an attempt fails.
#[derive(Clone, Copy)]
struct Mark {
    layers: usize,
    events: usize,
    depth: u8,
}

impl WriteTx<'_> {
    /// A nested transaction: on an error its changes and events are dropped, and the outer transaction continues.
    ///
    /// # Errors
    /// The error of the body, or of a reaction to its events.
    pub fn attempt<T, E: From<StoreError>>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let mark = self.begin();
        let result = body(self);
        let ended = self.end(mark, result.is_ok());
        result.and_then(|value| ended.map(|()| value).map_err(E::from))
    }

    /// Opens a layer for changes that may be dropped.
    fn begin(&mut self) -> Mark {
        self.layers.push(Layer::default());
        Mark { layers: self.layers.len() - 1, events: self.events.len(), depth: self.depth }
    }

    /// Handles the events since the mark and merges the layer. Drops both if `keep` is `false` or a reaction fails.
    fn end(&mut self, mark: Mark, keep: bool) -> Result<(), StoreError> {
        let done =
            if keep { self.react(mark.events).and_then(|()| self.check_size()) } else { Ok(()) };
        self.depth = mark.depth;
        let top = self.layers.pop().unwrap_or_default();
        if keep && done.is_ok() {
            let at = self.layers.len() - 1;
            self.layers[at].merge(top);
        } else {
            self.events.truncate(mark.events);
        }
        done
    }

    /// Drops all layers and events since the mark, after a panic.
    fn drop_to(&mut self, mark: Mark) {
        self.layers.truncate(mark.layers);
        self.events.truncate(mark.events);
        self.depth = mark.depth;
    }

    /// Keeps all changes of the body, or none if it fails. Unlike an attempt this handles no events.
    pub(super) fn all_or_nothing(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.layers.push(Layer::default());
        let result = body(self);
        let top = self.layers.pop().unwrap_or_default();
        if result.is_ok() {
            let at = self.layers.len() - 1;
            self.layers[at].merge(top);
        }
        result
    }

    /// An attempt in which a panic of the body counts as an error.
    pub(super) fn attempt_caught<T, E: From<StoreError>>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let mark = Mark { layers: self.layers.len(), events: self.events.len(), depth: self.depth };
        catch_unwind(AssertUnwindSafe(|| self.attempt(body))).unwrap_or_else(|panic| {
            self.drop_to(mark);
            Err(StoreError::Panicked(panic_text(&*panic)).into())
        })
    }
}
