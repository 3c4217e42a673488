//! Meaning, in the process: a vector for a text, and a file of vectors to find the nearest in.
//!
//! A model is three files that somebody put into a folder; this package never fetches one and believes no byte that
//! was not confirmed by its hash. What does not fit is refused with a sentence, and HQ runs without. Text goes through
//! a tokenizer and a BERT on threads of this package's own; the numbers of the network are multiplied by
//! `candle-core`, all else is here. No line is `unsafe`.
//!
//! Vectors are derived: an [`Arena`] that is lost or of another model is made anew from the texts.

#[cfg(feature = "embed")]
mod bert;
mod folder;
mod lanes;
mod memory;
mod model;
mod problem;
mod shape;
pub mod shelf;
pub mod vectors;

use std::path::Path;
use std::sync::Arc;

pub use folder::{Folder, Terms, inspect};
pub use memory::batch;
pub use model::{FILES, Hash, MODELS, Model, ModelFile, Pooling};
pub use problem::{EmbedError, Refused};
pub use shape::Shape;
pub use shelf::Shelf;
pub use vectors::Arena;

/// Turns text into vectors of length one; the nearer their product to one, the nearer the meaning. Calls take
/// milliseconds to minutes, so they belong on a thread that may block.
pub trait Embedder: Send + Sync {
    /// What its vectors are bound to: another id, other vectors.
    fn id(&self) -> &str;

    /// How many numbers a vector has.
    fn dimensions(&self) -> usize;

    /// The product with a question below which a passage is about something else.
    fn floor(&self) -> f32;

    /// The most tokens that are read of one text, with those of the prefix and the two that frame it.
    fn max_tokens(&self) -> usize;

    /// How many tokens a text has in full, without prefix and frame.
    fn tokens(&self, text: &str) -> usize;

    /// The vectors of texts that are to be found, in their order. A text has the same vector in any company.
    ///
    /// # Errors
    /// If one of them has none.
    fn passages(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// The vector of a question. It does not wait for passages that are being computed.
    ///
    /// # Errors
    /// If it has none.
    fn query(&self, text: &str) -> Result<Vec<f32>, EmbedError>;
}

/// Loads the model of a folder. Its files must be those of `model`, byte for byte: one of [`MODELS`], or one that a
/// person has [confirmed](Folder::confirmed). Passages are computed on `threads` threads, at least one.
///
/// # Errors
/// If a file is missing, another one, damaged or not fit; and always without the feature `embed`.
#[cfg(feature = "embed")]
pub fn load(folder: &Path, model: &Model, threads: usize) -> Result<Arc<dyn Embedder>, Refused> {
    Ok(Arc::new(bert::Bert::load(folder, model, threads)?))
}

/// Answers that this build loads no model.
///
/// # Errors
/// Always.
#[cfg(not(feature = "embed"))]
pub fn load(_: &Path, _: &Model, _: usize) -> Result<Arc<dyn Embedder>, Refused> {
    Err(Refused::Unavailable)
}

#[cfg(test)]
mod tests;
