//! Makes one order of what was found by words and what was found by meaning. How much words count depends on what was
//! asked: an identifier means itself alone, a few words that all stand together are meant as they are, and of a question
//! in prose the meaning tells more than the words that happen to stand somewhere.

use std::collections::HashMap;
use std::hash::Hash;

/// What the nearest in meaning is worth.
const MEANT: f32 = 0.85;
/// What the best by its words is worth. Rare words weigh more in it.
const WORDS: f32 = 0.15;
/// What is added where all words stand as they were asked for.
const ALL: f32 = 0.4;
/// What an identifier that stands there whole is worth: more than all else, so that it comes first.
const NAMED: f32 = 10.0;
/// The share of what there is above the floor of a model from which on the nearest counts in full.
const NEAR: f32 = 0.4;

/// A place that holds words.
#[derive(Clone, Copy, Debug)]
pub struct Held<P> {
    pub place: P,
    /// How well the words fit; comparable in one list alone.
    pub score: f32,
    /// Whether all words stand there, as they were asked for.
    pub all: bool,
    /// Whether an identifier that was asked for stands there whole.
    pub named: bool,
}

/// A place that is near in meaning.
#[derive(Clone, Copy, Debug)]
pub struct Near<P> {
    pub place: P,
    /// How near.
    pub score: f32,
}

/// What a place is worth, and what it was found by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Worth {
    /// More is better.
    pub score: f32,
    /// Whether words of the question stand there.
    pub by_words: bool,
}

/// Places of two lists, each best first, as one, best first. What is nearer than the floor is about the same.
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
