//! Semantic search: text embeddings computed in this process, and vector files with nearest-neighbour search.
//!
//! A model consists of three files in a folder. This package never downloads one and uses only files with confirmed
//! hashes. Texts pass a tokenizer and a BERT on threads of this package; `candle-core` computes the matrix products.
//! There is no `unsafe` code. Without a valid model, HQ works without semantic search.
//!
//! Vectors are derived data: a lost or outdated [`Arena`] is rebuilt from the texts.

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

/// Computes text embeddings: vectors of length one, whose scalar product is their similarity. Calls block for
/// milliseconds to minutes.
pub trait Embedder: Send + Sync {
    /// Vectors are bound to this id.
    fn id(&self) -> &str;

    /// Length of a vector.
    fn dimensions(&self) -> usize;

    /// Score below which a passage is unrelated to a query.
    fn floor(&self) -> f32;

    /// Limit of tokens per text, including prefix and special tokens.
    fn max_tokens(&self) -> usize;

    /// Number of tokens of the whole text, without prefix and special tokens.
    fn tokens(&self, text: &str) -> usize;

    /// Vectors of passages, in order. A text's vector does not depend on the others.
    ///
    /// # Errors
    /// If one of the texts cannot be embedded.
    fn passages(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// Vector of a query. Does not wait for passages.
    ///
    /// # Errors
    /// If the text cannot be embedded.
    fn query(&self, text: &str) -> Result<Vec<f32>, EmbedError>;
}

/// Loads the model of a folder. Its files must be those of `model`, byte for byte: one of [`MODELS`], or one that a
/// person has [confirmed](Folder::confirmed). Passages are computed on `threads` threads, at least one.
///
/// # Errors
/// If a file is missing, different, damaged or unsupported; always without the feature `embed`.
#[cfg(feature = "embed")]
pub fn load(folder: &Path, model: &Model, threads: usize) -> Result<Arc<dyn Embedder>, Refused> {
    Ok(Arc::new(bert::Bert::load(folder, model, threads)?))
}

/// This build loads no models.
///
/// # Errors
/// Always.
#[cfg(not(feature = "embed"))]
pub fn load(_: &Path, _: &Model, _: usize) -> Result<Arc<dyn Embedder>, Refused> {
    Err(Refused::Unavailable)
}

#[cfg(test)]
mod tests;
