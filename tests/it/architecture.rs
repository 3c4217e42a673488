//! Source rules that the compiler cannot check: use of foreign crates per file, who may write, relations between nouns,
//! length of files. Manifests define dependencies of packages. There are no exemptions; an exception is an edit here.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use support::source::{code_only, files, paths};

const FILES: &str = "app/config store crypto git sandbox browser backup search embed connect \
                     skill/unpack/folder reach/skills/disk sources/tests knowledge/tests vault/tests \
                     gateways/machine link/identity replica server demo cli";
const SURFACE: &str = "app/extract web list kit server cli interfaces crm knowledge sources vault gateways \
     channels";
/// Foreign crates and parts of the standard library, and the only places that may use them.
const CONFINED: &[(&str, &str)] = &[
    ("redb", "store"),
    ("jsonschema", "mcp/schema"),
    ("postcard", "store/codec"),
    ("gix", "git"),
    ("reqwest", "net"),
    ("aes_gcm", "crypto"),
    ("hkdf", "crypto"),
    ("argon2", "crypto"),
    ("aws_lc_rs", "crypto credential_proxy/trust link"),
    ("Lease::granted", "runtime/gate"),
    ("qrcodegen", "web/qr"),
    ("image", "tool/picture"),
    ("flate2", "extract/pdf connect/web skill/unpack/tar_gz"),
    ("aes", "extract/pdf"),
    ("md5", "extract/pdf"),
    ("mail_parser", "extract/mail"),
    ("landlock", "sandbox"),
    ("seccompiler", "sandbox"),
    ("fastcdc", "backup"),
    ("zstd", "backup"),
    ("tar", "backup skill/unpack/tar_gz"),
    ("zip", "sheet/package skill/unpack/zip_file"),
    ("saphyr_parser", "skill/yaml"),
    ("rusty_s3", "backup"),
    ("tantivy", "search"),
    ("frostem", "search/stems"),
    ("candle_core", "embed/bert"),
    ("tokenizers", "embed/bert"),
    ("rayon", "embed/bert"),
    ("pulp", "embed"),
    ("lettre", "net"),
    ("rcgen", "credential_proxy"),
    ("rustls", "credential_proxy link/tls"),
    ("tokio_rustls", "credential_proxy link/tls"),
    ("croner", "kernel/cadence"),
    ("csv", "sheet"),
    ("quick_xml", "sheet/xlsx sheet/ods sheet/package extract/office connect/web"),
    ("axum", SURFACE),
    ("askama", SURFACE),
    ("clap", "cli"),
    ("std::env", "app/config main browser/tests"),
    ("std::fs", FILES),
    ("std::process::Command", "sandbox cli browser/tests"),
    ("tokio::process", "sandbox cli"),
    ("tokio::spawn", "server cli browser/tests"),
    ("tokio::task::spawn", "server"),
];
/// Methods that change the store, and the files that may call them (besides the store).
const WRITES: &[(&str, &str)] = &[
    ("tx.put", "rules reactions migrations stored"),
    ("tx.delete", "rules reactions migrations stored"),
    ("tx.emit", "rules stored"),
];

/// Files in which the engine may write with a closure over a store's tables. All its other writes are values that can
/// be sent over a link; the files listed here work on local files and pages, or are the primary's end of the link.
const CLOSURES: &str =
    "runtime/command runtime/port runtime/reverts runtime/remote runtime/tools/browser/shots";

#[test]
fn the_source_keeps_to_its_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    let sources = files(&root.join("src"));
    for (name, text) in &sources {
        // Data that is embedded beside the code, such as the model catalogue, has no rules.
        if let Some(module) = name.strip_suffix(".rs") {
            check(module, text, &mut faults);
        }
    }
    let templates = files(&root.join("templates"));
    for (name, _) in &templates {
        let quoted = format!("\"{name}\"");
        if !sources.iter().chain(&templates).any(|(_, text)| text.contains(&quoted)) {
            faults
                .push(format!("templates/{name}: no struct, extends, include or import names it"));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_image_builds_its_dependencies_with_every_file_that_cargo_asks_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let skeleton = tempfile::tempdir().expect("a folder");
    let made = Command::new(root.join("scripts/skeleton.sh"))
        .arg(skeleton.path())
        .status()
        .expect("the script runs");
    assert!(made.success());
    let manifests: Vec<_> = files(skeleton.path())
        .into_iter()
        .filter(|(name, _)| name.ends_with("Cargo.toml"))
        .collect();
    assert!(manifests.len() > 20, "{manifests:?}");
    for (name, manifest) in manifests {
        let folder = skeleton.path().join(&name).parent().expect("a folder").to_path_buf();
        let named = manifest
            .lines()
            .filter(|line| ["path = \"", "build = \""].iter().any(|key| line.starts_with(key)));
        for file in named.filter_map(|line| line.split('"').nth(1)) {
            assert!(folder.join(file).is_file(), "{name}: the layer of dependencies has no {file}");
        }
    }
}

#[test]
fn the_program_and_its_tests_are_built_with_the_same_features() {
    let features = |selection: &[&str]| -> BTreeSet<String> {
        let told = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p} [{f}]"])
            .args(selection)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let told = String::from_utf8(told.stdout).expect("text");
        told.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
    };
    let program = features(&["--package", "hq", "--edges", "normal,no-proc-macro"]);
    let tests = features(&["--workspace", "--edges", "normal,dev,no-proc-macro"]);
    let differing: Vec<_> = program.difference(&tests).map(String::as_str).collect();
    assert!(
        differing.is_empty(),
        "`make run` after `make test` compiles these, and all that uses them, a second time; name what tests add to \
         their features in the dependencies of Cargo.toml:\n{}",
        differing.join("\n")
    );
}

