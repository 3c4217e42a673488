//! Model catalogue: windows, limits, prices and features, read from `catalog.json`. A model that is not in it has no
//! known price, which is not the same as being free.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::base::{Base, Server};
use super::model::{ModelInfo, Usage};
use kernel::Thinking;

/// Prices in micro-dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Price {
    /// Uncached input.
    pub input: u64,
    /// Input read from the cache.
    pub cache_read: u64,
    /// Input written to the cache.
    pub cache_write: u64,
    /// Output, including thinking.
    pub output: u64,
}

impl Price {
    /// The cost in micro-dollars, rounded up.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> u64 {
        let hour = usage.cache_write_1h.min(usage.cache_write);
        let parts = [
            (usage.input, self.input),
            (usage.cache_read, self.cache_read),
            (usage.cache_write - hour, self.cache_write),
            (hour, self.hour_write()),
            (usage.output, self.output),
        ];
        let sum: u128 =
            parts.iter().map(|(tokens, price)| u128::from(*tokens) * u128::from(*price)).sum();
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// Price of input cached for an hour: twice the uncached price where five minutes cost 25 % more.
    fn hour_write(&self) -> u64 {
        self.cache_write.max(self.cache_write.saturating_mul(8) / 5)
    }

    /// Price of the most expensive kind of input.
    #[must_use]
    pub fn dearest_input(&self) -> u64 {
        self.input.max(self.cache_write).max(self.cache_read)
    }

    /// `percent` percent of the price, rounded up.
    fn percent(self, percent: u32) -> Self {
        let part = |price: u64| price.saturating_mul(u64::from(percent)).div_ceil(100);
        Self {
            input: part(self.input),
            cache_read: part(self.cache_read),
            cache_write: part(self.cache_write),
            output: part(self.output),
        }
    }

    /// Returns `true` if nothing is ever charged.
    #[must_use]
    pub fn is_free(&self) -> bool {
        *self == Self::default()
    }
}

/// A different price for the whole call above an input threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongPrice {
    /// Applies if the input exceeds this many tokens.
    pub above: u64,
    /// Price of the whole call.
    pub price: Price,
}

/// How a model's thinking is controlled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingKind {
    /// The model does not think.
    #[default]
    None,
    /// By a token budget.
    Budget,
    /// By effort; off by default.
    Adaptive,
    /// By effort; on by default.
    DefaultOn,
    /// By effort; on the lowest level, it thinks only between tool calls.
    BetweenTools,
    /// By effort; cannot be disabled.
    Always,
    /// By a word from a list of efforts.
    Effort,
    /// On or off.
    Switch,
}

/// Whether a model supports tools over Chat Completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatTools {
    /// Always.
    #[default]
    Any,
    /// Only without thinking.
    WithoutThinking,
    /// Never; the vendor requires another protocol.
    Never,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Id without a date.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Vendor; empty if unknown.
    pub vendor: String,
    /// Context window in tokens.
    pub window: u32,
    /// Maximum number of output tokens per call.
    pub max_output: u32,
    /// List price, if known.
    #[serde(default)]
    pub price: Option<Price>,
    /// List price of long calls, if different.
    #[serde(default)]
    pub long: Option<LongPrice>,
    /// How thinking is controlled.
    pub thinking: ThinkingKind,
    /// Supported effort words, in ascending order.
    #[serde(default)]
    pub efforts: Vec<String>,
    /// Whether thinking text must be requested.
    #[serde(default)]
    pub display: bool,
    /// Whether it supports temperature and stop sequences.
    #[serde(default = "yes")]
    pub sampling: bool,
    /// Whether a tool call can be forced.
    #[serde(default = "yes")]
    pub forced_tools: bool,
    /// Whether it supports tools over Chat Completions.
    #[serde(default)]
    pub chat_tools: ChatTools,
    /// Whether it supports tools at all.
    #[serde(default = "yes")]
    pub tools: bool,
    /// Whether it supports images.
    #[serde(default = "yes")]
    pub vision: bool,
    /// Maximum number of tokens per image.
    #[serde(default = "image_tokens")]
    pub image_tokens: u32,
    /// Whether the vendor has announced its retirement.
    #[serde(default)]
    pub deprecated: bool,
    /// Whether it is the vendor's recommended default.
    #[serde(default)]
    pub balanced: bool,
    /// Whether it is a fast, cheap model.
    #[serde(default)]
    pub fast: bool,
    /// Whether it is meant for deep thinking.
    #[serde(default)]
    pub deep: bool,
    /// Other ids of the same model.
    #[serde(default)]
    pub aliases: Vec<String>,
}

fn yes() -> bool {
    true
}

fn image_tokens() -> u32 {
    2_500
}

