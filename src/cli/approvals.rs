//! `hq approvals …`: what agents ask before they do it, and the answers.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use kernel::text::{ellipsis, one_line};

use super::Common;
use super::agents::{second, word};
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{listed, part, pick, short};

/// How much of a call is shown in a list.
const WIDTH: usize = 120;

/// `hq approvals …`
#[derive(Subcommand)]
pub enum Command {
    /// Pending approvals, oldest first: id, run, agent, risk and what each call would do
    List {
        /// List recently answered approvals instead
        #[arg(long)]
        answered: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Show one approval: everything the call would do, why it is asked, and what you can allow
    Show(Which),
    /// Approve, this once by default
    Approve(Approve),
    /// Deny
    Deny {
        #[command(flatten)]
        which: Which,
        /// Everything that its run asks at once
        #[arg(long)]
        all: bool,
        /// A note for the agent
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Tell the agent to repeat a denied or expired call, which is asked for again
    Again(Which),
}

/// Which approval.
#[derive(Args)]
pub struct Which {
    /// Its id, the end of the id, or the run that waits for it
    approval: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq approvals approve`.
#[derive(Args)]
pub struct Approve {
    #[command(flatten)]
    which: Which,
    /// Also calls like it for the rest of the run
    #[arg(long, conflicts_with = "always")]
    run: bool,
    /// Also calls like it from now on: saves a permission, which needs an admin
    #[arg(long)]
    always: bool,
    /// Everything that its run asks at once
    #[arg(long, conflicts_with_all = ["run", "always"])]
    all: bool,
    /// Which calls are like it, by the number in `show`
    #[arg(long, value_name = "N", default_value_t = 0)]
    offer: usize,
    /// A note for the agent
    #[arg(long, default_value = "")]
    note: String,
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List { answered, place } => {
            let state = if answered { "answered" } else { "open" };
            let all = all(door, &place, state).await?;
            let none =
                if answered { "No recently answered approvals." } else { "No pending approvals." };
            print(common, &all, &listed(&all, row, none))
        }
        Command::Show(which) => {
            let one = find(door, &which).await?;
            print(common, &one, &lines(&one))
        }
        Command::Approve(flags) if flags.all => {
            decide_all(common, door, &flags.which, ("once", &flags.note)).await
        }
        Command::Deny { which, all: true, note } => {
            decide_all(common, door, &which, ("denied", &note)).await
        }
        Command::Approve(flags) => {
            let answer = match (flags.run, flags.always) {
                (_, true) => "always",
                (true, false) => "run",
                (false, false) => "once",
            };
            let body = json!({ "answer": answer, "offer": flags.offer, "note": flags.note });
            decide(common, door, &flags.which, &body).await
        }
        Command::Deny { which, note, .. } => {
            let body = json!({ "answer": "denied", "note": note });
            decide(common, door, &which, &body).await
        }
        Command::Again(which) => {
            let one = find(door, &which).await?;
            let path = format!("/api/v1/approvals/{}/again", part(word(&one, "id")));
            let ask = Ask::post(path, &json!({})).within(which.place.workspace.as_ref());
            let answers = door.call(ask).await?;
            let line = format!("{} repeats the call and asks again.", word(&answers, "run"));
            print(common, &answers, &[line])
        }
    }
}

async fn all(door: &Door, place: &Place, state: &str) -> Result<Value, CommandError> {
    let path = format!("/api/v1/approvals?state={state}");
    door.call(Ask::get(path).within(place.workspace.as_ref())).await
}

/// The run that waits is a name as good as the id.
fn names(one: &Value) -> Vec<&str> {
    vec![word(one, "run")]
}

/// One that waits; one that was answered, if no other is meant.
async fn find(door: &Door, which: &Which) -> Result<Value, CommandError> {
    let noun = ("approval", "hq approvals list");
    let open = all(door, &which.place, "open").await?;
    let error = match pick(&open, &which.approval, noun, names) {
        Ok(found) => return Ok(found.clone()),
        Err(error) => error,
    };
    let answered = all(door, &which.place, "answered").await?;
    pick(&answered, &which.approval, noun, names).cloned().map_err(|_| error)
}

async fn decide(
    common: &Common,
    door: &Door,
    which: &Which,
    body: &Value,
) -> Result<u8, CommandError> {
    let one = find(door, which).await?;
    if let Some(words) = decided(&one) {
        return Err(CommandError::Api { kind: "approval_answered".to_owned(), words });
    }
    let path = format!("/api/v1/approvals/{}/answer", part(word(&one, "id")));
    let ask = Ask::post(path, body).within(which.place.workspace.as_ref());
    let answered = door.call(ask).await?;
    let decision = match word(&answered["answer"], "answer") {
        "denied" => "denied",
        _ => "allowed",
    };
    let line = format!("{} of {}: {decision}.", word(&answered, "tool"), word(&answered, "run"));
    print(common, &answered, &[line])
}

/// That somebody has decided already, or that nobody decides it any more; nothing of one that waits.
fn decided(one: &Value) -> Option<String> {
    let answer = one["answer"].as_object().map(|_| &one["answer"])?;
    let what = format!("{} of {}", word(one, "tool"), word(one, "run"));
    let decision = match word(answer, "answer") {
        "denied" => "denied",
        "expired" => return Some(format!("no one answered {what} in time")),
        "withdrawn" => return Some(format!("{what} is no longer needed: its run has ended")),
        "changed" => return Some(format!("{what} has changed since; a new approval is asked for")),
        _ => "allowed",
    };
    let by = match (answer["by"].as_str(), word(answer, "answer")) {
        (Some(by), _) => format!(" by {by}"),
        (None, "reviewed") => " by the reviewer".to_owned(),
        (None, _) => String::new(),
    };
    Some(format!("{what} was already {decision}{by}"))
}

/// Answers all that a run asks at once.
async fn decide_all(
    common: &Common,
    door: &Door,
    which: &Which,
    (answer, note): (&str, &str),
) -> Result<u8, CommandError> {
    let open = all(door, &which.place, "open").await?;
    let items = open["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_run = |one: &&Value| word(one, "run").eq_ignore_ascii_case(&which.approval);
    let one;
    let mut ids: Vec<&str> = items.iter().filter(of_run).map(|one| word(one, "id")).collect();
    if ids.is_empty() {
        one = find(door, which).await?;
        ids.push(word(&one, "id"));
    }
    let answers: Vec<Value> =
        ids.iter().map(|id| json!({ "id": id, "answer": answer, "note": note })).collect();
    let body = json!({ "answers": answers });
    let ask = Ask::post("/api/v1/approvals/answers", &body);
    let result = door.call(ask.within(which.place.workspace.as_ref())).await?;
    print(common, &result, &outcomes(&result, answer))
}

/// What became of several answers: how many were taken, then why others were not.
fn outcomes(answers: &Value, answer: &str) -> Vec<String> {
    let items = answers["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let taken = items.iter().filter(|one| one["refused"].is_null()).count();
    let decision = if answer == "denied" { "denied" } else { "allowed" };
    let mut lines = vec![format!("{taken} {decision}.")];
    let refused = items.iter().filter(|one| !one["refused"].is_null());
    lines
        .extend(refused.map(|one| format!("{}: {}", short(word(one, "id")), word(one, "refused"))));
    lines
}

/// "1a2b3c4d  R-12  Ada  high  exec: sh deploy.sh"; of one that was answered with the answer.
fn row(one: &Value) -> Vec<String> {
    let shown = ellipsis(&one_line(word(one, "shown")), WIDTH);
    let state = match word(&one["answer"], "answer") {
        "" => word(one, "risk"),
        answer => answer,
    };
    vec![
        short(word(one, "id")).to_owned(),
        word(one, "run").to_owned(),
        word(one, "agent_name").to_owned(),
        state.to_owned(),
        format!("{}: {shown}", word(one, "tool")),
    ]
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn lines(one: &Value) -> Vec<String> {
    let mut lines = vec![row(one).join("  "), String::new(), word(one, "shown").to_owned()];
    lines.push(String::new());
    lines.push(format!("why: {}", word(one, "why")));
    lines.push(format!("asked: {}Z", second(one, "asked_at")));
    if !word(one, "folder").is_empty() {
        lines.push(format!("folder: {}", word(one, "folder")));
    }
    for key in ["variables", "files"] {
        let all = strings(&one[key]);
        if !all.is_empty() {
            lines.push(format!("{key}: {}", all.join(", ")));
        }
    }
    for (n, label) in strings(&one["offers"]).into_iter().enumerate() {
        lines.push(format!("--run or --always, --offer {n}: {label}"));
    }
    let answer = &one["answer"];
    if answer.is_object() {
        let by = answer["by"].as_str().unwrap_or("no one");
        let (decision, note) = (word(answer, "answer"), word(answer, "note"));
        lines.push(format!("answered: {decision} by {by} {note}").trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{decided, lines, outcomes, row};
    use serde_json::json;

    #[test]
    fn a_call_is_told_in_a_line_and_whole() {
        let mut one = json!({
            "id": "0190aaaa-0000-7000-8000-00000000aaaa", "run": "R-12", "agent_name": "Ada",
            "tool": "exec", "shown": "sh deploy.sh &&\nls", "risk": "high", "why": "It may delete",
            "asked_at": "2026-11-20T12:00:00.5Z", "folder": "", "variables": ["STAGE"],
            "files": [], "offers": ["this command"], "answer": null,
        });
        assert_eq!(row(&one), ["0000aaaa", "R-12", "Ada", "high", "exec: sh deploy.sh && ls"]);
        let shown = lines(&one);
        assert!(shown.contains(&"variables: STAGE".to_owned()), "{shown:?}");
        assert!(shown.contains(&"asked: 2026-11-20T12:00:00Z".to_owned()), "{shown:?}");
        assert!(shown.last().is_some_and(|line| line.ends_with("--offer 0: this command")));
        assert_eq!(decided(&one), None);
        one["answer"] = json!({ "answer": "denied", "by": "Mira", "note": "" });
        assert_eq!(decided(&one).unwrap(), "exec of R-12 was already denied by Mira");
        assert_eq!(row(&one)[3], "denied");
        assert!(lines(&one).contains(&"answered: denied by Mira".to_owned()));
    }

    #[test]
    fn it_is_told_which_of_several_answers_were_taken() {
        let answers = json!({ "items": [
            { "id": "0190aaaa-0000-7000-8000-00000000aaaa", "refused": null },
            { "id": "0190aaaa-0000-7000-8000-00000000bbbb", "refused": "somebody was first" },
        ] });
        assert_eq!(outcomes(&answers, "once"), ["1 allowed.", "0000bbbb: somebody was first"]);
    }
}