#[test]
fn the_check_sees_what_it_forbids() {
    let found = |name: &str, text: &str| {
        let mut faults = Vec::new();
        check(name, &format!("//! Words.\n{text}"), &mut faults);
        faults.len()
    };
    assert_eq!(found("features/tasks/rules", "use crate::agents::{model, rules::go};"), 1);
    assert_eq!(
        found("interfaces/work/tasks/pages", "use features::{agents::rules::go, tasks::rules};"),
        1
    );
    assert_eq!(found("interfaces/work/tasks/pages", "use crate::comments::pages::show;"), 1);
    assert_eq!(
        found("features/tasks/rules", "// crate::agents::rules\nlet a = \"redb::x\"; 'c';"),
        0
    );
    assert_eq!(
        found("interfaces/work/tasks/pages", "use std::{fs, process::ExitCode};\nredb::Key"),
        2
    );
    assert_eq!(
        found("interfaces/work/tasks/pages", "tx\n    .put(&task)?; tx.delete::<Task>(id)?"),
        2
    );
    let closure = "ws.write(&BY, move |tx| rules::wake(tx, run)).await";
    assert_eq!((found("runtime/dispatcher", closure), found("runtime/port", closure)), (1, 0));
    assert_eq!(found("kernel/id_tests", "use redb::Key;"), 0);
    assert_eq!(found("kernel/id", "#[cfg(test)]\nmod tests { use redb::Key; }"), 0);
}

/// Features whose pages read a lot: a record's whole history, the feed, stored files.
const HEAVY: &[&str] =
    &["insights/history", "insights/audit", "account/backups", "insights/health"];

#[test]
fn what_reads_much_keeps_no_thread_that_answers_others() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/interfaces");
    let mut faults = Vec::new();
    for feature in HEAVY {
        let all = files(&root.join(feature));
        assert!(!all.is_empty(), "{feature} is no folder");
        for (name, text) in all {
            if name.starts_with("pages") || name.starts_with("api") {
                let found = blocking(&code_only(&text));
                faults.extend(found.into_iter().map(|of| format!("{feature}/{name}: {of}")));
            }
        }
    }
    assert!(faults.is_empty(), "these read outside of `read_blocking`:\n{}", faults.join("\n"));
}

#[test]
fn a_handler_that_reads_on_its_own_thread_is_seen() {
    let slow = "fn all(ws: &Ws) { ws.read(|snap| 1) } fn more(ws: &Ws) { all(ws) }";
    let found = |handler: &str| blocking(&format!("{slow} async fn show(ws: Ws) {{ {handler} }}"));
    assert_eq!(found("ws.read(|snap| 1)"), ["show"]);
    assert_eq!(found("let a = 1; more(&ws)"), ["show"]);
    assert_eq!(found("ws.read_blocking(move |ws| more(ws)).await; all(&ws)"), ["show"]);
    assert_eq!(found("ws.read_blocking(move |ws| (ws.read(|snap| 1), more(ws))).await"), [""; 0]);
    assert_eq!(found("let call = wall(&ws); ws.overall(1)"), [""; 0]);
}

/// Async functions of a file that read a store directly, or through a function of the same file, instead of using
/// `read_blocking`.
fn blocking(code: &str) -> Vec<String> {
    let mut functions = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let name: String =
            code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(open) = code[at..].find('{').map(|open| at + open) else { continue };
        let body = &code[open..open + inside(&code[open..], ('{', '}'))];
        functions.push((name, code[..at].ends_with("async "), body));
    }
    let mut slow: Vec<String> = Vec::new();
    loop {
        let more = functions.iter().filter(|(name, is_async, body)| {
            !is_async && !slow.contains(name) && reads(body, &slow)
        });
        let more: Vec<String> = more.map(|(name, ..)| name.clone()).collect();
        if more.is_empty() {
            break;
        }
        slow.extend(more);
    }
    let handlers = functions.iter().filter(|(_, is_async, _)| *is_async);
    let blocked = handlers.filter(|(.., body)| {
        let mut own = (*body).to_owned();
        while let Some(at) = own.find(".read_blocking(") {
            let open = at + ".read_blocking".len();
            own.replace_range(at..open + inside(&own[open..], ('(', ')')), "");
        }
        reads(&own, &slow)
    });
    blocked.map(|(name, ..)| name.clone()).collect()
}

