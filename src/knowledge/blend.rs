//! Combines text and semantic matches into one ranking. The weight of text depends on the query: an identifier must
//! match exactly, all words of a short query are meant literally, and for a question in prose the meaning counts more
//! than single words.

use std::collections::HashMap;
use std::hash::Hash;

/// Score of the nearest semantic match.
const MEANT: f32 = 0.85;
/// Score of the best text match, in which rare words weigh more.
const WORDS: f32 = 0.15;
/// Bonus if all words match as requested.
const ALL: f32 = 0.4;
/// Bonus for an exact identifier; larger than all other scores, so that it ranks first.
const NAMED: f32 = 10.0;
/// The share of the range above the model's floor from which on the nearest match gets the full score.
const NEAR: f32 = 0.4;

/// A text match.
#[derive(Clone, Copy, Debug)]
pub struct Held<P> {
    pub place: P,
    /// Text score; comparable within one list only.
    pub score: f32,
    /// Whether all words match as requested.
    pub all: bool,
    /// Whether a requested identifier matches exactly.
    pub named: bool,
}

/// A semantic match.
#[derive(Clone, Copy, Debug)]
pub struct Near<P> {
    pub place: P,
    /// Similarity.
    pub score: f32,
}

/// Combined score of a match, and what it was found by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Worth {
    /// Higher is better.
    pub score: f32,
    /// Whether words of the query match.
    pub by_words: bool,
}

/// Merges two lists, each best first, into one, best first. Similarities above `floor` count as the same meaning.
pub fn blended<P: Copy + Eq + Hash + Ord>(
    held: &[Held<P>],
    near: &[Near<P>],
    floor: f32,
) -> Vec<(P, Worth)> {
    let mut all: HashMap<P, Worth> = HashMap::new();
    let best = |named: bool| {
        let scores = held.iter().filter(|one| one.named == named).map(|one| one.score);
        scores.fold(f32::MIN_POSITIVE, f32::max)
    };
    let (best_named, best_other) = (best(true), best(false));
    let mut named = 0;
    for one in held {
        let whole = if one.all { ALL } else { 0.0 };
        let score = match one.named {
            true => {
                named += 1;
                NAMED + NAMED / named as f32 + WORDS * one.score / best_named
            }
            false => whole + WORDS * one.score / best_other,
        };
        let worth = Worth { score, by_words: true };
        all.insert(one.place, worth);
    }
    let nearest = near.iter().map(|one| one.score).fold(floor, f32::max);
    let full = nearest.max(floor + NEAR * (1.0 - floor)) - floor;
    for one in near {
        let worth = all.entry(one.place).or_default();
        worth.score += MEANT * (one.score - floor).max(0.0) / full.max(f32::MIN_POSITIVE);
    }
    let mut all: Vec<(P, Worth)> = all.into_iter().collect();
    all.sort_by(|a, b| b.1.score.total_cmp(&a.1.score).then_with(|| a.0.cmp(&b.0)));
    all
}

#[cfg(test)]
mod tests {
    use super::{Held, Near, blended};

    const FLOOR: f32 = 0.25;

    fn held(place: char, score: f32) -> Held<char> {
        Held { place, score, all: false, named: false }
    }

    fn order(held: &[Held<char>], near: &[(char, f32)]) -> String {
        let near: Vec<Near<char>> =
            near.iter().map(|(place, score)| Near { place: *place, score: *score }).collect();
        blended(held, &near, FLOOR).into_iter().map(|(place, _)| place).collect()
    }

    #[test]
    fn an_identifier_comes_first_and_the_order_of_its_words_stays() {
        let named = |place, score| Held { named: true, all: true, ..held(place, score) };
        let found =
            [named('a', 20_000.0), named('b', 19_000.0), Held { all: true, ..held('c', 9.0) }];
        assert_eq!(order(&found, &[('d', 0.9), ('b', 0.8), ('c', 0.7)]), "abcd");
    }

    #[test]
    fn the_meaning_of_prose_counts_more_than_words_that_stand_somewhere() {
        let found = [held('a', 9.0), held('b', 3.0)];
        assert_eq!(order(&found, &[('c', 0.6), ('b', 0.5)]), "cba");
        assert_eq!(order(&found, &[]), "ab", "without a model the words tell");
    }

    #[test]
    fn what_holds_all_words_comes_before_what_is_about_as_near() {
        let found = [Held { all: true, ..held('a', 9.0) }, held('b', 9.0)];
        assert_eq!(order(&found, &[('c', 0.5), ('a', 0.4), ('b', 0.3)]), "acb");
        assert_eq!(order(&found, &[('c', 0.5), ('b', 0.3)]), "cab");
    }

    #[test]
    fn what_is_barely_near_counts_little() {
        let found = [Held { all: true, ..held('a', 9.0) }];
        assert_eq!(order(&found, &[('b', 0.3)]), "ab");
    }
}