impl Model {
    /// An unknown model with conservative limits.
    #[must_use]
    pub fn unknown(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            vendor: String::new(),
            window: 32_768,
            max_output: 8_192,
            price: None,
            long: None,
            thinking: ThinkingKind::None,
            efforts: Vec::new(),
            display: false,
            sampling: true,
            forced_tools: true,
            chat_tools: ChatTools::Any,
            tools: true,
            vision: true,
            image_tokens: 5_000,
            deprecated: false,
            balanced: false,
            fast: false,
            deep: false,
            aliases: Vec::new(),
        }
    }

    /// The model as offered by a server. Self-hosted models have no price per token, so list prices are dropped.
    #[must_use]
    pub fn at(mut self, base: &Base) -> Self {
        if matches!(base.server, Server::Ollama | Server::LmStudio | Server::Vllm) {
            self.price = None;
            self.long = None;
        }
        self
    }

    /// The model with the server's current description. The server's limits and abilities override the catalogue,
    /// except for how thinking is controlled.
    #[must_use]
    pub fn with_info(mut self, info: &ModelInfo) -> Self {
        self.window = info.window.filter(|n| 0 < *n).unwrap_or(self.window);
        let most = info.max_output.filter(|n| 0 < *n).unwrap_or(self.max_output);
        self.max_output = most.min(self.window);
        self.tools = info.can.tools.unwrap_or(self.tools);
        self.vision = info.can.vision.unwrap_or(self.vision);
        match info.can.thinking {
            Some(false) => (self.thinking, self.efforts) = (ThinkingKind::None, Vec::new()),
            Some(true) if self.thinking == ThinkingKind::None => {
                self.thinking = ThinkingKind::Switch
            }
            _ => {}
        }
        if self.price.is_none() && self.long.is_none() {
            self.price = info.price;
        }
        self
    }

    /// The model with prices scaled to `percent` percent.
    #[must_use]
    pub fn at_percent(mut self, percent: u32) -> Self {
        self.price = self.price.map(|price| price.percent(percent));
        if let Some(long) = &mut self.long {
            long.price = long.price.percent(percent);
        }
        self
    }

    /// The price of a call with this much input, if known.
    #[must_use]
    pub fn price_for(&self, input_tokens: u64) -> Option<Price> {
        match self.long {
            Some(long) if long.above < input_tokens => Some(long.price),
            _ => self.price,
        }
    }

    /// The cost of a call in micro-dollars at list price, if known.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<u64> {
        Some(self.price_for(usage.input_total())?.cost(usage))
    }

    /// The thinking levels that a person can choose.
    #[must_use]
    pub fn levels(&self) -> Vec<Thinking> {
        use Thinking::{High, Low, Max, Medium, None};
        match self.thinking {
            ThinkingKind::None => vec![None],
            ThinkingKind::Always => vec![Low, Medium, High, Max],
            ThinkingKind::Budget
            | ThinkingKind::Adaptive
            | ThinkingKind::DefaultOn
            | ThinkingKind::BetweenTools => vec![None, Low, Medium, High, Max],
            ThinkingKind::Switch => vec![None, High],
            ThinkingKind::Effort => {
                let has = |word: &str| self.efforts.iter().any(|e| e == word);
                let off = has("none") || has("minimal");
                let most = has("xhigh") || has("max");
                let mut levels = vec![Low, Medium, High];
                if off {
                    levels.insert(0, None);
                }
                if most {
                    levels.push(Max);
                }
                levels
            }
        }
    }

    /// The level used for a requested one: the same, else the next lower, else the lowest.
    #[must_use]
    pub fn effective(&self, requested: Thinking) -> Thinking {
        let levels = self.levels();
        let lower = levels.iter().rev().find(|level| **level <= requested);
        lower.or(levels.first()).copied().unwrap_or(Thinking::None)
    }

    /// The vendor's effort word for a level.
    #[must_use]
    pub fn effort(&self, level: Thinking) -> Option<&str> {
        let has = |word: &str| self.efforts.iter().find(|e| *e == word).map(String::as_str);
        match level {
            Thinking::None => {
                has("none").or_else(|| has("minimal")).or(self.efforts.first().map(String::as_str))
            }
            Thinking::Low => has("low"),
            Thinking::Medium => has("medium"),
            Thinking::High => has("high"),
            Thinking::Max => self.efforts.last().map(String::as_str),
        }
    }
}

#[derive(Deserialize)]
struct Data {
    models: Vec<Model>,
    families: Vec<Model>,
}

static DATA: LazyLock<Data> = LazyLock::new(|| {
    serde_json::from_str(include_str!("catalog.json"))
        .expect("invariant: the embedded catalogue is valid")
});

/// All known models, best of each vendor first.
#[must_use]
pub fn all() -> &'static [Model] {
    &DATA.models
}