/// Whether the body reads a store or calls one of these functions.
fn reads(body: &str, slow: &[String]) -> bool {
    let called = |name: &String| {
        body.match_indices(&format!("{name}(")).any(|(at, _)| {
            let before = body[..at].chars().next_back().unwrap_or(' ');
            !(before.is_alphanumeric() || "_.:".contains(before))
        })
    };
    body.contains(".read(|") || slow.iter().any(called)
}

/// Length of the text up to the closing bracket of the bracket at its start.
fn inside(text: &str, (open, close): (char, char)) -> usize {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        depth += usize::from(c == open);
        if c == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return at + 1;
            }
        }
    }
    text.len()
}

fn check(name: &str, text: &str, faults: &mut Vec<String>) {
    // Test code (a module, a neighbouring file or a folder of the package) may name anything.
    let is_test = |part: &str| part == "tests" || part.ends_with("_tests");
    let end = match name.split('/').skip(1).any(is_test) {
        true => 0,
        false => text.find("#[cfg(test)]\nmod ").unwrap_or(text.len()),
    };
    let code = code_only(&text[..end]);
    let mut fault = |at: usize, rule: String| {
        let line = code[..at].bytes().filter(|b| *b == b'\n').count() + 1;
        faults.push(format!("src/{name}.rs:{line}: {rule}"));
    };
    if !text.starts_with("//!") {
        fault(0, "a module starts with `//!`".to_owned());
    }
    if text[..end].lines().count() > 600 {
        fault(0, "more than 600 lines of production code; split it by idea".to_owned());
    }
    // A noun's facts may use another noun only through its model and queries; its interfaces may call only its own
    // rules.
    let parts: Vec<&str> = name.split('/').collect();
    let (own, roots): (&str, &[(&str, bool)]) = match parts.as_slice() {
        ["features", own, ..] => (own, &[("crate", false)]),
        ["interfaces", _, own, ..] => (own, &[("crate", true), ("features", false)]),
        _ => ("", &[]),
    };
    for (root, closed) in roots {
        for (at, path) in paths(&code, root) {
            let noun = path.get(1).map_or("", String::as_str);
            let within = path.get(2).map_or("", String::as_str);
            // What every noun offers is in its card. The list of cards, and the modules that conversations, files and
            // claims attach to, are no nouns.
            let open = !closed && matches!(within, "model" | "queries" | "card");
            let named = path.len() > 2
                && own != "lib"
                && !["cards", "claims", "places", own].contains(&noun);
            if named && !open {
                fault(at, format!("`{noun}` may be named only by its model and queries"));
            }
        }
    }
    for (what, places) in CONFINED {
        let wanted: Vec<&str> = what.split("::").collect();
        for (at, path) in paths(&code, wanted[0]) {
            let same = path.iter().zip(&wanted).all(|(a, b)| a == b || a == "self");
            if same && !places.split_whitespace().any(|place| stands_in(name, place)) {
                fault(at, format!("`{what}` only in {}", places));
            }
        }
    }
    if parts[0] == "runtime" && !CLOSURES.split(' ').any(|place| stands_in(name, place)) {
        for (at, _) in
            code.match_indices("|tx").filter(|(at, _)| code[at + 3..].starts_with(['|', ':', ',']))
        {
            fault(at, "the engine writes by a command (`runtime/command.rs`)".to_owned());
        }
    }
    for (what, allowed) in WRITES.iter().filter(|_| parts[0] != "store") {
        let (receiver, method) = what.split_once('.').expect("invariant: written as tx.method");
        for (at, _) in code.match_indices(&format!(".{method}")) {
            let called = code[at + method.len() + 1..].starts_with(['(', ':']);
            let ours = code[..at].trim_end().ends_with(receiver);
            if called
                && ours
                && !name.split('/').any(|part| allowed.split(' ').any(|one| one == part))
            {
                fault(at, format!("`{what}` only in {}", allowed));
            }
        }
    }
}

/// Whether the file is at `place` or below it; `*` stands for any one folder.
fn stands_in(name: &str, place: &str) -> bool {
    let mut parts = name.split('/');
    place.split('/').all(|want| parts.next().is_some_and(|part| want == "*" || want == part))
}
