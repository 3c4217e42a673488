//! Descriptions of models: files, hashes, shape, prefixes and pooling.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::shape::Shape;

pub type Hash = [u8; 32];

/// How the states of all tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// State of the first token (`[CLS]`).
    First,
    Mean,
}

/// File names of a model, in the order of [`Model::files`].
pub const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// A file of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelFile {
    /// Name in the repository and in the folder.
    pub name: &'static str,
    /// Largest size in bytes; a download stops there.
    pub limit: u64,
    /// SHA-256. Built-in models have none for the configuration: each relevant value in it is compared with
    /// [`Model::shape`].
    pub sha256: Option<Hash>,
}

/// A model. Its vectors depend on every field except the name, so a change of one needs another `id`.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Vector files are bound to this id.
    pub id: Cow<'static, str>,
    pub name: Cow<'static, str>,
    /// Hugging Face repository, if it has one.
    pub repository: Option<&'static str>,
    /// Commit of the repository.
    pub revision: Option<&'static str>,
    /// In the order of [`FILES`].
    pub files: [ModelFile; 3],
    pub shape: Shape,
    /// Limit of tokens per text, including the two special ones; the rest is ignored.
    pub max_tokens: usize,
    pub pooling: Pooling,
    /// Prefix of queries.
    pub query_prefix: Cow<'static, str>,
    pub passage_prefix: Cow<'static, str>,
}

impl Model {
    /// Approximate size of its files in megabytes, computed from the shape.
    #[must_use]
    pub fn megabytes(&self) -> usize {
        let Shape { vocabulary, width, layers, inner, positions, .. } = self.shape;
        let layer = 4 * width * width + 2 * width * inner;
        // Four bytes per weight; the rest is negligible.
        (4 * (width * (vocabulary + positions) + layers * layer)).div_ceil(1_000_000)
    }

    /// Score below which a passage is unrelated to a query. Models with `First` pooling, such as bge, have high scores
    /// for all texts; mean pooling spreads them.
    #[must_use]
    pub fn floor(&self) -> f32 {
        match self.pooling {
            Pooling::First => 0.5,
            Pooling::Mean => 0.25,
        }
    }

    /// Length of a vector.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.shape.width
    }
}

const MIB: u64 = 1 << 20;
/// Largest sizes of `config.json`, `tokenizer.json` and the weights, in bytes.
pub(crate) const LIMITS: [u64; 3] = [MIB, 64 * MIB, 4096 * MIB];

/// Shape that the small English models share.
const SMALL: Shape = Shape {
    vocabulary: 30_522,
    width: 384,
    layers: 12,
    heads: 12,
    inner: 1536,
    positions: 512,
    types: 2,
    norm_epsilon: 1e-12,
};

/// Built-in models; the first one is the default.
///
/// Sources: model cards and files of the repositories at these commits. bge needs a prefix for queries and uses the
/// first token; MiniLM was trained with at most 256 tokens and uses the mean.
pub static MODELS: &[Model] = &[
    Model {
        id: Cow::Borrowed("bge-small-en-v1.5@5c38ec7c405e"),
        name: Cow::Borrowed("bge-small-en-v1.5"),
        repository: Some("BAAI/bge-small-en-v1.5"),
        revision: Some("5c38ec7c405ec4b44b94cc5a9bb96e735b38267a"),
        files: [
            ModelFile { name: FILES[0], limit: MIB, sha256: None },
            ModelFile {
                name: FILES[1],
                limit: MIB,
                sha256: Some(hash(
                    b"d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
                )),
            },
            ModelFile {
                name: FILES[2],
                limit: 128 * MIB,
                sha256: Some(hash(
                    b"3c9f31665447c8911517620762200d2245a2518d6e7208acc78cd9db317e21ad",
                )),
            },
        ],
        shape: SMALL,
        max_tokens: 512,
        pooling: Pooling::First,
        query_prefix: Cow::Borrowed("Represent this sentence for searching relevant passages: "),
        passage_prefix: Cow::Borrowed(""),
    },
    Model {
        id: Cow::Borrowed("all-MiniLM-L6-v2@c9745ed1d9f2"),
        name: Cow::Borrowed("all-MiniLM-L6-v2"),
        repository: Some("sentence-transformers/all-MiniLM-L6-v2"),
        revision: Some("c9745ed1d9f207416be6d2e6f8de32d1f16199bf"),
        files: [
            ModelFile { name: FILES[0], limit: MIB, sha256: None },
            ModelFile {
                name: FILES[1],
                limit: MIB,
                sha256: Some(hash(
                    b"be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                )),
            },
            ModelFile {
                name: FILES[2],
                limit: 128 * MIB,
                sha256: Some(hash(
                    b"53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                )),
            },
        ],
        shape: Shape { layers: 6, ..SMALL },
        max_tokens: 256,
        pooling: Pooling::Mean,
        query_prefix: Cow::Borrowed(""),
        passage_prefix: Cow::Borrowed(""),
    },
];

/// Parses 64 hex digits at compile time.
const fn hash(digits: &[u8; 64]) -> Hash {
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        bytes[at] = nibble(digits[2 * at]) << 4 | nibble(digits[2 * at + 1]);
        at += 1;
    }
    bytes
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("invariant: a hash has digits from 0 to f"),
    }
}
