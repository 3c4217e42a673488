//! `hq agent chat`: a conversation at the terminal, the same as on the page, so it goes on there.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

use crate::commands::print;
use crate::door::{Ask, Door, Pieces};
use crate::reach::CommandError;
use crate::show::plain;
use crate::{Common, FAILED, OK, complain, fail, say};
use net::lines::LineParser;

use super::{Named, word};

/// How often a run that is waited for is looked at.
const GLANCE: Duration = Duration::from_millis(300);
/// After how long without a word it is looked at what the run waits for.
const SILENCE: Duration = Duration::from_secs(2);
/// The longest line of an answer.
const MAX_LINE: usize = 16 << 20;

/// Reads line by line what is said, and prints what is answered.
pub async fn chat(common: &Common, door: &Door, named: &Named) -> Result<u8, CommandError> {
    let main = "main".to_owned();
    loop {
        if std::io::stdin().is_terminal() {
            write(common, "> ");
        }
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        });
        let failed = |error: String| CommandError::Failed(format!("standard input: {error}"));
        let line = line.await.map_err(|e| failed(e.to_string()))?;
        let line = line.map_err(|e| failed(e.to_string()))?;
        if line.trim().is_empty() {
            return Ok(OK);
        }
        let text = line.trim();
        let mut waits = Waits { door, named, run: None, last_message: String::new() };
        if text.starts_with('/') && !text.starts_with("//") {
            match command(common, &mut waits, text).await {
                Err(error) if error.code() == FAILED => fail(common, &error.to_string()),
                done => done?,
            }
            continue;
        }
        let model = format!("hq/{}", named.agent);
        let body = json!({ "model": model, "input": text, "stream": true });
        let ask = Ask::post("/v1/responses", &body)
            .within(named.place.workspace.as_ref())
            .header("x-hq-session-key", Some(&main));
        let answer = relay(common, door.open(ask).await?, &mut waits).await?;
        match (common.json, answer) {
            (_, Err(words)) => return Err(CommandError::Refused(words)),
            (true, Ok(text)) => say(&json!({ "final": text }).to_string()),
            (false, Ok(_)) => say(""),
        }
    }
}

/// A line that may be a command: it is read and carried out as on the page. What is said with it is
/// waited for.
async fn command(common: &Common, waits: &mut Waits<'_>, text: &str) -> Result<(), CommandError> {
    let Waits { door, named, .. } = *waits;
    let workspace = named.place.workspace.as_ref();
    let path = format!("/api/v1/agents/{}/commands", named.agent);
    let done = door.call(Ask::post(path, &json!({ "text": text })).within(workspace)).await?;
    if let Some(answer) = done["answer"].as_str() {
        let value = json!({ "answer": answer });
        return print(common, &value, &[answer.to_owned()]).map(drop);
    }
    let path = format!("/api/v1/runs/{}", word(&done["said"], "run"));
    loop {
        let run = door.call(Ask::get(path.as_str()).within(workspace)).await?;
        if word(&run, "state") == "ended" {
            let text = word(&run, "summary").to_owned();
            return print(common, &json!({ "final": text }), &[text]).map(drop);
        }
        waits.tell(&run);
        tokio::time::sleep(GLANCE).await;
    }
}

fn write(common: &Common, text: &str) {
    if !common.json {
        let mut out = std::io::stdout().lock();
        // ok: nobody reads what is printed.
        let _ = out.write_all(plain(text).as_bytes()).and_then(|()| out.flush());
    }
}

/// Prints an answer as it comes; gives it whole, or why there is none. While nothing comes it says what the run
/// waits for.
async fn relay(
    common: &Common,
    mut pieces: Pieces,
    waits: &mut Waits<'_>,
) -> Result<Result<String, String>, CommandError> {
    let (mut lines, mut text) = (LineParser::new(MAX_LINE), String::new());
    while let Some(piece) = next(&mut pieces, waits).await? {
        let whole = lines.push(&piece).map_err(|error| CommandError::Failed(error.to_string()))?;
        for line in whole {
            let Some(event) = line.strip_prefix("data: ") else { continue };
            let Ok(event) = serde_json::from_str::<Value>(event) else { continue };
            match word(&event, "type") {
                "response.created" => {
                    let id = word(&event["response"], "id").strip_prefix("resp_");
                    waits.run = id.and_then(|id| id.split('_').next()).map(str::to_owned);
                }
                "response.output_text.delta" => {
                    text.push_str(word(&event, "delta"));
                    write(common, word(&event, "delta"));
                }
                "response.failed" => {
                    return Ok(Err(word(&event["response"]["error"], "message").to_owned()));
                }
                _ => {}
            }
        }
    }
    Ok(Ok(text))
}

/// The next piece of an answer.
async fn next(pieces: &mut Pieces, waits: &mut Waits<'_>) -> Result<Option<Vec<u8>>, CommandError> {
    let next = pieces.next();
    tokio::pin!(next);
    loop {
        tokio::select! {
            biased;
            piece = &mut next => return piece,
            () = tokio::time::sleep(SILENCE) => waits.refresh().await,
        }
    }
}

/// Says what a run waits for that does not go on without a person.
struct Waits<'d> {
    door: &'d Door,
    named: &'d Named,
    /// The run, once it is known.
    run: Option<String>,
    /// What was said last.
    last_message: String,
}

impl Waits<'_> {
    /// Looks at the run, and says what it waits for.
    async fn refresh(&mut self) {
        let Some(run) = &self.run else { return };
        let ask = Ask::get(format!("/api/v1/runs/{run}"));
        match self.door.call(ask.within(self.named.place.workspace.as_ref())).await {
            Ok(run) => self.tell(&run),
            // Whoever may not look hears the answer when it comes.
            Err(_) => self.run = None,
        }
    }

    /// Says what this run waits for, once.
    fn tell(&mut self, run: &Value) {
        let words = needs(run).unwrap_or_default();
        if !words.is_empty() && words != self.last_message {
            complain(&words);
        }
        self.last_message = words;
    }
}

/// What a run waits for, when a person has to do something about it.
fn needs(run: &Value) -> Option<String> {
    let name = word(run, "name");
    let how = match word(&run["waiting"], "for") {
        "question" => format!("Answer on its page, or with `/answer {name} …` in another chat."),
        "approval" => "Decide on its page.".to_owned(),
        "budget" => "Raise the budget, or wait.".to_owned(),
        _ => return None,
    };
    let why = match word(run, "why") {
        "" => word(&run["waiting"], "detail"),
        why => why,
    };
    Some(format!("{name}: {why} {how}"))
}

#[cfg(test)]
mod tests {
    use super::needs;
    use serde_json::json;

    #[test]
    fn only_what_a_person_has_to_do_is_told() {
        let run = |waits: &str| {
            let waiting = json!({ "for": waits, "detail": "a detail" });
            json!({ "name": "R-3", "waiting": waiting, "why": "Waits for your answer: Which?" })
        };
        let text = needs(&run("question")).expect("words");
        assert!(
            text.starts_with("R-3: Waits for your answer: Which? Answer on its page"),
            "{text}"
        );
        assert!(needs(&run("approval")).is_some() && needs(&run("budget")).is_some());
        assert_eq!(needs(&run("child")), None);
        assert_eq!(needs(&json!({ "name": "R-3", "waiting": null })), None);
    }
}