/// Finds a model by id, ignoring date, router prefix and spelling. Otherwise returns what is known about its family,
/// without a price.
#[must_use]
pub fn find(id: &str) -> Option<Model> {
    let (name, variant) = normal(id);
    let known = DATA.models.iter().find(|m| m.id == name || m.aliases.contains(&name));
    if let Some(known) = known {
        let mut model = known.clone();
        if variant == Variant::Other {
            model.price = None;
            model.long = None;
        }
        return Some(model);
    }
    let families = DATA.families.iter().filter(|f| name.starts_with(&f.id));
    let family = families.max_by_key(|f| f.id.len())?;
    Some(Model { id: name, name: id.to_owned(), ..family.clone() })
}

/// Finds a model by id, or returns an unknown model.
#[must_use]
pub fn describe(id: &str) -> Model {
    find(id).unwrap_or_else(|| Model::unknown(id))
}

/// Position in the catalogue, for sorting; unknown models come last.
#[must_use]
pub fn rank(id: &str) -> usize {
    let (name, _) = normal(id);
    DATA.models.iter().position(|m| m.id == name || m.aliases.contains(&name)).unwrap_or(usize::MAX)
}

/// The default among the models that a server offers: the vendor's recommended one, else the first.
#[must_use]
pub fn to_begin_with(offered: &[ModelInfo]) -> Option<&ModelInfo> {
    let balanced = offered.iter().filter(|m| find(&m.id).is_some_and(|known| known.balanced));
    balanced.min_by_key(|m| rank(&m.id)).or_else(|| offered.first())
}

