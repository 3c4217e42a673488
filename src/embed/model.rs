//! Models as data: where their files come from, what these must be, how text goes in and vectors come out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::shape::Shape;

/// A SHA-256.
pub type Hash = [u8; 32];

/// How one vector is made of those of all tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// That of the first token, which stands for the whole text (`[CLS]`).
    First,
    Mean,
}

/// The names of a model's files, in the order of [`Model::files`].
pub const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// What one file of a model must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelFile {
    /// Its name in the repository and in the folder.
    pub name: &'static str,
    /// The most bytes it may have: a download stops there.
    pub limit: u64,
    /// What it hashes to. The configuration of a model listed here has none: each value in it that matters is
    /// compared with [`Model::shape`].
    pub sha256: Option<Hash>,
}

/// A model. Its vectors depend on each field but the name, so a change of one needs another `id`.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What an arena of its vectors is bound to.
    pub id: Cow<'static, str>,
    pub name: Cow<'static, str>,
    /// Its repository at Hugging Face, where it has one.
    pub repository: Option<&'static str>,
    /// The commit of the repository.
    pub revision: Option<&'static str>,
    /// Its files, in the order of [`FILES`].
    pub files: [ModelFile; 3],
    /// The sizes of the network.
    pub shape: Shape,
    /// The most tokens of one text, with the two that frame it; what is beyond is not read.
    pub max_tokens: usize,
    /// How one vector is made of many.
    pub pooling: Pooling,
    /// What stands before a question.
    pub query_prefix: Cow<'static, str>,
    /// What stands before a passage.
    pub passage_prefix: Cow<'static, str>,
}

impl Model {
    /// About how many megabytes its files have, before they are here.
    #[must_use]
    pub fn megabytes(&self) -> usize {
        let Shape { vocabulary, width, layers, inner, positions, .. } = self.shape;
        let layer = 4 * width * width + 2 * width * inner;
        // Four bytes a weight; the rest is small beside these.
        (4 * (width * (vocabulary + positions) + layers * layer)).div_ceil(1_000_000)
    }

    /// The product with a question below which a passage is about something else. Models that take the first token,
    /// like bge, put all texts near to each other; the mean of all tokens spreads them out.
    #[must_use]
    pub fn floor(&self) -> f32 {
        match self.pooling {
            Pooling::First => 0.5,
            Pooling::Mean => 0.25,
        }
    }

    /// How many numbers a vector has.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.shape.width
    }
}

const MIB: u64 = 1 << 20;
/// The most bytes of `config.json`, of `tokenizer.json` and of the weights.
pub(crate) const LIMITS: [u64; 3] = [MIB, 64 * MIB, 4096 * MIB];

/// The sizes that the small models in English share.
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

/// The models that HQ knows; the first is the default.
///
/// Sources: the model cards and files of the repositories at the commits named here. bge asks for a prefix before
/// questions and takes the first token; MiniLM was trained on at most 256 tokens and takes the mean.
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

/// A hash as people write it: 64 digits. Other signs do not compile.
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
