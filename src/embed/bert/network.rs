//! Forward pass of BERT (Devlin and others 2018, <https://arxiv.org/abs/1810.04805>): tokens to states.
//!
//! The texts of a pack are concatenated without padding. All products except attention cover the tokens of the whole
//! pack; attention is computed per text, so no mask is needed and a text's states do not depend on the pack. `candle`
//! computes the products; everything else works in place on their results.

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Storage, Tensor};

use super::ops::{self, Norm};
use super::weights::{Wanted, Weights};
use crate::problem::Refused;
use crate::shape::Shape;

type Computed<T> = candle_core::Result<T>;

/// Weight matrix and bias.
struct Dense {
    /// Input dimension by output dimension.
    matrix: Tensor,
    bias: Vec<f32>,
}

struct Layer {
    /// Queries, keys and values in one product; queries are scaled by the inverse root of the head width.
    ask: Dense,
    mix: Dense,
    mix_norm: Norm,
    up: Dense,
    down: Dense,
    down_norm: Norm,
}

pub struct Network {
    words: Vec<f32>,
    /// Position embeddings, with the embedding of the first token type added.
    places: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    shape: Shape,
}

/// The tensors that a network of this shape needs.
pub fn wanted(shape: &Shape) -> Vec<Wanted> {
    let (width, inner) = (shape.width, shape.inner);
    let mut all = vec![
        Wanted {
            name: format!("{EMBEDDINGS}.word_embeddings.weight"),
            shape: vec![shape.vocabulary, width],
        },
        Wanted {
            name: format!("{EMBEDDINGS}.position_embeddings.weight"),
            shape: vec![shape.positions, width],
        },
        Wanted {
            name: format!("{EMBEDDINGS}.token_type_embeddings.weight"),
            shape: vec![shape.types, width],
        },
    ];
    let mut pair = |name: String, shape: Vec<usize>| {
        all.push(Wanted { name: format!("{name}.bias"), shape: vec![shape[0]] });
        all.push(Wanted { name: format!("{name}.weight"), shape });
    };
    pair(format!("{EMBEDDINGS}.LayerNorm"), vec![width]);
    for layer in 0..shape.layers {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        for part in ASKED {
            pair(name(part), vec![width, width]);
        }
        pair(name("attention.output.dense"), vec![width, width]);
        pair(name("attention.output.LayerNorm"), vec![width]);
        pair(name("intermediate.dense"), vec![inner, width]);
        pair(name("output.dense"), vec![width, inner]);
        pair(name("output.LayerNorm"), vec![width]);
    }
    all
}

const EMBEDDINGS: &str = "embeddings";
const ASKED: [&str; 3] = ["attention.self.query", "attention.self.key", "attention.self.value"];

