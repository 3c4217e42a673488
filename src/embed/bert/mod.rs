//! In-process embedder: tokenizer, network and thread pools.

mod network;
mod ops;
mod tokens;
mod weights;

use std::path::Path;

use rayon::prelude::{IntoParallelRefIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::folder;
use super::model::{Model, Pooling};
use super::problem::{EmbedError, Refused};
use super::{Embedder, lanes};
use network::Network;
use tokens::Tokens;

/// Tokens per pack. More make no product faster and exceed the caches.
const PACK: usize = 512;

pub struct Bert {
    model: Model,
    tokens: Tokens,
    network: Network,
    /// Computes passages.
    bulk: ThreadPool,
    /// Computes queries, so that none waits behind passages.
    front: ThreadPool,
}

impl Bert {
    /// Loads a model from a folder whose files must be those of `model`.
    pub fn load(folder: &Path, model: &Model, threads: usize) -> Result<Self, Refused> {
        let [config, tokenizer, weights] = &model.files;
        let shape = checked(folder, 0, config.sha256, config.limit)?;
        if super::shape::Shape::parse(&shape)? != model.shape {
            let reason = format!("its sizes are not those of {}", model.name);
            return Err(Refused::Config { reason });
        }
        let json = checked(folder, 1, tokenizer.sha256, tokenizer.limit)?;
        let most = model.max_tokens.min(model.shape.positions);
        let tokens = Tokens::read(&json, model.shape.vocabulary, most)?;
        let file = folder::open(folder, 2, weights.limit)?;
        let length = file.limit();
        let wanted = network::wanted(&model.shape);
        let mut read = weights::read(file, length, &wanted)?;
        same(2, weights.sha256, read.hash)?;
        let network = Network::new(&mut read, model.shape)?;
        Ok(Self {
            model: model.clone(),
            tokens,
            network,
            bulk: pool("embed", threads)?,
            front: pool("embed-query", 1)?,
        })
    }

    /// Vectors of tokenized texts, in order.
    fn vectors(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        // The longest first, to balance the threads.
        order.sort_by_key(|at| std::cmp::Reverse(texts[*at].len()));
        let packs = packs(&order, texts);
        let done: Result<Vec<_>, _> = packs
            .par_iter()
            .map(|pack| {
                let texts: Vec<&[u32]> = pack.iter().map(|at| texts[*at].as_slice()).collect();
                self.pack(&texts)
            })
            .collect();
        let mut vectors = vec![Vec::new(); texts.len()];
        for (at, vector) in packs.iter().copied().flatten().zip(done?.into_iter().flatten()) {
            vectors[*at] = vector;
        }
        Ok(vectors)
    }

    fn pack(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let states = self
            .network
            .states(texts)
            .map_err(|error| EmbedError::Compute { reason: error.to_string() })?;
        let width = self.model.shape.width;
        let mut from = 0;
        texts
            .iter()
            .map(|text| {
                let own = &states[from..][..text.len() * width];
                from += own.len();
                unit(pooled(own, width, self.model.pooling))
            })
            .collect()
    }
}

impl Embedder for Bert {
    fn id(&self) -> &str {
        &self.model.id
    }

    fn dimensions(&self) -> usize {
        self.model.dimensions()
    }

    fn floor(&self) -> f32 {
        self.model.floor()
    }

    fn max_tokens(&self) -> usize {
        self.tokens.most()
    }

    fn tokens(&self, text: &str) -> usize {
        self.tokens.count(text)
    }

    fn passages(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.bulk.install(|| {
            let ids: Result<Vec<_>, _> = texts
                .par_iter()
                .map(|text| self.tokens.ids(&prefixed(&self.model.passage_prefix, text)))
                .collect();
            self.vectors(&ids?)
        })
    }

    fn query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.front.install(|| {
            let ids = self.tokens.ids(&prefixed(&self.model.query_prefix, text))?;
            let mut vectors = self.pack(&[&ids])?;
            Ok(vectors.remove(0))
        })
    }
}

fn prefixed<'a>(prefix: &str, text: &'a str) -> std::borrow::Cow<'a, str> {
    if prefix.is_empty() { text.into() } else { format!("{prefix}{text}").into() }
}

/// Content of a small file, with its hash checked.
fn checked(
    folder: &Path,
    at: usize,
    hash: Option<super::Hash>,
    limit: u64,
) -> Result<Vec<u8>, Refused> {
    use sha2::{Digest, Sha256};
    let bytes = folder::read(folder, at, limit)?;
    same(at, hash, Sha256::digest(&bytes).into())?;
    Ok(bytes)
}

fn same(at: usize, wanted: Option<super::Hash>, found: super::Hash) -> Result<(), Refused> {
    if wanted.is_none_or(|wanted| wanted == found) {
        return Ok(());
    }
    Err(Refused::OtherHash { file: super::FILES[at], found: hex::encode(found) })
}

fn pool(name: &'static str, threads: usize) -> Result<ThreadPool, Refused> {
    ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .thread_name(move |at| format!("{name}-{at}"))
        .build()
        .map_err(|error| Refused::Threads { reason: error.to_string() })
}

/// Splits the texts into packs of about [`PACK`] tokens.
fn packs<'a>(order: &'a [usize], texts: &[Vec<u32>]) -> Vec<&'a [usize]> {
    let mut packs = Vec::new();
    let (mut from, mut tokens) = (0, 0);
    for (at, text) in order.iter().enumerate() {
        let more = texts[*text].len();
        if from < at && PACK < tokens + more {
            packs.push(&order[from..at]);
            (from, tokens) = (at, 0);
        }
        tokens += more;
    }
    if from < order.len() {
        packs.push(&order[from..]);
    }
    packs
}

/// Combines the states of all tokens into one vector.
fn pooled(states: &[f32], width: usize, pooling: Pooling) -> Vec<f32> {
    let mut rows = states.chunks_exact(width);
    let mut vector = rows.next().map(<[f32]>::to_vec).unwrap_or_default();
    if pooling == Pooling::Mean {
        // The sum suffices, since the vector is normalized afterwards.
        for row in rows {
            vector.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }
    vector
}

/// Normalizes to length one.
fn unit(mut vector: Vec<f32>) -> Result<Vec<f32>, EmbedError> {
    let length = lanes::dot(&vector, &vector).sqrt();
    if !length.is_normal() {
        return Err(EmbedError::NotFinite);
    }
    vector.iter_mut().for_each(|value| *value /= length);
    Ok(vector)
}
