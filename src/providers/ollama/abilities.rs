//! Parses `/api/show`: context window, abilities, and memory per token of conversation.

use serde_json::Value;

use crate::model::Abilities;

/// Memory for one conversation on the server, unless a person sets a window, in bytes.
const MEMORY: u64 = 4 * 1024 * 1024 * 1024;
/// Default window if the server does not report the memory per token.
const USUAL: u32 = 32_768;
/// Minimum window: nothing useful would fit into a smaller one.
const LEAST: u32 = 4_096;

/// A server's description of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The model's native window.
    pub context: Option<u32>,
    /// Memory per token of conversation, in bytes.
    pub token_bytes: Option<u64>,
    pub can: Abilities,
    /// Whether thinking has levels instead of a switch.
    pub levels: bool,
}

impl Shown {
    /// The window to request: the least of the model's own, what fits into memory, and a person's setting. A person's
    /// setting replaces the memory estimate.
    pub(super) fn window(&self, set: Option<u32>) -> u32 {
        let fits = self
            .token_bytes
            .map_or(USUAL, |bytes| u32::try_from(MEMORY / bytes.max(1)).unwrap_or(u32::MAX));
        let wanted = set.unwrap_or(fits.max(LEAST));
        self.context.map_or(wanted, |most| wanted.min(most))
    }
}

/// Parses the server's response. Missing data is unknown.
pub(super) fn read(answer: &Value) -> Shown {
    let words = answer.get("capabilities").and_then(Value::as_array);
    let has = |word: &str| words.map(|all| all.iter().any(|w| w == word));
    let info = answer.get("model_info").and_then(Value::as_object);
    let family = info.and_then(|i| i.get("general.architecture")?.as_str()).unwrap_or("");
    let number = |name: &str| {
        info?.iter().find(|(key, _)| key.ends_with(name)).and_then(|(_, value)| value.as_u64())
    };
    let heads = number(".attention.head_count");
    let kv_heads = number(".attention.head_count_kv").or(heads);
    let width = number(".attention.key_length").zip(number(".attention.value_length"));
    let width = width.map(|(key, value)| key + value).or_else(|| {
        // Without an explicit size, a head has its share of the embedding width, for keys and for values.
        Some(2 * number(".embedding_length")? / heads?.max(1))
    });
    let token_bytes =
        number(".block_count").zip(kv_heads).zip(width).map(|((layers, heads), width)| {
            // Two bytes per number.
            layers.saturating_mul(heads).saturating_mul(width).saturating_mul(2)
        });
    Shown {
        context: number(".context_length").and_then(|n| u32::try_from(n).ok()),
        token_bytes: token_bytes.filter(|bytes| 0 < *bytes),
        can: Abilities { tools: has("tools"), vision: has("vision"), thinking: has("thinking") },
        levels: family.starts_with("gptoss") || family.starts_with("gpt-oss"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_window_is_what_the_model_the_memory_and_the_person_allow() {
        let shown = read(&json!({
            "capabilities": ["completion", "tools"],
            "model_info": {
                "general.architecture": "llama", "llama.context_length": 131_072, "llama.block_count": 32,
                "llama.attention.head_count": 32, "llama.attention.head_count_kv": 8,
                "llama.embedding_length": 4_096,
            },
        }));
        assert_eq!(shown.token_bytes, Some(32 * 8 * 256 * 2));
        assert_eq!(shown.window(None), 32_768);
        assert_eq!(shown.window(Some(65_536)), 65_536);
        assert_eq!(shown.window(Some(1_000_000)), 131_072);
        let can = Abilities { tools: Some(true), vision: Some(false), thinking: Some(false) };
        assert_eq!((shown.can, shown.levels), (can, false));
        let small = Shown { context: Some(2_048), ..Shown::default() };
        assert_eq!(small.window(None), 2_048);
        assert_eq!(Shown::default().window(None), 32_768);
        let wide = Shown { token_bytes: Some(u64::MAX), ..Shown::default() };
        assert_eq!(wide.window(None), LEAST);
    }

    #[test]
    fn a_server_that_says_nothing_says_nothing() {
        assert_eq!(read(&json!({})), Shown::default());
        assert_eq!(read(&json!({"model_info": {"x.context_length": "long"}})), Shown::default());
        let oss = read(
            &json!({"capabilities": ["thinking"], "model_info": {"general.architecture": "gptoss"}}),
        );
        assert!(oss.levels && oss.can.thinking == Some(true));
    }
}
