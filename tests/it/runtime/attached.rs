//! Files of messages: the model sees them with the message and again later.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use features::agents::model::Agent;
use features::runs::model::{Attachment, EventKind, Input, MAX_ATTACHED, Run};
use features::runs::rules::{NewInput, RunError, Sent, SessionSpec, talk};
use kernel::{Outcome, RunState};
use serde_json::json;

use support::PDF_WITH_WORDS;
use support::model::Turn;
use support::office::Office;

const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\nnot a real one";
const SENT: &str = "data:image/png;base64,iVBORw0KGgpub3QgYSByZWFsIG9uZQ==";

fn file(office: &Office, name: &str, media_type: &str, data: &[u8]) -> Attachment {
    Attachment {
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        blob: office.ws().blobs.put(data).expect("a blob"),
        len: data.len() as u64,
    }
}

async fn send(
    office: &Office,
    agent: &Agent,
    text: &str,
    attached: Vec<Attachment>,
) -> Result<Sent, RunError> {
    let session = SessionSpec {
        agent: agent.id,
        key: format!("agent:{}:main", agent.slug),
        owner: Some(office.owner()),
        task: None,
    };
    let new = NewInput { attached, ..NewInput::chat(text) };
    office.try_act(move |tx| talk::say(tx, session, new)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_seen_with_their_message_and_again_in_the_next_turn() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.usually(Turn::text("A chart of prices."));
    let files = vec![
        file(&office, "prices.png", "image/png", PICTURE),
        file(&office, "prices.csv", "text/csv", b"mango,3\nplum,4\n"),
    ];
    let sent = send(&office, &ada, "What is this?", files.clone()).await.expect("it is said");
    let run = office.ended(sent.run).await;
    assert_eq!(run.outcome, Some(Outcome::Done));
    let asked = office.model.last().text();
    let places = ["What is this?", SENT, "The attached file prices.csv", "mango,3"];
    let found = places.map(|words| asked.find(words).unwrap_or_else(|| panic!("{words}: {asked}")));
    assert!(found.is_sorted(), "in order: {found:?}");
    let kept = office.events(sent.run).into_iter().find_map(|kind| match kind {
        EventKind::Attached { input, files } => Some((input, files)),
        _ => None,
    });
    assert_eq!(kept, Some((sent.message, files)));
    // The run's page shows the files with the message.
    let page = office.hq.owner().get("/w/marlow-cargo/runs/R-1").await;
    let pictures = page.attrs(".trace .attached img", "src");
    let of = format!("/w/marlow-cargo/messages/{}/files/0", sent.message);
    assert_eq!(pictures, [of], "{}", page.text);
    assert_eq!(page.texts(".trace .attached .attach b"), ["prices.csv"]);

    let next = office.say(&ada, "And the cheapest?").await;
    office.ended(next).await;
    let asked = office.model.last().text();
    assert!(asked.contains(SENT) && asked.contains("plum,4"), "{asked}");

    // A message may consist of files only.
    let files = vec![file(&office, "only.png", "image/png", PICTURE)];
    let sent = send(&office, &ada, " ", files).await.expect("it is said");
    office.ended(sent.run).await;
    assert_eq!(office.get::<Input>(sent.message).text, "[attached: only.png]");
    assert_eq!(office.model.last().text().matches(SENT).count(), 2);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_files_and_too_large_ones_are_refused() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let one = file(&office, "a.png", "image/png", PICTURE);
    let many = vec![one.clone(); MAX_ATTACHED + 1];
    let refused = send(&office, &ada, "Look", many).await;
    assert!(matches!(refused, Err(RunError::TooManyFiles)), "{refused:?}");
    let large = vec![Attachment { len: 11 << 20, ..one }; 2];
    let refused = send(&office, &ada, "Look", large).await;
    assert!(matches!(refused, Err(RunError::FilesTooLarge)), "{refused:?}");
    assert!(office.all::<Run>().is_empty());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_with_a_picture() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::call("ask_person", json!({ "question": "Which logo?" })));
    office.model.push(Turn::text("That one then."));
    let run = office.say(&ada, "Choose a logo").await;
    office.in_state(run, RunState::Waiting).await;
    let files = vec![file(&office, "logo.png", "image/png", PICTURE)];
    let sent = send(&office, &ada, "This one", files).await.expect("it is said");
    assert_eq!(sent.run, run);
    office.ended(run).await;
    let asked = office.model.last().text();
    assert!(asked.contains("answered: This one") && asked.contains(SENT), "{asked}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_lie_in_the_agents_folder_and_come_back_when_they_are_gone() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let archive = file(&office, "offers.zip", "application/zip", b"PK\x03\x04 offers");
    let note = file(&office, "note.txt", "text/plain", b"Call the dealer.\n");
    let (place, read) = (archive.place(), note.place());
    office.model.push(Turn::call("read", json!({ "path": read.clone() })));
    office.model.push(Turn::text("The dealer is to be called."));
    let sent = send(&office, &ada, "Look", vec![archive, note]).await.expect("it is said");
    office.ended(sent.run).await;
    let results = office.results(sent.run);
    assert!(results[0].1 && results[0].2.contains("Call the dealer."), "{results:?}");
    let asked = office.model.last().text();
    assert!(asked.contains(&place), "it is told where the archive lies: {asked}");
    let there = office.ws().agent_folder("ada").join(&place);
    assert_eq!(std::fs::read(&there).expect("the archive"), b"PK\x03\x04 offers");

    // Attachments are not committed; a missing one is restored in the next turn.
    let committed = |kind: &EventKind| matches!(kind, EventKind::Committed { .. });
    assert!(!office.events(sent.run).iter().any(committed));
    std::fs::remove_file(&there).expect("it is removed");
    office.model.push(Turn::text("Yes."));
    let next = office.say(&ada, "Do you still have it?").await;
    office.ended(next).await;
    assert!(there.is_file());
    office.hq.finish().await;
}

/// A picture whose longer side exceeds the providers' limit in pixels.
fn wide() -> Vec<u8> {
    let rgb: Vec<u8> = [200, 40, 40].repeat(2_600 * 60);
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut out)
        .encode(&rgb, 2_600, 60, image::ExtendedColorType::Rgb8)
        .expect("it is written");
    out
}

