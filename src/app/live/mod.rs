//! The lossy hub for running text: what a model is writing right now.
//!
//! Nothing here is stored; a page that comes late gets the block so far, and after a crash the call
//! is made again. Changes of records do not pass here: pages hear of them from the store.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use kernel::RunId;

/// How many pieces a slow page may lag behind before it gets the block anew.
const BACKLOG: usize = 1024;

/// What kind of block is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// The answer.
    Text,
    Thinking,
    /// The output of a running command.
    Output,
}

/// A piece of running text.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Piece {
    pub run: RunId,
    /// The step that the block will become.
    pub step: u32,
    pub kind: BlockKind,
    /// Where in the block the piece begins, in bytes.
    pub at: usize,
    pub text: String,
}

#[derive(Clone)]
struct Block {
    step: u32,
    kind: BlockKind,
    text: String,
}

/// The hub of one workspace.
pub struct Hub {
    pieces: broadcast::Sender<Arc<Piece>>,
    blocks: Mutex<HashMap<RunId, Block>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { pieces: broadcast::Sender::new(BACKLOG), blocks: Mutex::default() }
    }
}

impl Hub {
    /// Adds text to the block of a run; another step or kind begins a new one.
    pub fn push(&self, run: RunId, step: u32, kind: BlockKind, text: &str) {
        let at = {
            let mut blocks = self.blocks.lock();
            let block =
                blocks.entry(run).or_insert_with(|| Block { step, kind, text: String::new() });
            if block.step != step || block.kind != kind {
                *block = Block { step, kind, text: String::new() };
            }
            let at = block.text.len();
            block.text.push_str(text);
            at
        };
        // ok: nobody watches.
        let _ = self.pieces.send(Arc::new(Piece { run, step, kind, at, text: text.to_owned() }));
    }

    /// The block is complete or given up: its record says more from here on.
    pub fn finish(&self, run: RunId) {
        self.blocks.lock().remove(&run);
    }

    /// The block that a run is writing, whole.
    #[must_use]
    pub fn block(&self, run: RunId) -> Option<Piece> {
        let blocks = self.blocks.lock();
        let Block { step, kind, text } = blocks.get(&run)?.clone();
        Some(Piece { run, step, kind, at: 0, text })
    }

    /// All blocks that are being written.
    #[must_use]
    pub fn blocks(&self) -> Vec<Piece> {
        let blocks = self.blocks.lock();
        blocks
            .iter()
            .map(|(run, b)| Piece {
                run: *run,
                step: b.step,
                kind: b.kind,
                at: 0,
                text: b.text.clone(),
            })
            .collect()
    }

    /// Pieces as they come.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Piece>> {
        self.pieces.subscribe()
    }
}
