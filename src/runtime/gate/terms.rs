//! The data of an approval request: the text shown to people, the risk, the wider permissions on offer, and the stored
//! record of the decision.

use std::collections::BTreeSet;

use serde_json::Value;
use sha2::{Digest, Sha256};

use commands::{Level, Pattern};
use crypto::redact::Redactor;
use features::trust::authorize::{self, Facts, OutgoingRequest};
use features::trust::line::Line;
use features::trust::model::{BROWSER, CallRecord, Offer, Plan, What, Witness};
use features::trust::sites;
use kernel::text::ellipsis;
use kernel::{AccessDecision, Risk};
use tool::registry::Entry;

use crate::toolbox::Call;
use crate::tools::browser::AtSite;
use crate::tools::request;

/// Most changed files that are named when an approval no longer fits.
const MOST_NAMED: usize = 3;

/// The text of a call for people. For a program: its variables, its command line, and what else it gets. For a request:
/// what is sent.
pub(super) fn shown(tool: &str, command: &str, given: &Value) -> String {
    if tool == request::NAME {
        return sent(given);
    }
    if tool != "exec" || command.is_empty() {
        // ok: a parsed value can be serialised.
        return serde_json::to_string_pretty(given).unwrap_or_default();
    }
    let mut shown = String::new();
    for (name, value) in given.get("env").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default().replace('\'', r"'\''");
        shown.push_str(&format!("{name}='{value}'\n"));
    }
    shown.push_str(command);
    let secrets: Vec<&str> = variables(given).collect();
    if !secrets.is_empty() {
        shown.push_str(&format!("\n# with the secrets {}", secrets.join(", ")));
    }
    if given.get("background").and_then(Value::as_bool) == Some(true) {
        shown.push_str("\n# continues in the background");
    }
    shown
}

/// A request as it is sent: method and address, one line per header, an empty line and the body.
fn sent(given: &Value) -> String {
    // Escape line breaks, so that no value can forge a line.
    let line = |text: &str| text.replace('\r', "\\r").replace('\n', "\\n");
    let text = |key: &str| given.get(key).and_then(Value::as_str).unwrap_or_default().trim();
    let method = match text("method") {
        "" => "GET".to_owned(),
        method => line(method).to_uppercase(),
    };
    let mut sent = format!("{method} {}", line(text("url")));
    for (name, value) in given.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        sent.push_str(&format!("\n{}: {}", line(name), line(value)));
    }
    let body = match given.get("body") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(body)) => body.clone(),
        // ok: a parsed value can be serialised.
        Some(body) => serde_json::to_string_pretty(body).unwrap_or_default(),
    };
    if !body.is_empty() {
        sent.push_str("\n\n");
        sent.push_str(&body);
    }
    sent
}

/// The names of the secrets in a call, without duplicates.
pub(super) fn secrets_of(tool: &str, given: &Value) -> Vec<String> {
    let mut keys = BTreeSet::new();
    if tool == request::NAME {
        keys.extend(request::names_in(&given.to_string()).flatten().map(str::to_owned));
    } else {
        keys.extend(variables(given).map(str::to_owned));
    }
    keys.into_iter().collect()
}

/// The names of the secrets that a program gets as variables.
fn variables(given: &Value) -> impl Iterator<Item = &str> {
    let named = given.get("secrets").and_then(Value::as_array).into_iter().flatten();
    named.filter_map(Value::as_str)
}

/// Returns `true` if a variable of this name may determine which code a program runs.
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

