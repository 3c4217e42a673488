//! What people read of a call that they are asked for, how much harm it may do, and for what else a yes can count.

use serde_json::Value;

use commands::{Level, Pattern};
use features::trust::line::Line;
use features::trust::model::{Offer, Plan, What};
use features::trust::weigh::{self, Asked};
use kernel::Risk;
use kernel::text::ellipsis;

/// What people read of a call: of a program its variables before its command line, and what else it gets behind it.
pub(super) fn shown(tool: &str, command: &str, given: &Value) -> String {
    if tool != "exec" || command.is_empty() {
        // ok: a value of our own making is written.
        return serde_json::to_string_pretty(given).unwrap_or_default();
    }
    let mut shown = String::new();
    for (name, value) in given.get("env").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default().replace('\'', r"'\''");
        shown.push_str(&format!("{name}='{value}'\n"));
    }
    shown.push_str(command);
    let secrets = given.get("secrets").and_then(Value::as_array).into_iter().flatten();
    let secrets: Vec<&str> = secrets.filter_map(Value::as_str).collect();
    if !secrets.is_empty() {
        shown.push_str(&format!("\n# with the secrets {}", secrets.join(", ")));
    }
    if given.get("background").and_then(Value::as_bool) == Some(true) {
        shown.push_str("\n# goes on in the background");
    }
    shown
}

/// Whether a variable of this name may say which code a program runs.
pub(super) fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let begins = ["LD_", "GIT_", "NODE_", "PYTHON", "PERL", "RUBY", "CARGO_", "RUSTC", "NPM_"];
    let ends = ["OPTIONS", "OPTS", "PAGER", "EDITOR", "PATH", "SHELL"];
    begins.iter().any(|part| name.starts_with(part)) || ends.iter().any(|part| name.ends_with(part))
}

pub(super) fn risk_of(line: &Line) -> Risk {
    match commands::risk(&line.text, &line.reduced).level {
        Level::Low => Risk::Low,
        Level::Medium => Risk::Medium,
        Level::High => Risk::High,
    }
}

/// For what else a yes to a command line can count, the narrowest first. What cannot be taken apart, and programs with
/// code among their words, are asked for each time.
pub(super) fn offers_of(line: &Line) -> Vec<Offer> {
    let seen = line.seen.as_deref().unwrap_or_default();
    if seen.iter().any(|one| weigh::does_what_files_say(&one.argv[0])) {
        return Vec::new();
    }
    let scopes = commands::scopes(seen);
    let label = |patterns: &[Pattern]| {
        let shown: Vec<String> = patterns.iter().map(Pattern::shown).collect();
        ellipsis(&shown.join(" · "), 300)
    };
    let offer = |patterns: Vec<Pattern>| Offer {
        label: label(&patterns),
        whats: patterns.into_iter().map(What::Command).collect(),
    };
    scopes.into_iter().map(|scope| offer(scope.patterns)).collect()
}

pub(super) fn offers_of_request(
    request: Option<Asked>,
    digest: [u8; 32],
    plan: &Plan,
) -> Vec<Offer> {
    let shown = ellipsis(&plan.shown, 400);
    let same =
        Offer { label: "exactly this call".to_owned(), whats: vec![What::Same { digest, shown }] };
    let host = request.filter(|asked| asked.is_usual).map(|Asked { method, host, .. }| Offer {
        label: format!("{method} requests to {host}"),
        whats: vec![What::Host { method, host }],
    });
    std::iter::once(same).chain(host).collect()
}
