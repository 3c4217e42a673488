//! Graded questions over the pages of a small company, and how good an order of pages answers them.

use std::collections::HashMap;

use serde_json::Value;

/// Hits that count.
pub const HITS: usize = 10;

/// The pages and the questions.
pub struct Graded {
    pub pages: Vec<Page>,
    pub questions: Vec<Question>,
}

/// A page of knowledge.
pub struct Page {
    pub title: String,
    pub text: String,
}

/// What kind of words a question has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Other words than those of the page that answers it.
    Paraphrase,
    /// An identifier, such as `libssl.so.3` or `E-1042`, alone or in a sentence.
    Identifier,
    /// Words of the page that answers it.
    Words,
}

pub struct Question {
    pub q: String,
    pub kind: Kind,
    /// Titles of pages that answer it: 3 does, 2 does in part, 1 touches it.
    grades: HashMap<String, u8>,
}

impl Graded {
    /// The pages and questions of the bench.
    ///
    /// # Errors
    /// When they do not say what they should.
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

    /// What the list of knowledge is asked, by words or meaning alone if that is said.
    ///
    /// # Errors
    /// When it cannot be written so.
    pub fn query(&self, by: Option<&str>) -> Result<String, String> {
        let limit = HITS.to_string();
        let mut query = vec![("q", self.q.as_str()), ("limit", limit.as_str())];
        query.extend(by.map(|by| ("by", by)));
        serde_urlencoded::to_string(&query).map_err(|error| error.to_string())
    }

    /// How good these titles are in this order, as nDCG@10 (Järvelin and Kekäläinen, 2002): 1 is the best order.
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
