//! Knowledge base of 100,000 passages in 10,000 pages: search by words, list, page, page during indexing; also saving a
//! long page, and the agents' context.
//!
//! Vectors for that many passages take a real model an hour, so semantic search is measured with 1,000, if
//! `HQ_BENCH_MODEL` names a model (see `quality.rs`).

use std::pin::Pin;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::graded::Page;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::load::{self, Client, Times};
use crate::quality;
use crate::rows::{Ready, figure, id, more};
use crate::{Figure, ms};

const KNOWLEDGE: &str = "/api/v1/knowledge";
/// Pages, and passages per page: each starts with a heading.
const PAGES: u64 = 10_000;
const PASSAGES: u64 = 10;
/// Words per passage, and size of the vocabulary.
const LENGTH: u64 = 60;
const VOCABULARY: u64 = 4_096;
/// Clients that write the pages.
const MAKERS: u64 = 32;
/// Pages whose passages have vectors.
const MEANT: u64 = 100;
/// Pages in the context of every agent.
const IN_FRONT: usize = 500;
/// Measurements per action.
const ACTS: usize = 100;
/// Bytes of a long page.
const LONG: usize = 100 * 1_024;
/// Duration of repeated requests.
const SPAN: Duration = Duration::from_secs(4);
/// Time limit of indexing.
const PATIENCE: Duration = Duration::from_secs(180);
/// Syllables of generated words.
const SYLLABLES: [&str; 16] = [
    "ba", "der", "fi", "gan", "hol", "ji", "kum", "lo", "men", "nu", "por", "ri", "sal", "tev",
    "wo", "zan",
];

type Row = Pin<Box<dyn Future<Output = Result<Figure, String>>>>;

/// The knowledge base, with times of pages before and during indexing.
struct Library {
    hq: Ready,
    idle: Times,
    busy: Times,
    took: Duration,
}

/// Created on first use.
static LIBRARY: Mutex<Option<Library>> = Mutex::const_new(None);

/// Stops the program and deletes its folder.
pub fn close() {
    if let Ok(mut library) = LIBRARY.try_lock() {
        library.take();
    }
}