/// Key for a model's price: without date, router and spelling differences, but with its tag, because variants have
/// their own prices.
#[must_use]
pub fn price_name(id: &str) -> String {
    let (name, variant) = normal(id);
    let known = DATA.models.iter().find(|m| m.id == name || m.aliases.contains(&name));
    let name = known.map_or(name, |known| known.id.clone());
    let last = id.trim().rsplit('/').next().unwrap_or_default();
    match last.split_once(':').filter(|_| variant == Variant::Other) {
        Some((_, tag)) => format!("{name}:{}", tag.to_lowercase()),
        None => name,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    /// The model itself.
    Plain,
    /// A tag such as `:free` or `:20b`, to which the list price does not apply.
    Other,
}

fn normal(id: &str) -> (String, Variant) {
    let lower = id.trim().to_lowercase();
    let last = lower.rsplit('/').next().unwrap_or(&lower);
    let (name, variant) = match last.split_once(':') {
        Some((name, _)) => (name, Variant::Other),
        None => (last, Variant::Plain),
    };
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let name = name.strip_suffix("-latest").unwrap_or(name);
    let name = without_date(name);
    // Routers write "claude-sonnet-4.5" where the vendor writes "claude-sonnet-4-5".
    let name = if name.starts_with("claude-") { name.replace('.', "-") } else { name.to_owned() };
    (name, variant)
}

/// Removes a trailing `-20251101` or `-2025-11-01`.
fn without_date(name: &str) -> &str {
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((rest, date)) = name.rsplit_once('-') {
        if digits(date, 8) {
            return rest;
        }
        if digits(date, 2)
            && let Some((rest, month)) = rest.rsplit_once('-')
            && digits(month, 2)
            && let Some((rest, year)) = rest.rsplit_once('-')
            && digits(year, 4)
        {
            return rest;
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_sound() {
        for model in all() {
            assert!(model.max_output <= model.window, "{}", model.id);
            assert_eq!(
                find(&model.id).as_ref(),
                Some(model),
                "{} is found by its own id",
                model.id
            );
            if let Some(price) = model.price {
                assert!(
                    price.cache_read <= price.input && price.input <= price.output,
                    "{}",
                    model.id
                );
            }
            assert_eq!(
                model.thinking == ThinkingKind::Effort,
                !model.efforts.is_empty(),
                "{}",
                model.id
            );
            for level in model.levels() {
                assert_eq!(model.effective(level), level);
                assert_eq!(
                    model.thinking == ThinkingKind::Effort,
                    model.effort(level).is_some(),
                    "{}",
                    model.id
                );
            }
        }
    }

    #[test]
    fn dates_routers_and_spellings_lead_to_the_same_model() {
        for id in [
            "claude-sonnet-4-5",
            "claude-sonnet-4-5-20250929",
            "anthropic/claude-sonnet-4.5",
            "claude-sonnet-4-5@20250929",
            "Claude-Sonnet-4-5-latest",
        ] {
            assert_eq!(find(id).map(|m| m.id), Some("claude-sonnet-4-5".to_owned()), "{id}");
        }
        assert_eq!(find("gpt-4o-2024-08-06").map(|m| m.id), Some("gpt-4o".to_owned()));
        assert_eq!(find("models/gemini-2.5-pro").map(|m| m.id), Some("gemini-2.5-pro".to_owned()));
    }

    #[test]
    fn a_price_is_kept_under_one_name_and_that_of_a_variant_apart() {
        for id in
            ["anthropic/claude-sonnet-4.5", "Claude-Sonnet-4-5-20250929", " claude-sonnet-4-5"]
        {
            assert_eq!(price_name(id), "claude-sonnet-4-5", "{id}");
        }
        assert_eq!(price_name("openai/gpt-4o:Free"), "gpt-4o:free");
        assert_eq!(price_name("qwen3:30b-a3b"), "qwen3:30b-a3b");
        assert_eq!(price_name("Mock"), "mock");
        assert_eq!(price_name(&price_name("x/y.Z:1")), price_name("x/y.Z:1"));
    }

    #[test]
    fn a_hosted_provider_begins_with_a_model_that_can_work() {
        let first = |ids: &[&str]| {
            let info = |id: &&str| ModelInfo {
                id: (*id).to_owned(),
                name: String::new(),
                window: None,
                max_output: None,
                price: None,
                can: crate::model::Abilities::default(),
            };
            let offered: Vec<ModelInfo> = ids.iter().map(info).collect();
            to_begin_with(&offered).map(|model| model.id.clone()).unwrap_or_default()
        };
        for (offered, chosen) in [
            (["deepseek-v4-pro", "deepseek-flash"], "deepseek-flash"),
            (["codestral-2508", "mistral-medium-latest"], "mistral-medium-latest"),
            (["llama-guard-4-12b", "openai/gpt-oss-120b"], "openai/gpt-oss-120b"),
            (["grok-code-fast-1", "grok-4.6"], "grok-4.6"),
            (["openai/gpt-oss-120b", "anthropic/claude-sonnet-5"], "anthropic/claude-sonnet-5"),
        ] {
            assert_eq!(first(&offered), chosen);
        }
    }

    #[test]
    fn an_unknown_model_has_no_price() {
        assert_eq!(find("somebody/else-7b"), None);
        assert_eq!(describe("else-7b").price, None);
        let sibling = find("gpt-5-ultra").expect("its family is known");
        assert_eq!((sibling.price, sibling.long, sibling.sampling), (None, None, false));
        let tagged = find("openai/gpt-4o:free").expect("known");
        assert_eq!(tagged.price, None);
        assert_eq!(describe("else-7b").cost(&Usage { input: 5, ..Usage::default() }), None);
    }

    #[test]
    fn a_fast_call_is_billed_as_what_it_costs_more() {
        let usual = describe("claude-haiku-5-5");
        let twice = usual.clone().at_percent(200);
        let output = |model: &Model, input| model.price_for(input).map(|price| price.output);
        for input in [1_000, 200_000] {
            assert_eq!(output(&twice, input), output(&usual, input).map(|micros| 2 * micros));
        }
        assert_eq!(usual.clone().at_percent(100), usual);
        assert_eq!(describe("nobody-knows-it").at_percent(200).price, None);
    }

    #[test]
    fn costs_are_whole_micro_dollars_rounded_up() {
        let haiku = describe("claude-haiku-4-5");
        let usage = Usage {
            input: 10,
            cache_read: 2_000,
            cache_write: 100,
            output: 50,
            reasoning: 20,
            ..Usage::default()
        };
        // 10 + 200 + 125 + 250
        assert_eq!(haiku.cost(&usage), Some(585));
        // All 125 written tokens are cached for an hour and cost 200.
        assert_eq!(haiku.cost(&Usage { cache_write_1h: 100, ..usage }), Some(660));
        let lie = Usage { cache_write_1h: u64::MAX, ..usage };
        assert_eq!(haiku.cost(&lie), Some(660), "no more than was written is kept");
        assert_eq!(haiku.cost(&Usage { cache_read: 1, ..Usage::default() }), Some(1));
        assert_eq!(describe("practice").cost(&usage), Some(0));
    }

    #[test]
    fn a_long_call_has_the_long_price() {
        let model = describe("claude-haiku-5-5");
        assert_eq!(model.cost(&Usage { input: 100_000, ..Usage::default() }), Some(10_000));
        assert_eq!(model.cost(&Usage { input: 100_001, ..Usage::default() }), Some(50_001));
    }

    #[test]
    fn a_level_that_a_model_lacks_becomes_the_nearest() {
        assert_eq!(describe("claude-opus-5-5").effective(Thinking::None), Thinking::Low);
        assert_eq!(describe("gpt-4o").effective(Thinking::Max), Thinking::None);
        assert_eq!(describe("gpt-5").effective(Thinking::Max), Thinking::High);
        assert_eq!(describe("gpt-5").effort(Thinking::None), Some("minimal"));
        assert_eq!(describe("gpt-5.2").effort(Thinking::Max), Some("xhigh"));
        assert_eq!(describe("o3").effort(Thinking::None), Some("low"));
    }
}
