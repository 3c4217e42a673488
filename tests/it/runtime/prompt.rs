//! Requests to the model: size, stable prefix, and forbidden content.

use features::connections::model::{Offer, Offers, Wire};
use serde_json::{Value, json};

use support::hq::{Setup, everything_in};
use support::model::{Protocol, Seen, Turn};
use support::office::{KEY, Office};

/// Maximum: twelve kilobytes including tool schemas.
const MOST: usize = 12_288;

fn prefix(seen: &Seen) -> (Value, Value) {
    let system = match seen.protocol {
        Protocol::Messages => seen.body["system"].clone(),
        Protocol::Chat | Protocol::Ollama => seen.body["messages"][0].clone(),
        Protocol::Responses => seen.body["instructions"].clone(),
        Protocol::Gemini => seen.body["systemInstruction"].clone(),
    };
    (system, seen.body["tools"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_request_of_a_default_agent_is_small_and_its_prefix_stays_the_same() {
    for (wire, model) in [
        (Wire::OpenaiChat, "mock"),
        (Wire::Anthropic, "claude-sonnet-4-5"),
        (Wire::OpenaiResponses, "mock"),
        (Wire::Gemini, "mock"),
        (Wire::Ollama, "mock"),
    ] {
        let office = Office::with(Setup::default(), wire, model).await;
        let ada = office.agent_with("Ada", |new| new.exec = true).await;
        office.model.push(Turn::call("task_list", json!({}))).push(Turn::text("Nothing."));
        let run = office.say(&ada, "How many tasks are open?").await;
        office.ended(run).await;
        office.model.push(Turn::call("task_get", json!({})));
        office
            .model
            .push(Turn::call("work_done", json!({ "summary": "x", "task_state": "complete" })));
        let task = office.task("Compare two offers", &ada).await;
        office.worked(task.id, 1).await;
        let requests = office.model.requests();
        for (what, first, second) in [("chat", 0, 1), ("work", 2, 3)] {
            let bytes = requests[first].bytes;
            assert!(bytes <= MOST, "{wire:?} {what}: {bytes} bytes");
            assert!(requests[first].tools().len() <= 14, "{what}");
            assert_eq!(prefix(&requests[first]), prefix(&requests[second]), "{wire:?} {what}");
        }
        office.hq.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_with_a_small_window_is_offered_less_and_reads_less_of_files() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let offer = Offer {
        id: "mock".to_owned(),
        window: Some(8_192),
        max_output: Some(1_024),
        tools: None,
        vision: None,
        thinking: None,
        price: None,
    };
    let (connection, read_at) = (office.connection, office.hq.now());
    let offers = Offers { connection, read_at, models: vec![offer] };
    office.act(move |tx| tx.put(&offers)).await;
    let soul = office.ws().agent_folder(&ada.slug).join("SOUL.md");
    std::fs::write(&soul, "A long story. ".repeat(1_000)).expect("a file");
    office.model.push(Turn::call("tool_search", json!({ "query": "web_fetch" })));
    office.model.push(Turn::text("Found."));
    let run = office.say(&ada, "What can you do?").await;
    office.ended(run).await;
    let requests = office.model.requests();
    let lean = ["task_list", "task_get", "task_create", "read", "tool_search"];
    assert_eq!(requests[0].tools(), lean);
    assert!(requests[1].tools().contains(&"web_fetch".to_owned()), "{:?}", requests[1].tools());
    // Other agents read twenty thousand characters of it.
    let told = requests[0].text().matches("A long story.").count();
    assert!((300..=400).contains(&told), "{told}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_reaches_a_prompt_an_event_the_feed_or_the_disk() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    // The key was written to a file of the agent, and the model repeats what it reads.
    let leak = office.ws().agent_folder(&ada.slug).join("leak.txt");
    std::fs::write(&leak, format!("key = {KEY}\n")).expect("a file");
    office.model.push(Turn::call("read", json!({ "path": "leak.txt" })));
    office.model.push(Turn::text(&format!("The key is {KEY}.")));
    let task_text = json!({ "title": "Found a key", "description": format!("It is {KEY}") });
    let run = office.say(&ada, "Read it").await;
    let ended = office.ended(run).await;
    assert!(!ended.summary.contains(KEY), "{}", ended.summary);
    office.model.push(Turn::error(500, "api_error", &format!("no such key {KEY}")));
    office.model.push(Turn::call("task_create", task_text)).push(Turn::text("Noted."));
    let run = office.say(&ada, "Make a task of it").await;
    office.pass_retry(run, 1).await;
    office.ended(run).await;
    for seen in office.model.requests() {
        assert!(!seen.text().contains(KEY), "{}", seen.text());
        assert_eq!(seen.header("authorization"), format!("Bearer {KEY}"));
    }
    assert!(!format!("{:?}", office.events(run)).contains(KEY));
    let data = office.hq.data();
    std::fs::remove_file(&leak).expect("the file");
    let mut office = office;
    office.hq.stop().await;
    let all = everything_in(&data);
    assert!(!all.windows(KEY.len()).any(|part| part == KEY.as_bytes()), "the key lies on the disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_a_person_pastes_is_not_passed_on_to_a_provider() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    // Also when it is in a file that is part of each prompt.
    let notes = office.ws().agent_folder(&ada.slug).join("TOOLS.md");
    std::fs::write(&notes, format!("The key of the provider is {KEY}.\n")).expect("a file");
    office.model.push(Turn::text("I see."));
    let chat = office.say(&ada, &format!("Use {KEY} for it")).await;
    office.ended(chat).await;
    let done = json!({ "summary": "Done.", "task_state": "complete" });
    office.model.push(Turn::call("work_done", done));
    let task = office.task(&format!("Use {KEY}"), &ada).await;
    office.worked(task.id, 1).await;
    let requests = office.model.requests();
    assert_eq!(requests.len(), 2);
    for seen in requests {
        assert!(!seen.text().contains(KEY), "{}", seen.text());
        assert!(seen.text().contains("The key of the provider is"), "{}", seen.text());
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_in_the_agents_folder_brings_nothing_into_the_prompt() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let secret = office.hq.data().join("outside.md");
    std::fs::write(&secret, "what nobody may read").expect("a file");
    let identity = office.ws().agent_folder(&ada.slug).join("IDENTITY.md");
    std::fs::remove_file(&identity).expect("the file");
    std::os::unix::fs::symlink(&secret, &identity).expect("a link");
    office.model.push(Turn::call("read", json!({ "path": "IDENTITY.md" }))).push(Turn::text("No."));
    let run = office.say(&ada, "Who are you?").await;
    office.ended(run).await;
    assert!(!office.model.last().text().contains("what nobody may read"));
    let results = office.results(run);
    assert!(!results[0].1 && results[0].2.contains("link"), "{results:?}");
    office.hq.finish().await;
}
