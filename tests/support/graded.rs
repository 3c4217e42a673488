//! Graded search questions over the pages of a small company, and their scoring.

use std::collections::HashMap;

use serde_json::Value;

/// Hits that are scored.
pub const HITS: usize = 10;

pub struct Graded {
    pub pages: Vec<Page>,
    pub questions: Vec<Question>,
}

/// A knowledge page.
pub struct Page {
    pub title: String,
    pub text: String,
}

/// Relation of a question's words to the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Other words than those of the answering page.
    Paraphrase,
    /// An identifier such as `libssl.so.3` or `E-1042`, alone or in a sentence.
    Identifier,
    /// Words of the answering page.
    Words,
}

pub struct Question {
    pub q: String,
    pub kind: Kind,
    /// Grades by page title: 3 answers the question, 2 partly, 1 is related.
    grades: HashMap<String, u8>,
}

impl Graded {
    /// The pages and questions of the benchmark.
    ///
    /// # Errors
    /// If the file is malformed.
    pub fn read() -> Result<Self, String> {
        let all: Value = serde_json::from_str(include_str!("../../benches/hq/quality.json"))
            .map_err(|error| error.to_string())?;
        let list = |name: &str| all[name].as_array().cloned().unwrap_or_default();
        let page = |value: &Value| Page { title: word(value, "title"), text: word(value, "text") };
        Ok(Self {
            pages: list("pages").iter().map(page).collect(),
            questions: list("questions").iter().map(Question::read).collect::<Result<_, _>>()?,
        })
    }
}

fn word(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

impl Question {
    fn read(value: &Value) -> Result<Self, String> {
        let kind = match word(value, "kind").as_str() {
            "paraphrase" => Kind::Paraphrase,
            "identifier" => Kind::Identifier,
            "words" => Kind::Words,
            other => return Err(format!("no kind of question: {other}")),
        };
        let grades = value["grades"].as_object().ok_or("a question without grades")?;
        let grade = |(title, grade): (&String, &Value)| {
            let grade = grade.as_u64().and_then(|grade| u8::try_from(grade).ok())?;
            Some((title.clone(), grade))
        };
        Ok(Self { q: word(value, "q"), kind, grades: grades.iter().filter_map(grade).collect() })
    }

    /// Query string for the list of knowledge; `by` limits the search to words or meaning.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn query(&self, by: Option<&str>) -> Result<String, String> {
        let limit = HITS.to_string();
        let mut query = vec![("q", self.q.as_str()), ("limit", limit.as_str())];
        query.extend(by.map(|by| ("by", by)));
        serde_urlencoded::to_string(&query).map_err(|error| error.to_string())
    }

    /// nDCG@10 of titles in this order (Järvelin and Kekäläinen, 2002): 1 is ideal.
    #[must_use]
    pub fn ndcg(&self, titles: &[String]) -> f64 {
        let grades = titles.iter().map(|title| self.grades.get(title).copied().unwrap_or(0));
        let mut best: Vec<u8> = self.grades.values().copied().collect();
        best.sort_unstable_by(|a, b| b.cmp(a));
        gained(grades) / gained(best.into_iter())
    }
}

fn gained(grades: impl Iterator<Item = u8>) -> f64 {
    let gain = |(place, grade): (u32, u8)| {
        (f64::from(grade).exp2() - 1.0) / (f64::from(place) + 2.0).log2()
    };
    (0..).zip(grades.take(HITS)).map(gain).sum()
}
