//! Tests of the commands in a conversation.

use super::{ALL, Approve, Command, CommandError, Spoken, Words, find, read};
use features::runs::model::QueueRequest;
use kernel::{ApprovalAnswer, DropPolicy, Fast, QueueMode, Thinking, Verbosity};

fn command(text: &str) -> Command {
    match read(text) {
        Ok(Spoken::Command(command)) => command,
        other => panic!("{text}: {other:?}"),
    }
}

fn words(text: &str) -> Words {
    match read(text) {
        Ok(Spoken::Words(words)) => words,
        other => panic!("{text}: {other:?}"),
    }
}

fn refused(text: &str) -> String {
    read(text).map(|spoken| format!("{spoken:?}")).expect_err(text).to_string()
}

#[test]
fn what_is_no_command_is_text_as_it_stands() {
    for text in ["Hello", "a /stop b", "// a comment", "//stop", "/", "/ stop", "/usr/bin/env"] {
        assert_eq!(words(text), Words { text: text.to_owned(), ..Words::default() });
    }
    assert_eq!(words("  \n Hello \n").text, "Hello");
    assert_eq!(words("/2026").text, "/2026");
}

#[test]
fn every_command_of_the_list_is_understood_and_no_name_means_two() {
    for spec in ALL {
        let text = match spec.name {
            name @ ("steer" | "answer" | "btw") => format!("/{name} left"),
            name => format!("/{name}"),
        };
        assert!(read(&text).is_ok(), "{text}");
        for name in [Some(spec.name), spec.alias].into_iter().flatten() {
            assert_eq!(find(name).map(|found| found.name), Some(spec.name));
        }
    }
    assert_eq!(command("/HELP"), Command::Help);
    assert_eq!(command("/commands"), Command::Help);
    assert_eq!(command("/reset"), Command::New(None));
    assert_eq!(command("/new opus"), Command::New(Some("opus".into())));
    let focus = "the  prices\nabove all";
    assert_eq!(command(&format!("/compact {focus}")), Command::Compact(focus.into()));
    assert_eq!(command("/model a@b -s"), Command::Model(Some("a@b".into()), true));
    assert_eq!(command("/model default"), Command::Model(Some(String::new()), false));
    assert_eq!(command("/think xhigh"), Command::Think(Some(Some(Thinking::Max)), false));
    assert_eq!(command("/think default -s"), Command::Think(Some(None), true));
    assert_eq!(command("/fast"), Command::Fast(None));
    assert_eq!(command("/fast Auto"), Command::Fast(Some(Some(Fast::Auto))));
    assert_eq!(command("/fast default"), Command::Fast(Some(None)));
    assert_eq!(command("/reasoning off"), Command::Reasoning(Some(Some(false))));
    assert_eq!(command("/reasoning default"), Command::Reasoning(Some(None)));
    assert_eq!(command("/verbose Full"), Command::Verbose(Some(Some(Verbosity::Full))));
    assert_eq!(command("/verbose default"), Command::Verbose(Some(None)));
    let of = |run: Option<&str>| Command::Answer(run.map(str::to_owned), "the red one".into());
    assert_eq!(command("/answer R-12 the red one"), of(Some("R-12")));
    assert_eq!(command("/answer the red one"), of(None));
    assert_eq!(command("/approve"), Command::Approve(None));
    let answer = |which: &str, answer, note: &str| {
        Command::Approve(Some(Approve { which: which.into(), answer, note: note.into() }))
    };
    let once = answer("first", ApprovalAnswer::Once, "");
    assert_eq!(command("/approve first once"), once);
    let denied = answer("0f3a9c11", ApprovalAnswer::Denied, "not on a Friday");
    assert_eq!(command("/approve 0f3a9c11 Deny not on a Friday"), denied);
    assert_eq!(command("/task"), Command::Task(None));
    assert_eq!(command("/task Call  the shop"), Command::Task(Some("Call  the shop".into())));
    assert_eq!(command("/tasks"), Command::Tasks);
    assert_eq!(command("/budget"), Command::Budget);
    assert_eq!((command("/pause"), command("/resume")), (Command::Pause, Command::Resume));
    assert_eq!(command("/agent @otto"), Command::Agent(Some("@otto".into())));
    assert_eq!(command("/queue"), Command::Queue(None));
    let wish = QueueRequest {
        mode: Some(QueueMode::Collect),
        debounce_ms: Some(500),
        cap: Some(25),
        drop: Some(DropPolicy::Summarize),
    };
    let all = "/queue collect debounce:0.5s cap:25 drop:summarize";
    assert_eq!(command(all), Command::Queue(Some(wish)));
    assert_eq!(command("/queue reset"), Command::Queue(Some(QueueRequest::default())));
}

#[test]
fn directives_hold_for_the_text_behind_them() {
    let both = words("/think high /model opus@work What is it?");
    assert_eq!((both.thinking, both.model.as_deref()), (Some(Thinking::High), Some("opus@work")));
    assert_eq!(both.text, "What is it?");
    for (text, fast) in [
        ("/fast off What is it?", Fast::Off),
        ("/fast What is it?", Fast::On),
        ("/think low /fast auto What is it?", Fast::Auto),
    ] {
        let directives = words(text);
        assert_eq!(
            (directives.fast, directives.text.as_str()),
            (Some(fast), "What is it?"),
            "{text}"
        );
    }
    assert_eq!(words("/think low /stop is a word").text, "/stop is a word");
    assert_eq!(words("/think low /never is one").text, "/never is one");
    let steered = words("/tell\nto the left\nplease");
    assert_eq!(
        (steered.mode, steered.text.as_str()),
        (Some(QueueMode::Steer), "to the left\nplease")
    );
}

#[test]
fn what_cannot_be_says_what_would_be_right() {
    assert!(refused("/stpo").contains("similar: /stop"), "{}", refused("/stpo"));
    for text in ["/stop now", "/pause now", "/resume all", "/tasks mine", "/budget 5"] {
        assert!(matches!(read(text), Err(CommandError::Arguments { .. })), "{text}");
    }
    assert!(refused("/think a lot").contains("none, low"), "{}", refused("/think a lot"));
    assert!(refused("/queue sideways").contains("steer"), "{}", refused("/queue sideways"));
    for text in [
        "/queue cap:x",
        "/queue debounce:1y",
        "/queue drop:all",
        "/queue a:b",
        "/steer",
        "/answer R-1",
        "/approve first",
        "/approve first perhaps",
        "/btw",
        "/fast soon",
        "/verbose much",
    ] {
        assert!(refused(text).contains("; use /"), "{}", refused(text));
    }
    assert!(refused("/new a b").contains("/new [model]"), "{}", refused("/new a b"));
    assert!(refused("/model -s").contains("model to save"), "{}", refused("/model -s"));
}