/// Pseudo-random number: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
fn thrown(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The word of a rank.
fn word(rank: u64) -> String {
    let syllable = |step: u64| SYLLABLES[(rank / step % 16) as usize];
    format!("{}{}{}", syllable(1), syllable(16), syllable(256))
}

/// A random word: few are frequent, most are rare.
fn drawn(n: u64) -> String {
    let thrown = thrown(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (one, other) = (thrown % VOCABULARY, thrown / VOCABULARY % VOCABULARY);
    word(one * other / VOCABULARY)
}

fn passage(number: u64) -> String {
    let words: Vec<String> = (0..LENGTH).map(|n| drawn(number * LENGTH + n)).collect();
    words.join(" ")
}

fn title(n: u64) -> String {
    format!("{} {} {n}", drawn(n ^ 0x5555_5555), word(n))
}

/// A page of ten passages.
fn text(n: u64) -> String {
    let part = |part: u64| format!("## Part {part}\n\n{}.\n\n", passage(n * PASSAGES + part));
    (0..PASSAGES).map(part).collect()
}

/// An HQ with the pages; returns the ids of some.
async fn written() -> Result<(Ready, Vec<String>), String> {
    let hq = Ready::start().await?;
    let makers = hq.clients(MAKERS as usize).await?;
    let work = (0..MAKERS).zip(makers).map(|(first, mut client)| async move {
        let mut some = String::new();
        for n in (first..PAGES).step_by(MAKERS as usize) {
            let tags = [format!("tag{}", n % 10)];
            let body =
                json!({ "title": title(n), "text": text(n), "scope": "library", "tags": tags });
            some = id(&client.json("POST", KNOWLEDGE, Some(&body)).await?)?;
        }
        Ok::<_, String>(some)
    });
    let ids = futures_util::future::try_join_all(work).await?;
    Ok((hq, ids))
}

/// Waits until the index is complete.
async fn whole(client: &mut Client) -> Result<(), String> {
    let began = Instant::now();
    let path = format!("{KNOWLEDGE}?q={}&by=words&limit=1", word(0));
    loop {
        let answer = client.json("GET", &path, None).await?;
        let unknown = answer["not_known_yet"].as_str().unwrap_or_default();
        if unknown.is_empty() && answer["total"].as_u64().is_some_and(|total| 0 < total) {
            return Ok(());
        }
        if PATIENCE < began.elapsed() {
            return Err(format!("the index is not whole after three minutes: {unknown}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Rebuilds the index and waits until it is complete.
async fn anew(client: &mut Client) -> Result<(), String> {
    client.call("POST", "/api/v1/consumers/search/rebuild", Some(&json!({}))).await?;
    let began = Instant::now();
    loop {
        let all = client.json("GET", "/api/v1/consumers", None).await?;
        let mut items = all["items"].as_array().into_iter().flatten();
        if items.any(|one| one["name"] == "search" && one["state"] == "rebuilding") {
            return whole(client).await;
        }
        if PATIENCE < began.elapsed() {
            return Err("nobody makes the index anew".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Times of these paths, requested in turn.
async fn asked(client: Client, paths: &[String]) -> Result<Times, String> {
    load::in_turn(client, paths, SPAN).await
}

async fn made() -> Result<Library, String> {
    let (hq, ids) = written().await?;
    let paths: Vec<String> =
        ids.iter().map(|id| format!("/w/{}/knowledge/{id}", hq.workspace)).collect();
    let (mut page, mut program) = (hq.person().await?, hq.client().await?);
    whole(&mut program).await?;
    let idle = asked(hq.person().await?, &paths).await?;
    let began = Instant::now();
    let (times, ()) = load::beside(&mut page, &paths, anew(&mut program)).await?;
    let took = began.elapsed();
    let busy = load::share(times)?;
    Ok(Library { hq, idle, busy, took })
}

/// The knowledge base that rows share.
async fn shared() -> Result<MappedMutexGuard<'static, Library>, String> {
    let mut library = LIBRARY.lock().await;
    if library.is_none() {
        *library = Some(made().await?);
    }
    Ok(MutexGuard::map(library, |library| library.as_mut().expect("made just now")))
}

/// Searches: frequent word, frequent and rare word, rare words, several words, typo, title, no match.
fn questions() -> [String; 8] {
    let typo = word(300).replacen('a', "e", 1);
    [
        word(3),
        format!("{} {}", word(1), word(2_000)),
        format!("{} {}", word(3_000), word(3_500)),
        format!("what is {} of {} and {}", word(40), word(400), word(800)),
        typo,
        title(4_711),
        format!("{} {}", word(60), word(61)),
        "xylophone".to_owned(),
    ]
}

/// Addresses of the searches, each with these suffixes.
fn addresses(more: &[&str]) -> Vec<String> {
    let coded = |q: &String| url::form_urlencoded::byte_serialize(q.as_bytes()).collect::<String>();
    let questions = questions();
    let all = questions.iter().flat_map(|q| more.iter().map(move |more| (coded(q), more)));
    all.map(|(q, more)| format!("{KNOWLEDGE}?q={q}&limit=20{more}")).collect()
}

/// Row of word searches with these suffixes.
async fn searched(more: &[&str]) -> Result<Figure, String> {
    let library = shared().await?;
    let Times { p50, p99 } = asked(library.hq.client().await?, &addresses(more)).await?;
    Ok(figure(format!("p50 {}, p99 {}", ms(p50), ms(p99)), p99 <= Duration::from_millis(8)))
}

pub fn words(_: Times) -> Row {
    Box::pin(searched(&["&by=words"]))
}

pub fn filtered(_: Times) -> Row {
    Box::pin(searched(&[
        "&by=words&tag=tag3",
        "&by=words&kind=page",
        "&by=words&scope=library&tag=tag7",
    ]))
}

/// Pages of the list.
pub fn list(_: Times) -> Row {
    Box::pin(async {
        let library = shared().await?;
        let at = |rest: &str| format!("/w/{}/knowledge{rest}", library.hq.workspace);
        let paths = ["", "?kind=page", "?page=3", "?scope=library"].map(at);
        let Times { p50, p99 } = asked(library.hq.person().await?, &paths).await?;
        Ok(figure(format!("p50 {}, p99 {}", ms(p50), ms(p99)), p99 <= Duration::from_millis(10)))
    })
}

/// A page during indexing, compared with the same page before.
pub fn while_indexed(_: Times) -> Row {
    Box::pin(async {
        let library = shared().await?;
        let Library { idle, busy, took, .. } = &*library;
        let ratio = busy.p99.as_secs_f64() / idle.p99.as_secs_f64();
        let text =
            format!("{ratio:.2} (p99 {} : {}), index in {}", ms(busy.p99), ms(idle.p99), ms(*took));
        Ok(figure(text, ratio <= 1.2))
    })
}

/// Saves a long page repeatedly, each time with another last line.
pub fn save(fsync: Times) -> Row {
    Box::pin(async move {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let mut long: String = (0..25).map(text).collect();
        if long.len() < LONG {
            return Err(format!("a long page has {} bytes", long.len()));
        }
        long.truncate(LONG);
        let body = json!({ "title": "Long", "text": long, "scope": "library" });
        let path =
            format!("{KNOWLEDGE}/{}", id(&program.json("POST", KNOWLEDGE, Some(&body)).await?)?);
        let mut times = Vec::new();
        for count in 0..ACTS {
            let body = json!({ "text": format!("{long}Saved {count} times.\n") });
            let began = Instant::now();
            program.call("PATCH", &path, Some(&body)).await?;
            times.push(began.elapsed());
        }
        let Times { p50, p99 } = load::share(times)?;
        let limit = fsync.p50.mul_f64(1.3) + Duration::from_millis(3);
        let text = format!("p50 {}, p99 {} (limit {})", ms(p50), ms(p99), ms(limit));
        Ok(figure(text, p50 <= limit))
    })
}

/// Context of a starting agent, with 500 pages that all agents read.
pub fn context(_: Times) -> Row {
    Box::pin(async {
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        for n in 0..IN_FRONT as u64 {
            let body = json!({ "title": title(n), "text": passage(n), "scope": "workspace" });
            program.call("POST", KNOWLEDGE, Some(&body)).await?;
        }
        let path = format!("{KNOWLEDGE}/context?agent={}", hq.agent);
        let told: Value = program.json("GET", &path, None).await?;
        let items = told["items"].as_array().map_or(0, Vec::len);
        if items < IN_FRONT {
            return Err(format!("{items} items stand in front of the agent"));
        }
        let Times { p50, p99 } = asked(program, &[path]).await?;
        let text = format!("p50 {}, p99 {}, {} tokens", ms(p50), ms(p99), told["tokens"]);
        Ok(figure(text, p50 <= Duration::from_millis(5)))
    })
}

/// Search by words and meaning with a real model, which embeds each query.
pub fn both(_: Times) -> Row {
    Box::pin(async {
        let model = quality::folder();
        let model = model.ok_or("HQ_BENCH_MODEL names no folder with all-MiniLM-L6-v2")?;
        let pages: Vec<Page> =
            (0..MEANT).map(|n| Page { title: title(n), text: text(n) }).collect();
        let hq = quality::filled(&model, &pages, MEANT * PASSAGES).await?;
        whole(&mut hq.client().await?).await?;
        let words = asked(hq.client().await?, &addresses(&["&by=words"])).await?;
        let both = asked(hq.client().await?, &addresses(&["&by=both"])).await?;
        let (more, text) = more(both, words);
        Ok(figure(text, more <= Duration::from_millis(12)))
    })
}