impl Network {
    /// Builds a network.
    ///
    /// # Errors
    /// If one of the [`wanted`] tensors is missing.
    pub fn new(weights: &mut Weights, shape: Shape) -> Result<Self, Refused> {
        let words = weights.take(&format!("{EMBEDDINGS}.word_embeddings.weight"))?;
        let mut places = weights.take(&format!("{EMBEDDINGS}.position_embeddings.weight"))?;
        let kinds = weights.take(&format!("{EMBEDDINGS}.token_type_embeddings.weight"))?;
        ops::add_bias(&mut places, &kinds[..shape.width]);
        let mut parts = Parts { weights, shape };
        let norm = parts.norm(EMBEDDINGS)?;
        let layers = (0..shape.layers)
            .map(|layer| parts.layer(&format!("encoder.layer.{layer}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { words, places, norm, layers, shape })
    }

    /// States of all tokens after the last layer, text by text, `width` numbers each. Each text has at least one token,
    /// at most as many as there are positions, and known tokens only.
    pub fn states(&self, pack: &[&[u32]]) -> Computed<Vec<f32>> {
        let width = self.shape.width;
        let mut rows =
            Vec::with_capacity(pack.iter().map(|text| text.len()).sum::<usize>() * width);
        for text in pack {
            for (token, place) in text.iter().zip(self.places.chunks_exact(width)) {
                let word = &self.words[*token as usize * width..][..width];
                rows.extend(word.iter().zip(place).map(|(word, place)| word + place));
            }
        }
        ops::norm(&mut rows, &self.norm);
        let mut states = tensor(rows, width)?;
        for layer in &self.layers {
            let mixed = layer.mix.product(&self.attend(layer, &states, pack)?)?;
            join(&mixed, &states, &layer.mix.bias, &layer.mix_norm)?;
            let inner = layer.up.product(&mixed)?;
            change(&inner, |rows| ops::bend(rows, &layer.up.bias))?;
            let next = layer.down.product(&inner)?;
            join(&next, &mixed, &layer.down.bias, &layer.down_norm)?;
            states = next;
        }
        read_numbers(&states, <[f32]>::to_vec)
    }

    /// Self-attention within each text.
    fn attend(&self, layer: &Layer, states: &Tensor, pack: &[&[u32]]) -> Computed<Tensor> {
        let (width, heads) = (self.shape.width, self.shape.heads);
        let part = width / heads;
        let queries = layer.ask.product(states)?;
        change(&queries, |rows| ops::add_bias(rows, &layer.ask.bias))?;
        let mut taken = vec![0.0; states.elem_count()];
        let mut from = 0;
        for text in pack {
            let count = text.len();
            // The products accept strided rows, so nothing is copied to bring the heads first.
            let own = queries.narrow(0, from, count)?.reshape((count, 3, heads, part))?;
            let of = |at: usize| own.narrow(1, at, 1)?.squeeze(1)?.transpose(0, 1);
            let weights = of(0)?.matmul(&of(1)?.t()?)?;
            change(&weights, |rows| ops::softmax(rows, count))?;
            let mixed = weights.matmul(&of(2)?)?;
            read_numbers(&mixed, |mixed| {
                let taken = &mut taken[from * width..][..count * width];
                for (head, rows) in mixed.chunks_exact(count * part).enumerate() {
                    for (row, to) in rows.chunks_exact(part).zip(taken.chunks_exact_mut(width)) {
                        to[head * part..][..part].copy_from_slice(row);
                    }
                }
            })?;
            from += count;
        }
        tensor(taken, width)
    }
}

/// Builds the layers from the tensors.
struct Parts<'a> {
    weights: &'a mut Weights,
    shape: Shape,
}

impl Parts<'_> {
    fn layer(&mut self, name: &str) -> Result<Layer, Refused> {
        let (width, inner) = (self.shape.width, self.shape.inner);
        let part = |of: &str| format!("{name}.{of}");
        Ok(Layer {
            ask: self.ask(name)?,
            mix: self.dense(&part("attention.output.dense"), width)?,
            mix_norm: self.norm(&part("attention.output"))?,
            up: self.dense(&part("intermediate.dense"), width)?,
            down: self.dense(&part("output.dense"), inner)?,
            down_norm: self.norm(&part("output"))?,
        })
    }

    fn ask(&mut self, name: &str) -> Result<Dense, Refused> {
        let width = self.shape.width;
        let (mut matrix, mut bias) = (Vec::with_capacity(3 * width * width), Vec::new());
        for part in ASKED {
            matrix.extend(self.weights.take(&format!("{name}.{part}.weight"))?);
            bias.extend(self.weights.take(&format!("{name}.{part}.bias"))?);
        }
        // The queries are the first rows.
        let scale = 1.0 / ((width / self.shape.heads) as f32).sqrt();
        matrix[..width * width].iter_mut().for_each(|value| *value *= scale);
        bias[..width].iter_mut().for_each(|value| *value *= scale);
        Dense::new(matrix, width, bias)
    }

    fn dense(&mut self, name: &str, width: usize) -> Result<Dense, Refused> {
        let matrix = self.weights.take(&format!("{name}.weight"))?;
        Dense::new(matrix, width, self.weights.take(&format!("{name}.bias"))?)
    }

    fn norm(&mut self, name: &str) -> Result<Norm, Refused> {
        Ok(Norm {
            scale: self.weights.take(&format!("{name}.LayerNorm.weight"))?,
            shift: self.weights.take(&format!("{name}.LayerNorm.bias"))?,
            epsilon: self.shape.norm_epsilon as f32,
        })
    }
}

impl Dense {
    /// From a matrix in file layout: one row per output.
    fn new(rows: Vec<f32>, width: usize, bias: Vec<f32>) -> Result<Self, Refused> {
        let matrix = tensor(rows, width)
            .and_then(|matrix| matrix.t())
            .map_err(|error| Refused::Weights { reason: error.to_string() })?;
        Ok(Self { matrix, bias })
    }

    fn product(&self, rows: &Tensor) -> Computed<Tensor> {
        rows.matmul(&self.matrix)
    }
}

/// Adds bias and another state to the rows, then normalizes them.
fn join(rows: &Tensor, other: &Tensor, bias: &[f32], norm: &Norm) -> Computed<()> {
    read_numbers(other, |other| change(rows, |rows| ops::add_and_norm(rows, bias, other, norm)))?
}

fn tensor(numbers: Vec<f32>, width: usize) -> Computed<Tensor> {
    let rows = numbers.len() / width;
    Tensor::from_vec(numbers, (rows, width), &Device::Cpu)
}

/// Reads the contiguous numbers of a tensor.
fn read_numbers<T>(tensor: &Tensor, of: impl FnOnce(&[f32]) -> T) -> Computed<T> {
    let (storage, _) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(numbers) => Ok(of(numbers.as_slice()?)),
        _ => candle_core::bail!("the numbers lie on another device"),
    }
}

/// Changes the numbers of a tensor in place.
fn change(tensor: &Tensor, by: impl Fn(&mut [f32])) -> Computed<()> {
    tensor.inplace_op1(&InPlace(by))
}

struct InPlace<F>(F);

impl<F: Fn(&mut [f32])> InplaceOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        "in place"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Computed<()> {
        match storage {
            CpuStorage::F32(numbers) => {
                (self.0)(numbers);
                Ok(())
            }
            _ => candle_core::bail!("the numbers are of another type"),
        }
    }
}
