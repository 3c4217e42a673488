//! Lossy hub for live model output.
//!
//! Nothing is stored. A page that connects late gets the block so far, and after a crash the model call is repeated.
//! Record changes do not pass here: pages get them from the store.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use kernel::RunId;

/// Number of pieces that a slow page may lag behind before it gets the whole block again.
const BACKLOG: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// The answer of the model.
    Text,
    Thinking,
    /// The output of a running command.
    Output,
}

/// A piece of a block.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Piece {
    pub run: RunId,
    /// The step that the finished block will become.
    pub step: u32,
    pub kind: BlockKind,
    /// Offset of the piece in the block, in bytes.
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
    /// Appends text to the block of a run. A new step or kind starts a new block.
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
        // ok: there are no subscribers.
        let _ = self.pieces.send(Arc::new(Piece { run, step, kind, at, text: text.to_owned() }));
    }

    /// Drops the block of a run when it is complete or abandoned. From then on, pages read the record.
    pub fn finish(&self, run: RunId) {
        self.blocks.lock().remove(&run);
    }

    /// The current block of a run so far.
    #[must_use]
    pub fn block(&self, run: RunId) -> Option<Piece> {
        let blocks = self.blocks.lock();
        let Block { step, kind, text } = blocks.get(&run)?.clone();
        Some(Piece { run, step, kind, at: 0, text })
    }

    /// All current blocks so far.
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

    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Piece>> {
        self.pieces.subscribe()
    }
}
