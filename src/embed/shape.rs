//! Shape of a network, from its `config.json`.

use serde::Deserialize;

use super::problem::Refused;

/// Dimensions of a BERT.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Number of tokens.
    pub vocabulary: usize,
    /// Numbers per token state, and per vector.
    pub width: usize,
    pub layers: usize,
    /// Attention heads per layer.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub inner: usize,
    /// Longest text, in tokens.
    pub positions: usize,
    /// Token types; only the first is used.
    pub types: usize,
    /// Epsilon of the layer norms.
    pub norm_epsilon: f64,
}

/// `config.json` as written by `BertConfig` of the Python package `transformers`, with its defaults.
#[derive(Deserialize)]
struct Config {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    #[serde(default = "positions")]
    max_position_embeddings: usize,
    #[serde(default = "types")]
    type_vocab_size: usize,
    #[serde(default = "epsilon")]
    layer_norm_eps: f64,
    #[serde(default = "activation")]
    hidden_act: String,
    #[serde(default = "position_kind")]
    position_embedding_type: String,
}

fn positions() -> usize {
    512
}

fn types() -> usize {
    2
}

fn epsilon() -> f64 {
    1e-12
}

fn activation() -> String {
    "gelu".to_owned()
}

fn position_kind() -> String {
    "absolute".to_owned()
}

impl Shape {
    /// Parses a `config.json`.
    ///
    /// # Errors
    /// If the network is not supported.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Refused> {
        let config: Config = serde_json::from_slice(json)
            .map_err(|error| Refused::Config { reason: format!("it cannot be read: {error}") })?;
        for (what, found, wanted) in [
            ("model_type", &config.model_type, "bert"),
            ("hidden_act", &config.hidden_act, "gelu"),
            ("position_embedding_type", &config.position_embedding_type, "absolute"),
        ] {
            if found != wanted {
                let reason = format!("{what} is {found:?}; only {wanted:?} can be computed here");
                return Err(Refused::Config { reason });
            }
        }
        // Far above every sentence model, and small enough that products of two do not overflow.
        for (what, found, most) in [
            ("vocab_size", config.vocab_size, 2_000_000),
            ("hidden_size", config.hidden_size, 4096),
            ("num_hidden_layers", config.num_hidden_layers, 64),
            ("num_attention_heads", config.num_attention_heads, 256),
            ("intermediate_size", config.intermediate_size, 32_768),
            ("max_position_embeddings", config.max_position_embeddings, 8192),
            ("type_vocab_size", config.type_vocab_size, 64),
        ] {
            if found == 0 || most < found {
                let reason = format!("{what} is {found}; it must be from 1 to {most}");
                return Err(Refused::Config { reason });
            }
        }
        if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            let (width, heads) = (config.hidden_size, config.num_attention_heads);
            let reason = format!("hidden_size {width} cannot be split among {heads} heads");
            return Err(Refused::Config { reason });
        }
        if !(0.0..=0.1).contains(&config.layer_norm_eps) {
            let reason = format!("layer_norm_eps is {}", config.layer_norm_eps);
            return Err(Refused::Config { reason });
        }
        Ok(Self {
            vocabulary: config.vocab_size,
            width: config.hidden_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            inner: config.intermediate_size,
            positions: config.max_position_embeddings,
            types: config.type_vocab_size,
            norm_epsilon: config.layer_norm_eps,
        })
    }
}
