//! Upper bounds for the cost of a call, and what to book if its end is unknown. Pure arithmetic: the caller holds the
//! budgets.

use serde::{Deserialize, Serialize};

use super::catalog::Model;
use super::model::{ChatRequest, Message, Part, Usage};

/// Default maximum number of output tokens per call.
pub const OUTPUT_SETTING: u32 = 16_384;
/// Minimum number of output tokens: a call that could not produce this many is not made.
pub const OUTPUT_LEAST: u32 = 1_024;
/// Output tokens reserved for the closing message of a run that reaches a limit.
pub const OUTPUT_WRAP_UP: u32 = 4_096;

/// Maximum protocol overhead per message, part, tool and system part, in bytes.
const FRAME: u64 = 64;
/// Minimum size of a document page, in bytes. Each page counts as an image.
const PAGE_BYTES: u64 = 4 * 1024;

/// Upper limit for tokens per thousand bytes. A higher count is wrong, and must not make all later calls of the model
/// too expensive for any budget.
const RATIO_MOST: u32 = 4_000;

/// Input tokens per thousand bytes: one token per two bytes by default, raised by observed counts of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ratio(u32);

impl Default for Ratio {
    fn default() -> Self {
        Self(500)
    }
}

impl Ratio {
    /// Restores a stored ratio; never below the default.
    #[must_use]
    pub fn from_permille(permille: u32) -> Self {
        Self(permille.min(RATIO_MOST)).max(Self::default())
    }

    /// The value to store.
    #[must_use]
    pub fn permille(self) -> u32 {
        self.0
    }

    /// Raises the ratio if a call had more tokens than expected.
    #[must_use]
    pub fn observe(self, bytes: u64, tokens: u64) -> Self {
        let seen = tokens.saturating_mul(1_000).div_ceil(bytes.max(1));
        self.max(Self(u32::try_from(seen).unwrap_or(RATIO_MOST).min(RATIO_MOST)))
    }

    fn tokens(self, bytes: u64) -> u64 {
        bytes.saturating_mul(u64::from(self.0)).div_ceil(1_000)
    }
}

/// Size of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Size {
    /// UTF-8 bytes of everything except images, including protocol overhead.
    pub bytes: u64,
    /// Number of images.
    pub images: u64,
}

impl Size {
    /// The size of a request.
    #[must_use]
    pub fn of(request: &ChatRequest) -> Self {
        let mut size = Self { bytes: FRAME, images: 0 };
        for part in &request.system {
            size.add(part.text.len());
        }
        for tool in &request.tools {
            // Serializing a JSON value cannot fail.
            let schema = serde_json::to_string(&tool.schema).map_or(0, |s| s.len());
            size.add(tool.name.len() + tool.description.len() + schema);
        }
        if let Some(schema) = request.format.as_ref().and_then(|format| format.schema.as_ref()) {
            size.add(serde_json::to_string(schema).map_or(0, |s| s.len()));
        }
        size.and(Self::of_messages(&request.messages))
    }

    /// The size of messages alone.
    #[must_use]
    pub fn of_messages(messages: &[Message]) -> Self {
        let mut size = Self::default();
        for message in messages {
            size.add(0);
            for part in &message.parts {
                match part {
                    Part::Text { text } => size.add(text.len()),
                    Part::Thinking { text, signature } => {
                        size.add(text.len() + signature.as_ref().map_or(0, String::len));
                    }
                    Part::RedactedThinking { data } => size.add(data.len()),
                    Part::ToolCall { id, name, arguments } => {
                        size.add(id.len() + name.len() + arguments.len())
                    }
                    Part::ToolResult { call_id, text, .. } => size.add(call_id.len() + text.len()),
                    Part::Opaque { data, .. } => size.add(data.len()),
                    Part::Image { .. } => {
                        size.add(0);
                        size.images += 1;
                    }
                    Part::File { name, data, .. } => {
                        size.add(name.len());
                        size.images += Self::of_file(data.len() as u64).images;
                    }
                }
            }
        }
        size
    }

