//! Tests of the commands in a conversation.

use super::{Approve, COMMANDS, CommandError, Parsed, Request, Spoken, Words, find, parse, read};
use features::runs::model::QueueRequest;
use kernel::{ApprovalAnswer, Can, DropPolicy, Fast, QueueMode, Thinking, Verbosity};
use web::session::Access;

fn command(text: &str) -> Request {
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
    for spec in COMMANDS {
        let text = match spec.name {
            name @ ("steer" | "answer" | "btw") => format!("/{name} left"),
            name => format!("/{name}"),
        };
        assert!(read(&text).is_ok(), "{text}");
        for name in [Some(spec.name), spec.alias].into_iter().flatten() {
            assert_eq!(find(name).map(|found| found.name), Some(spec.name));
        }
    }
    assert_eq!(command("/HELP"), Request::Help);
    assert_eq!(command("/commands"), Request::Help);
    assert_eq!(command("/reset"), Request::New(None));
    assert_eq!(command("/new opus"), Request::New(Some("opus".into())));
    let focus = "the  prices\nabove all";
    assert_eq!(command(&format!("/compact {focus}")), Request::Compact(focus.into()));
    assert_eq!(command("/model a@b -s"), Request::Model(Some("a@b".into()), true));
    assert_eq!(command("/model default"), Request::Model(Some(String::new()), false));
    assert_eq!(command("/think xhigh"), Request::Think(Some(Some(Thinking::Max)), false));
    assert_eq!(command("/think default -s"), Request::Think(Some(None), true));
    assert_eq!(command("/fast"), Request::Fast(None));
    assert_eq!(command("/fast Auto"), Request::Fast(Some(Some(Fast::Auto))));
    assert_eq!(command("/fast default"), Request::Fast(Some(None)));
    assert_eq!(command("/reasoning off"), Request::Reasoning(Some(Some(false))));
    assert_eq!(command("/reasoning default"), Request::Reasoning(Some(None)));
    assert_eq!(command("/verbose Full"), Request::Verbose(Some(Some(Verbosity::Full))));
    assert_eq!(command("/verbose default"), Request::Verbose(Some(None)));
    let of = |run: Option<&str>| Request::Answer(run.map(str::to_owned), "the red one".into());
    assert_eq!(command("/answer R-12 the red one"), of(Some("R-12")));
    assert_eq!(command("/answer the red one"), of(None));
    assert_eq!(command("/approve"), Request::Approve(None));
    let answer = |which: &str, answer, note: &str| {
        Request::Approve(Some(Approve { which: which.into(), answer, note: note.into() }))
    };
    let once = answer("first", ApprovalAnswer::Once, "");
    assert_eq!(command("/approve first once"), once);
    let denied = answer("0f3a9c11", ApprovalAnswer::Denied, "not on a Friday");
    assert_eq!(command("/approve 0f3a9c11 Deny not on a Friday"), denied);
    assert_eq!(command("/task"), Request::Task(None));
    assert_eq!(command("/task Call  the shop"), Request::Task(Some("Call  the shop".into())));
    assert_eq!(command("/tasks"), Request::Tasks);
    assert_eq!(command("/budget"), Request::Budget);
    assert_eq!((command("/pause"), command("/resume")), (Request::Pause, Request::Resume));
    assert_eq!(command("/agent @otto"), Request::Agent(Some("@otto".into())));
    assert_eq!(command("/queue"), Request::Queue(None));
    let wish = QueueRequest {
        mode: Some(QueueMode::Collect),
        debounce_ms: Some(500),
        cap: Some(25),
        drop: Some(DropPolicy::Summarize),
    };
    let all = "/queue collect debounce:0.5s cap:25 drop:summarize";
    assert_eq!(command(all), Request::Queue(Some(wish)));
    assert_eq!(command("/queue reset"), Request::Queue(Some(QueueRequest::default())));
}

#[test]
fn a_message_is_a_command_only_as_a_whole_and_for_whom_it_is_meant() {
    for text in ["Hello", "a /stop b", "//stop", "/usr/bin/env", "/think high Why?", "/steer left"]
    {
        assert!(matches!(parse(text), Parsed::Text), "{text}");
    }
    match parse(" /Stop  now \n") {
        Parsed::Command { command, arguments } => {
            assert_eq!((command.name, arguments), ("stop", "now"));
        }
        other => panic!("{other:?}"),
    }
    match parse("/stauts") {
        Parsed::Unknown { nearest } => assert_eq!((nearest.len(), nearest[0]), (3, "status")),
        other => panic!("{other:?}"),
    }
    // `/steer` and `/think` without text are commands, whose arguments are checked later.
    for text in ["/steer", "/think", "/think a lot", "/model opus -s"] {
        assert!(matches!(parse(text), Parsed::Command { .. }), "{text}");
    }
    assert!(COMMANDS.iter().all(|spec| spec.about.chars().count() <= 100));
    let may = |can: &[Can]| {
        let access = Access::of(can);
        let names = COMMANDS.iter().filter(|spec| spec.admits(access)).map(|spec| spec.name);
        ["stop", "approve", "pause", "status"].map(|name| names.clone().any(|one| one == name))
    };
    assert_eq!(may(&[Can::Read]), [false, false, false, true]);
    assert_eq!(may(&[Can::Read, Can::Chat]), [true, false, false, true]);
    assert_eq!(may(&[Can::Read, Can::Chat, Can::Approve]), [true, true, false, true]);
    assert_eq!(may(&[Can::Agents]), [false, false, true, false]);
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
