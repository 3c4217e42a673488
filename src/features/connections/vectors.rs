//! Choosing a connection for embeddings in place of the local model. The model is tested before the choice applies.

use app::{Who, Ws};
use kernel::ConnectionId;
use providers::embedding::Purpose;
use store::StoreError;

use super::model::{Maker, VectorSource};
use super::queries::vectors::{Line, VectorError};
use super::rules::vectors as rules;

/// Unrelated texts: the similarity that a model assigns to them is its similarity of unrelated content.
const APART: [&str; 6] = [
    "The deposit is paid back within ten days after the bicycle has been returned.",
    "It will rain in the mountains on Thursday, with snow above two thousand metres.",
    "Whisk the eggs with sugar until the mixture is pale, then fold in the flour.",
    "The court dismissed the appeal because it had been filed a day too late.",
    "Restart the database server after the new certificate has been installed.",
    "Our violin teacher plays in the city orchestra every second weekend.",
];
/// Maximum floor in thousandths.
const HIGHEST: u16 = 850;

/// Tests an embedding model on some texts, which yields its vector length and its similarity of unrelated texts, and
/// chooses it.
///
/// # Errors
/// If no model is named, the budget is insufficient or the provider fails. Nothing changes then.
pub async fn choose(
    ws: &Ws,
    who: &(impl Who + Sync),
    (connection, model): (ConnectionId, &str),
) -> Result<VectorSource, VectorError> {
    let model = model.trim();
    if model.is_empty() || 200 < model.len() || model.contains(char::is_whitespace) {
        return Err(VectorError::NoModel);
    }
    let line = Line::of(ws, connection, model)?;
    let texts = APART.map(str::to_owned).to_vec();
    let vectors = line.ask(ws, texts, Purpose::Passages).await?.vectors;
    let length = vectors.first().map_or(0, Vec::len);
    let dimensions = u32::try_from(length).unwrap_or(u32::MAX);
    let floor = floor(&vectors);
    let maker = Maker { connection, model: model.to_owned(), dimensions, floor };
    Ok(ws.write(who, move |tx| rules::choose(tx, Some(maker))).await?)
}

/// Chooses the local model.
pub async fn choose_local(ws: &Ws, who: &(impl Who + Sync)) -> Result<VectorSource, StoreError> {
    ws.write(who, move |tx| rules::choose(tx, None)).await
}

/// Similarity floor of unrelated texts in thousandths: midway between their average and their highest similarity.
fn floor(vectors: &[Vec<f32>]) -> u16 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let (mut sum, mut count, mut nearest) = (0.0, 0.0, 0.0_f32);
    for (at, one) in vectors.iter().enumerate() {
        for other in vectors.iter().skip(at + 1) {
            let near = dot(one, other).max(0.0);
            (sum, count) = (sum + near, count + 1.0);
            nearest = nearest.max(near);
        }
    }
    let usual: f32 = if count == 0.0 { 0.0 } else { sum / count };
    let floor = f32::midpoint(usual, nearest);
    (0..HIGHEST).find(|n| floor <= f32::from(*n) / 1_000.0).unwrap_or(HIGHEST)
}

#[cfg(test)]
mod tests {
    use super::{HIGHEST, floor};

    #[test]
    fn what_a_model_puts_near_without_a_reason_is_below_the_floor() {
        let apart = [vec![1.0, 0.0], vec![0.0, 1.0]];
        assert_eq!(floor(&apart), 0);
        let near = [vec![1.0, 0.0], vec![0.6, 0.8], vec![0.0, 1.0]];
        // Products 0.6, 0 and 0.8: average 0.467, maximum 0.8.
        assert_eq!(floor(&near), 634);
        assert_eq!(floor(&[vec![1.0], vec![1.0]]), HIGHEST);
        assert_eq!(floor(&[]), 0);
    }
}