    /// The size of an image or document with `len` bytes.
    #[must_use]
    pub fn of_file(len: u64) -> Self {
        Self { bytes: 2 * FRAME, images: 1 + len / PAGE_BYTES }
    }

    /// The sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, images: self.images + other.images }
    }

    /// Upper bound of the input tokens.
    #[must_use]
    pub fn tokens(self, model: &Model, ratio: Ratio) -> u64 {
        let pictures = self.images.saturating_mul(u64::from(model.image_tokens));
        ratio.tokens(self.bytes).saturating_add(pictures)
    }

    fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64 + FRAME);
    }
}

/// Whether a call is the closing message of a run that has reached a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A normal step: the closing message must remain possible after it.
    Step,
    /// The closing message.
    WrapUp,
}

/// Remaining amounts of the tightest budgets; `None` means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Left {
    /// Micro-dollars.
    pub micros: Option<u64>,
    /// Input and output tokens.
    pub tokens: Option<u64>,
}

/// A call that may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Upper bound of the input tokens.
    pub input: u64,
    /// Output limit to send.
    pub max_output: u32,
    /// Maximum cost in micro-dollars; `None` if the price is unknown.
    pub micros: Option<u64>,
}

impl Bound {
    /// Maximum number of tokens of the call.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.input.saturating_add(u64::from(self.max_output))
    }
}

/// A call that the budgets do not cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the budget is too small for another call; raise it or choose a cheaper model")]
pub struct TooSmall {
    /// Cost of the smallest useful call in micro-dollars, if the cost budget is insufficient.
    pub needed_micros: Option<u64>,
    /// Tokens of the smallest useful call, if the token budget is insufficient.
    pub needed_tokens: Option<u64>,
}

/// The maximum cost of a call and the output limit that the budgets allow.
///
/// # Errors
/// If the budgets do not cover [`OUTPUT_LEAST`] output tokens.
pub fn bound(
    model: &Model,
    input: u64,
    setting: u32,
    left: Left,
    purpose: Purpose,
) -> Result<Bound, TooSmall> {
    let kept = match purpose {
        Purpose::Step => OUTPUT_WRAP_UP,
        Purpose::WrapUp => 0,
    };
    let limit = model.max_output.min(setting);
    let least = OUTPUT_LEAST.min(limit);
    let mut most = u64::from(limit);
    let price = model.price_for(input);
    if let (Some(price), Some(micros)) = (price, left.micros) {
        let input_cost = cost(input, price.dearest_input());
        let needed = input_cost.saturating_add(cost(u64::from(least + kept), price.output));
        if micros < needed {
            return Err(TooSmall { needed_micros: Some(needed), needed_tokens: None });
        }
        // `checked_div` because a free model covers any output.
        let paid = (micros - input_cost).saturating_mul(1_000_000).checked_div(price.output);
        most = most.min(paid.map_or(u64::MAX, |tokens| tokens.saturating_sub(u64::from(kept))));
    }
    if let Some(tokens) = left.tokens {
        let needed = input.saturating_add(u64::from(least + kept));
        if tokens < needed {
            return Err(TooSmall { needed_micros: None, needed_tokens: Some(needed) });
        }
        most = most.min(tokens - input - u64::from(kept));
    }
    let max_output = u32::try_from(most).unwrap_or(limit);
    let micros = price.map(|p| cost(input, p.dearest_input()).saturating_add(cost(most, p.output)));
    Ok(Bound { input, max_output, micros })
}

/// The maximum cost of a call to a server that ignores output limits: the model's maximum output.
///
/// # Errors
/// If the budgets do not cover it.
pub fn whole(model: &Model, input: u64, left: Left) -> Result<Bound, TooSmall> {
    // For an unknown model, only the window is known.
    let most = if model.vendor.is_empty() { model.window } else { model.max_output };
    let price = model.price_for(input);
    let micros = price.map(|price| {
        cost(input, price.dearest_input()).saturating_add(cost(u64::from(most), price.output))
    });
    let bound = Bound { input, max_output: most, micros };
    if let (Some(needed), Some(left)) = (micros, left.micros)
        && left < needed
    {
        return Err(TooSmall { needed_micros: Some(needed), needed_tokens: None });
    }
    if left.tokens.is_some_and(|left| left < bound.tokens()) {
        return Err(TooSmall { needed_micros: None, needed_tokens: Some(bound.tokens()) });
    }
    Ok(bound)
}