/// The pictures in a request.
fn pictures(asked: &str) -> Vec<Vec<u8>> {
    let begin = "data:image/jpeg;base64,";
    let data = asked.split(begin).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c));
        BASE64.decode(&rest[..end.unwrap_or(rest.len())]).expect("it is Base64")
    });
    data.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_too_large_is_sent_smaller_and_kept_as_it_is() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.usually(Turn::text("Red."));
    let whole = wide();
    let files = vec![file(&office, "wall.jpg", "image/jpeg", &whole)];
    let sent = send(&office, &ada, "Which colour?", files.clone()).await.expect("it is said");
    office.ended(sent.run).await;
    let first = pictures(&office.model.last().text());
    assert_eq!(first.len(), 1);
    assert!(tool::picture::fits(&first[0]) && !tool::picture::fits(&whole));
    // The next run sends it again, with identical bytes.
    let next = office.say(&ada, "Sure?").await;
    office.ended(next).await;
    assert_eq!(pictures(&office.model.last().text()), first);
    let kept = office.ws().blobs.get(files[0].blob, 1 << 20).expect("it is there");
    assert_eq!(kept, whole, "the file stays what it was");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_a_provider_refuses_costs_one_call_and_no_session() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let refused = Turn::error(400, "invalid_request_error", "Could not process image");
    office.model.push(refused).usually(Turn::text("I cannot see it."));
    let files = vec![file(&office, "prices.png", "image/png", PICTURE)];
    let sent = send(&office, &ada, "What is this?", files).await.expect("it is said");
    let run = office.ended(sent.run).await;
    assert_eq!((run.outcome, run.calls), (Some(Outcome::Done), 2));
    let asked = office.model.last().text();
    assert!(!asked.contains(SENT) && asked.contains("didn't accept it"), "{asked}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_reads_no_documents_reads_the_words_of_a_pdf() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let offer = file(&office, "offer.pdf", "application/pdf", PDF_WITH_WORDS);
    let broken = file(&office, "scan.pdf", "application/pdf", b"%PDF-1.4 nothing");
    office.model.push(Turn::call("read", json!({ "path": offer.place() })));
    office.model.push(Turn::text("Mangos are cheaper."));
    let sent = send(&office, &ada, "What is cheaper?", vec![offer, broken]).await.expect("sent");
    office.ended(sent.run).await;
    let asked = office.model.last().text();
    for words in [
        "Text of the PDF offer.pdf (1 pages)",
        "Mango 3 EUR\\nPlum 4 EUR",
        "[The PDF scan.pdf can't be read here: it is damaged",
    ] {
        assert!(asked.contains(words), "{words}: {asked}");
    }
    let results = office.results(sent.run);
    assert!(results[0].1 && results[0].2.contains("Plum 4 EUR"), "{results:?}");
    office.hq.finish().await;
}