/// The wider permissions that an approval of a command line may offer, narrowest first. None for lines that cannot be
/// parsed and for programs with code in their arguments.
pub(super) fn offers_of(line: &Line) -> Vec<Offer> {
    let seen = line.seen.as_deref().unwrap_or_default();
    let loads = |one: &commands::Seen| {
        !one.files.is_empty() || authorize::does_what_files_say(&one.argv[0])
    };
    if seen.iter().any(loads) {
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

/// The wider permissions that an approval of another call may offer. A connected server's tool was reviewed by people,
/// so it can be allowed as a whole.
pub(super) fn offers_of_call(
    entry: &Entry,
    request: Option<OutgoingRequest>,
    digest: [u8; 32],
    plan: &Plan,
) -> Vec<Offer> {
    let shown = ellipsis(&plan.shown, 400);
    let same =
        Offer { label: "exactly this call".to_owned(), whats: vec![What::Same { digest, shown }] };
    let host =
        request.filter(|one| one.is_usual).map(|OutgoingRequest { method, host, .. }| Offer {
            label: format!("{method} requests to {host}"),
            whats: vec![What::Host { method, host }],
        });
    let all = entry.is_layered().then(|| Offer {
        label: format!("all calls of {}", entry.spec.name),
        whats: vec![What::All],
    });
    std::iter::once(same).chain(host).chain(all).collect()
}

/// The stored record of a decision on a call, with the call's requests to a site.
pub(super) fn judged(
    call: &Call,
    facts: Facts<'_>,
    act: Option<&AtSite>,
    leave: AccessDecision,
    redactor: &Redactor,
) -> CallRecord {
    // Actions on a site are permitted for the browser as a whole, whichever tool requests them.
    let requested = act.map(|act| sites::of_offers(&act.terms().1));
    let facts = match &requested {
        Some(requested) => Facts { tool: BROWSER, request: requested.as_ref(), ..facts },
        None => Facts { tool: &call.name, ..facts },
    };
    CallRecord::of(&call.id, &facts, leave, redactor)
}

/// SHA-256 over the tool name, the plan's arguments, folder and files, and the secrets. Each part is preceded by its
/// length.
pub(super) fn digest_of(tool: &str, plan: &Plan, secrets: &[String]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    add(tool.as_bytes());
    add(plan.arguments.as_bytes());
    add(plan.folder.as_bytes());
    for file in &plan.files {
        add(file.path.as_bytes());
        add(&file.hash);
    }
    for secret in secrets {
        add(secret.as_bytes());
    }
    hash.finalize().into()
}

/// Describes in a sentence what changed since the approval.
pub(super) fn differs(then: &Plan, now: &Plan) -> String {
    let gone = then.files.iter().filter(|file| !now.files.contains(file));
    // A renamed part of a page counts as the same part; a new file counts as another file.
    let is_new = |file: &&Witness| file.is_loaded() && !then.files.contains(file);
    let come = now.files.iter().filter(is_new);
    let mut names: Vec<&str> = Vec::new();
    for file in gone.chain(come) {
        if !names.contains(&file.name()) {
            names.push(file.name());
        }
    }
    match names.as_slice() {
        [one] => format!("{one} has changed since the approval"),
        [first @ .., last] if first.len() < MOST_NAMED => {
            format!("{} and {last} have changed since the approval", first.join(", "))
        }
        all if !all.is_empty() => {
            let (named, more) = all.split_at(MOST_NAMED);
            format!(
                "{} and {} more files have changed since the \
                approval",
                named.join(", "),
                more.len()
            )
        }
        _ if (&then.arguments, &then.folder) == (&now.arguments, &now.folder) => {
            "A secret it uses has changed since the approval".to_owned()
        }
        _ => "What it would do has changed since the approval".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{secrets_of, shown};
    use crate::tools::request;

    #[test]
    fn a_request_is_read_as_it_goes_out_and_nothing_in_it_forges_a_line() {
        let given = json!({
            "url": "https://mail.example/send\nHost: bank.example",
            "method": "post",
            "headers": { "X-Key": "{{secret:MAIL}}\r\nX-More: yes" },
            "body": "one\ntwo",
        });
        assert_eq!(
            shown(request::NAME, "", &given),
            "POST https://mail.example/send\\nHost: bank.example\n\
             X-Key: {{secret:MAIL}}\\r\\nX-More: yes\n\none\ntwo"
        );
        let given = json!({ "url": "https://mail.example/", "body": { "to": 1 } });
        assert_eq!(
            shown(request::NAME, "", &given),
            "GET https://mail.example/\n\n{\n  \"to\": 1\n}"
        );
        let given = json!({ "url": "https://a.example/?k={{secret: B}}", "body": "{{secret:A}}{{secret:B}}" });
        assert_eq!(secrets_of(request::NAME, &given), ["A", "B"]);
        assert_eq!(secrets_of("exec", &json!({ "secrets": ["B", "A", "B"] })), ["A", "B"]);
        assert_eq!(shown("exec", "ls", &json!({ "command": "ls" })), "ls");
        assert_eq!(shown("memory", "", &json!({ "key": "a" })), "{\n  \"key\": \"a\"\n}");
    }
}