/// Usage booked for a call whose end is unknown: the estimated input and the received output.
#[must_use]
pub fn lost(input: u64, received_bytes: u64, ratio: Ratio) -> Usage {
    Usage { input, output: ratio.tokens(received_bytes), ..Usage::default() }
}

/// Usage booked for an interrupted call. Some providers count input at the start and output only at the end; then the
/// received output is used.
#[must_use]
pub fn cut_off(counted: Option<Usage>, input: u64, received_bytes: u64, ratio: Ratio) -> Usage {
    let seen = lost(input, received_bytes, ratio);
    match counted.filter(|counted| 0 < counted.input_total()) {
        Some(counted) => Usage { output: counted.output.max(seen.output), ..counted },
        None => seen,
    }
}

fn cost(tokens: u64, price: u64) -> u64 {
    let micros = (u128::from(tokens) * u128::from(price)).div_ceil(1_000_000);
    u64::try_from(micros).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::super::catalog::{self, Price};
    use super::super::model::{ToolDef, Usage};
    use super::*;

    fn model() -> Model {
        let price = Price {
            input: 3_000_000,
            cache_read: 300_000,
            cache_write: 3_750_000,
            output: 15_000_000,
        };
        Model {
            price: Some(price),
            long: None,
            max_output: 64_000,
            ..catalog::describe("claude-sonnet-4-5")
        }
    }

    #[test]
    fn without_limits_the_setting_counts() {
        let bound = bound(&model(), 10_000, OUTPUT_SETTING, Left::default(), Purpose::Step)
            .expect("no limit");
        assert_eq!(bound.max_output, 16_384);
        assert_eq!(bound.micros, Some(37_500 + 245_760));
        assert_eq!(bound.tokens(), 26_384);
    }

    #[test]
    fn a_small_budget_shortens_the_answer_and_keeps_the_wrap_up() {
        let left = Left { micros: Some(200_000), tokens: None };
        let step = bound(&model(), 10_000, OUTPUT_SETTING, left, Purpose::Step).expect("enough");
        // (200,000 - 37,500) / 15 = 10,833 tokens, 4,096 of them reserved.
        assert_eq!(step.max_output, 10_833 - 4_096);
        let last = bound(&model(), 10_000, OUTPUT_SETTING, left, Purpose::WrapUp).expect("enough");
        assert_eq!(last.max_output, 10_833);
    }

    #[test]
    fn below_the_least_output_no_call_is_made() {
        let left = Left { micros: Some(100_000), tokens: None };
        let refused = bound(&model(), 10_000, OUTPUT_SETTING, left, Purpose::Step);
        assert_eq!(
            refused,
            Err(TooSmall { needed_micros: Some(37_500 + 76_800), needed_tokens: None })
        );
        let left = Left { micros: None, tokens: Some(15_000) };
        let refused = bound(&model(), 10_000, OUTPUT_SETTING, left, Purpose::Step);
        assert_eq!(refused, Err(TooSmall { needed_micros: None, needed_tokens: Some(15_120) }));
        let left = Left { micros: None, tokens: Some(15_200) };
        let bound = bound(&model(), 10_000, OUTPUT_SETTING, left, Purpose::Step).expect("enough");
        assert_eq!(bound.max_output, 1_104);
    }

    #[test]
    fn an_unknown_price_binds_only_tokens_and_a_free_model_nothing() {
        let left = Left { micros: Some(1), tokens: None };
        let unknown = bound(&Model::unknown("x"), 5_000, OUTPUT_SETTING, left, Purpose::Step)
            .expect("no price");
        assert_eq!((unknown.max_output, unknown.micros), (8_192, None));
        let practice = catalog::describe("practice");
        let free = bound(
            &practice,
            5_000,
            OUTPUT_SETTING,
            Left { micros: Some(0), tokens: None },
            Purpose::Step,
        );
        assert_eq!(free.map(|b| b.micros), Ok(Some(0)));
    }

    #[test]
    fn where_no_limit_counts_all_that_the_model_can_say_is_bound() {
        let all = Left { micros: Some(37_500 + 960_000), tokens: Some(74_000) };
        let bound = whole(&model(), 10_000, all).expect("enough");
        assert_eq!((bound.max_output, bound.micros), (64_000, Some(37_500 + 960_000)));
        let less = whole(&model(), 10_000, Left { micros: Some(997_499), ..all });
        assert_eq!(less.map_err(|small| small.needed_micros), Err(Some(997_500)));
        let less = whole(&model(), 10_000, Left { tokens: Some(73_999), ..all });
        assert_eq!(less.map_err(|small| small.needed_tokens), Err(Some(74_000)));
        let unknown = whole(&Model::unknown("x"), 10, Left::default()).expect("no limit");
        assert_eq!((unknown.max_output, unknown.micros), (32_768, None));
    }

    #[test]
    fn the_ratio_only_rises() {
        let ratio = Ratio::default();
        assert_eq!(ratio.observe(10_000, 2_500), ratio);
        let raised = ratio.observe(1_000, 900);
        assert_eq!(raised.permille(), 900);
        assert_eq!(raised.observe(1_000, 100), raised);
        assert_eq!(Ratio::from_permille(3), ratio);
        assert_eq!(ratio.observe(1, u64::MAX).permille(), RATIO_MOST, "a lie");
        assert_eq!(lost(1_000, 90, raised), Usage { input: 1_000, output: 81, ..Usage::default() });
    }

    #[test]
    fn everything_that_is_sent_is_counted() {
        let empty = Size::of(&ChatRequest::new("m", 1));
        let mut request = ChatRequest::new("m", 1).message(Message::user("x".repeat(1_000)));
        request.tools.push(ToolDef {
            name: "read".into(),
            description: "d".repeat(500),
            schema: serde_json::json!({"type": "object"}),
        });
        request.messages.push(Message::results(vec![
            Part::result("call", "y".repeat(2_000)),
            Part::Image { media_type: "image/png".into(), data: vec![0; 9_000] },
        ]));
        let size = Size::of(&request);
        assert!(empty.bytes + 3_500 < size.bytes && size.bytes < 4_500, "{size:?}");
        assert_eq!(size.images, 1);
        assert_eq!(size.tokens(&model(), Ratio::default()), size.bytes.div_ceil(2) + 2_500);
    }

    proptest! {
        #[test]
        fn a_call_never_costs_more_than_its_bound(
            input in 0_u64..900_000, real in 0_u64..900_000, output in 0_u32..200_000, micros in 0_u64..20_000_000,
        ) {
            for model in catalog::all().iter().filter(|m| m.price.is_some()) {
                let left = Left { micros: Some(micros), tokens: None };
                let Ok(bound) = bound(model, input, OUTPUT_SETTING, left, Purpose::Step) else { continue };
                let usage = Usage {
                    cache_write: real.min(bound.input),
                    output: u64::from(output.min(bound.max_output)),
                    ..Usage::default()
                };
                let cost = model.cost(&usage).expect("it has a price");
                prop_assert!(Some(cost) <= bound.micros, "{} {usage:?} {bound:?}", model.id);
                prop_assert!(bound.micros <= Some(micros), "{} {bound:?} {micros}", model.id);
            }
        }
    }

    #[test]
    fn what_had_come_counts_when_only_the_input_was_counted() {
        let counted = Usage { input: 900, output: 1, ..Usage::default() };
        let booked = super::cut_off(Some(counted), 1_000, 30_000, super::Ratio::default());
        assert_eq!(booked.input, 900);
        assert!(booked.output > 5_000, "{booked:?}");
        let whole = Usage { output: 70_000, ..counted };
        assert_eq!(super::cut_off(Some(whole), 0, 30, super::Ratio::default()), whole);
        assert_eq!(super::cut_off(None, 1_000, 0, super::Ratio::default()).input, 1_000);
    }
}
