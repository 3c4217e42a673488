//! Ranks passages for a query by term frequency, rarity among all passages, and age. Keeps no state between queries.

/// Age in days at which a passage has half its weight.
const HALF_LIFE: f64 = 30.0;
/// Minimum weight, regardless of age.
const LEAST_WEIGHT: f64 = 0.3;
/// BM25 term frequency saturation.
const SATURATION: f64 = 1.2;
/// BM25 length normalization.
const LENGTH: f64 = 0.75;
/// Score factor if the query's words are adjacent.
const IN_A_ROW: f64 = 1.5;
/// Maximum number of query words.
const MOST_WORDS: usize = 16;
/// Minimum length of a word that also matches longer words by prefix.
const STEM: usize = 4;

/// A parsed query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    words: Vec<String>,
    whole: String,
}

impl Query {
    /// Parses a query; `None` if it has no words.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let whole = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let mut words = Vec::new();
        for word in words_of(&whole) {
            if !words.contains(&word) && words.len() < MOST_WORDS {
                words.push(word);
            }
        }
        (!words.is_empty()).then_some(Self { words, whole })
    }

    /// The query in lower case.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.whole
    }

    /// Byte offset of the first query word in a text.
    #[must_use]
    pub fn first_in(&self, text: &str) -> Option<usize> {
        let lower = text.to_lowercase();
        // Lower-casing may change the length. Offset 0 is then good enough.
        let same = lower.len() == text.len();
        let at = self.words.iter().filter_map(|word| lower.find(word.as_str())).min()?;
        Some(if same && text.is_char_boundary(at) { at } else { 0 })
    }
}

/// The words of a lower-case text. Scripts without spaces are split into pairs of characters.
fn words_of(lower: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in lower.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty()) {
        if run.chars().any(is_dense) {
            let chars: Vec<char> = run.chars().collect();
            match chars.as_slice() {
                [one] => words.push(one.to_string()),
                chars => words.extend(chars.windows(2).map(|pair| pair.iter().collect())),
            }
        } else {
            words.push(run.to_owned());
        }
    }
    words
}

/// Returns `true` for characters of scripts written without spaces.
fn is_dense(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{0E00}'..='\u{0E7F}')
}

struct Seen {
    counts: Vec<u32>,
    len: u32,
    age: Option<f64>,
    in_a_row: bool,
}

/// Collected passages.
pub struct Ranking {
    query: Query,
    seen: Vec<Seen>,
    /// Per word: the number of passages that contain it.
    found_in: Vec<u32>,
    all: u32,
    length: u64,
}

impl Ranking {
    /// An empty ranking.
    #[must_use]
    pub fn new(query: Query) -> Self {
        let found_in = vec![0; query.words.len()];
        Self { query, seen: Vec::new(), found_in, all: 0, length: 0 }
    }

    /// Adds a passage with its age in days; without an age, its weight is full. Returns its number if it contains any
    /// query word.
    pub fn add(&mut self, text: &str, days: Option<i64>) -> Option<usize> {
        let lower = text.to_lowercase();
        let words = words_of(&lower);
        let len = u32::try_from(words.len()).unwrap_or(u32::MAX);
        self.all += 1;
        self.length += u64::from(len);
        let fits = |wanted: &String, word: &String| {
            word == wanted || (STEM <= wanted.chars().count() && word.starts_with(wanted.as_str()))
        };
        let count = |wanted: &String| words.iter().filter(|word| fits(wanted, word)).count();
        let counts: Vec<u32> =
            self.query.words.iter().map(|w| u32::try_from(count(w)).unwrap_or(u32::MAX)).collect();
        if counts.iter().all(|count| *count == 0) {
            return None;
        }
        for (found, count) in self.found_in.iter_mut().zip(&counts) {
            *found += u32::from(*count > 0);
        }
        let days = days.map(|days| i32::try_from(days.clamp(0, 100_000)).unwrap_or(0));
        let in_a_row = 1 < self.query.words.len() && lower.contains(&self.query.whole);
        self.seen.push(Seen { counts, len, age: days.map(f64::from), in_a_row });
        Some(self.seen.len() - 1)
    }

    /// The numbers of the best passages, with scores relative to the best one, which has 1.
    #[must_use]
    pub fn best(&self, most: usize) -> Vec<(usize, f64)> {
        let mut all: Vec<(usize, f64)> =
            self.seen.iter().enumerate().map(|(at, seen)| (at, self.score(seen))).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(most);
        let top = all.first().map_or(1.0, |best| best.1);
        all.into_iter().map(|(at, score)| (at, score / top)).collect()
    }

    fn score(&self, seen: &Seen) -> f64 {
        let count = f64::from(self.all.max(1));
        let length = f64::from(u32::try_from(self.length).unwrap_or(u32::MAX));
        let mean = (length / count).max(1.0);
        let long = 1.0 - LENGTH + LENGTH * f64::from(seen.len) / mean;
        let mut score = 0.0;
        for (times, found) in seen.counts.iter().zip(&self.found_in) {
            let (times, found) = (f64::from(*times), f64::from(*found));
            let rare = (1.0 + (count - found + 0.5) / (found + 0.5)).ln();
            score += rare * times * (SATURATION + 1.0) / (times + SATURATION * long);
        }
        let fresh = seen.age.map_or(1.0, |days| (-days / HALF_LIFE).exp2().max(LEAST_WEIGHT));
        score * fresh * if seen.in_a_row { IN_A_ROW } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Query, Ranking};

    fn order(question: &str, passages: &[(&str, Option<i64>)]) -> Vec<usize> {
        let mut ranking = Ranking::new(Query::of(question).expect("a question"));
        let mut known = Vec::new();
        for (at, (text, days)) in passages.iter().enumerate() {
            if ranking.add(text, *days).is_some() {
                known.push(at);
            }
        }
        ranking.best(10).into_iter().map(|(at, _)| known[at]).collect()
    }

    #[test]
    fn rare_words_and_many_of_them_come_first() {
        let passages = [
            ("the van is blue", None),
            ("the leasing price of the van is 900", None),
            ("the cat sleeps", None),
            ("prices are high", None),
        ];
        assert_eq!(order("price of the van", &passages), [1, 0, 3, 2]);
        assert_eq!(order("leasing", &passages), [1]);
        assert!(order("unicorn", &passages).is_empty());
    }

    #[test]
    fn what_is_fresh_comes_before_what_is_old() {
        let passages = [("call the printer", Some(90)), ("call the printer", Some(0))];
        assert_eq!(order("printer", &passages), [1, 0]);
    }

    #[test]
    fn words_in_a_row_come_first_and_any_script_is_found() {
        let passages = [("north of the price", None), ("price of north", None)];
        assert_eq!(order("price of north", &passages)[0], 1);
        assert_eq!(order("東京", &[("来週東京へ行く", None), ("大阪", None)]), [0]);
        assert_eq!(Query::of(" ?! "), None);
    }

    #[test]
    fn the_place_of_the_first_word_is_known() {
        let query = Query::of("Price van").unwrap();
        assert_eq!(query.first_in("The Van has a price"), Some(4));
        assert_eq!(query.first_in("nothing"), None);
    }
}
