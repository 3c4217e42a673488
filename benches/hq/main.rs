//! Measures HQ's performance promises and prints one table: promise, figure of a widely used peer on a similar machine,
//! own figure. All rows are measured from outside on the release program, with a durable data folder on the build's
//! disk. The model is a loopback server that answers at once, so a turn costs what HQ costs. Rate limits are disabled.
//!
//! `make bench` runs all rows, `make bench ARGS=turn` those whose name contains the word. Rows with missing
//! prerequisites say so; the command fails only if a promise is missed.

#![expect(clippy::print_stdout, reason = "a table on standard output is what this program is for")]

mod agents;
mod away;
mod browser_rows;
mod channels;
mod company;
mod customers;
mod find;
mod held;
mod knowledge;
mod load;
mod model;
mod proof;
mod quality;
mod reach;
mod rows;
mod runtime;
mod credential_proxy;
mod trust;
mod undo;
mod wizard;

use std::process::ExitCode;

struct Row {
    name: &'static str,
    promise: &'static str,
    /// Figure of a peer on such a machine, measured once; a dash if there is none.
    peer: &'static str,
    measure: rows::Measure,
}

struct Figure {
    text: String,
    kept: bool,
}

const ROWS: &[Row] = &[
    Row { name: "binary", promise: "≤ 45 MB", peer: "–", measure: rows::binary },
    Row { name: "first answer", promise: "≤ 100 ms", peer: "7.7 s", measure: rows::start },
    Row { name: "memory idle (Pss)", promise: "≤ 30 MB", peer: "873 MB", measure: rows::memory },
    Row {
        name: "request of default agent",
        promise: "≤ 12 KB",
        peer: "61 KB",
        measure: rows::prompt,
    },
    Row {
        name: "turn, 1 client",
        promise: "p50 ≤ 5 ms",
        peer: "201 ms",
        measure: rows::turn_alone,
    },
    Row {
        name: "turn, 16 clients", promise: "≥ 500/s", peer: "7.2/s", measure: rows::turn_crowd
    },
    Row {
        name: "assign, 1 client",
        promise: "p50 ≤ 1.3 fsync + 0.6 ms",
        peer: "0.58 ms (SQL)",
        measure: rows::assign_alone,
    },
    Row {
        name: "assign, 64 clients",
        promise: "≥ 4,000/s",
        peer: "2,530/s (SQL)",
        measure: rows::assign_crowd,
    },
    Row {
        name: "write to 100 open pages",
        promise: "p99 ≤ 10 ms",
        peer: "–",
        measure: rows::streams,
    },
    Row {
        name: "tool call",
        promise: "≤ 1.3 fsync + 2 ms",
        peer: "–",
        measure: runtime::tool_call,
    },
    Row {
        name: "start of exec, over bare", promise: "≤ 5 ms", peer: "–", measure: runtime::exec
    },
    Row { name: "relay of a piece", promise: "p99 ≤ 5 ms", peer: "–", measure: runtime::relay },
    Row {
        name: "200 runs at once",
        promise: "≤ 150 MB more",
        peer: "613 MB",
        measure: runtime::at_once,
    },
    Row {
        name: "wake to the model", promise: "p50 ≤ 10 ms", peer: "–", measure: runtime::wake
    },
    Row {
        name: "stop of a silent turn", promise: "p99 ≤ 1 s", peer: "–", measure: runtime::stop
    },
    Row { name: "resume after a kill", promise: "≤ 2 s", peer: "–", measure: runtime::resume },
    Row {
        name: "chat of 10,000 events",
        promise: "p50 ≤ 5 ms",
        peer: "–",
        measure: runtime::long_session,
    },
    Row {
        name: "10,000 open pages, idle",
        promise: "≤ 10 KiB each",
        peer: "–",
        measure: held::streams,
    },
    Row {
        name: "20 workspaces, idle",
        promise: "≤ 10 MB more than one",
        peer: "–",
        measure: held::workspaces,
    },
    Row {
        name: "search index of 100k tasks",
        promise: "≥ 10,000/s",
        peer: "–",
        measure: find::index,
    },
    Row {
        name: "palette key, 100k tasks",
        promise: "p99 ≤ 50 ms",
        peer: "–",
        measure: find::palette,
    },
    Row {
        name: "answers, nDCG@10",
        promise: "≥ 0.75, words, meaning",
        peer: "–",
        measure: quality::search,
    },
    Row {
        name: "paraphrases, nDCG@10",
        promise: "≥ 0.60, words, meaning",
        peer: "–",
        measure: quality::paraphrases,
    },
    Row {
        name: "identifiers, nDCG@10",
        promise: "≥ 0.95, words, meaning",
        peer: "–",
        measure: quality::identifiers,
    },
    Row {
        name: "words in 100k passages",
        promise: "p99 ≤ 8 ms",
        peer: "–",
        measure: knowledge::words,
    },
    Row {
        name: "words, by tag and kind",
        promise: "p99 ≤ 8 ms",
        peer: "–",
        measure: knowledge::filtered,
    },
    Row {
        name: "list of 10,000 pages",
        promise: "p99 ≤ 10 ms",
        peer: "–",
        measure: knowledge::list,
    },
    Row {
        name: "page, 100k indexed : idle",
        promise: "p99 ≤ 1.2",
        peer: "–",
        measure: knowledge::while_indexed,
    },
    Row {
        name: "save of 100 KB",
        promise: "p50 ≤ 1.3 fsync + 3 ms",
        peer: "–",
        measure: knowledge::save,
    },
    Row {
        name: "context of 500 pages",
        promise: "p50 ≤ 5 ms",
        peer: "–",
        measure: knowledge::context,
    },
    Row {
        name: "both over words, 1k passages",
        promise: "p50 ≤ 12 ms more",
        peer: "–",
        measure: knowledge::both,
    },
    Row {
        name: "MCP call : npm client",
        promise: "p50 ≤ 1.2",
        peer: "same run",
        measure: reach::stdio,
    },
    Row {
        name: "tool_search, 500 tools", promise: "p99 ≤ 5 ms", peer: "–", measure: reach::find
    },
    Row {
        name: "request, 200 tools of 5",
        promise: "≤ 300 B more",
        peer: "–",
        measure: reach::prompt,
    },
    Row {
        name: "20 MCP servers, idle",
        promise: "≤ 2 MB more, 0 processes",
        peer: "–",
        measure: reach::idle,
    },
    Row {
        name: "web search, over its engine",
        promise: "≤ 5 ms, cached ≤ 1 ms",
        peer: "same run",
        measure: reach::web,
    },
    Row { name: "skill of 2,000 files", promise: "≤ 3 s", peer: "–", measure: reach::install },
    Row { name: "proof, 1,000 calls", promise: "≤ 50 ms", peer: "–", measure: proof::delivery },
    Row {
        name: "undo of 10,000 task changes", promise: "≤ 5 s", peer: "–", measure: undo::tasks
    },
    Row {
        name: "list of 100k tasks",
        promise: "p99 ≤ 10 ms",
        peer: "61 ms (SQL)",
        measure: company::list,
    },
    Row {
        name: "board of 100k tasks", promise: "p99 ≤ 10 ms", peer: "–", measure: company::board
    },
    Row {
        name: "filter of 100k tasks",
        promise: "p99 ≤ 10 ms",
        peer: "–",
        measure: company::filter,
    },
    Row {
        name: "palette key, company",
        promise: "p99 ≤ 50 ms",
        peer: "–",
        measure: company::palette,
    },
    Row { name: "read call over MCP", promise: "p50 ≤ 3 ms", peer: "–", measure: company::mcp },
    Row { name: "bulk edit of 500", promise: "≤ 300 ms", peer: "–", measure: company::bulk },
    Row {
        name: "template of 50, 80 waits",
        promise: "≤ 50 ms",
        peer: "–",
        measure: company::spawn,
    },
    Row {
        name: "change on another page", promise: "≤ 50 ms", peer: "–", measure: company::seen
    },
    Row {
        name: "Activity, 100k tasks",
        promise: "p99 ≤ 25 ms",
        peer: "–",
        measure: company::activity,
    },
    Row {
        name: "audit, 100k tasks", promise: "p99 ≤ 25 ms", peer: "–", measure: company::audit
    },
    Row {
        name: "memory a minute after a burst",
        promise: "≤ 200 MB",
        peer: "–",
        measure: company::burst,
    },
    Row {
        name: "import of 10,000 rows",
        promise: "≤ 5 s, back ≤ 10 s",
        peer: "–",
        measure: customers::import,
    },
    Row {
        name: "list of 100k contacts",
        promise: "p99 ≤ 10 ms",
        peer: "–",
        measure: customers::list,
    },
    Row {
        name: "sort of 100k contacts",
        promise: "p99 ≤ 25 ms",
        peer: "–",
        measure: customers::sort,
    },
    Row {
        name: "search of 100k contacts",
        promise: "p99 ≤ 25 ms",
        peer: "–",
        measure: customers::search,
    },
    Row {
        name: "groups of 100k contacts",
        promise: "p99 ≤ 25 ms",
        peer: "–",
        measure: customers::groups,
    },
    Row {
        name: "board of 100k contacts",
        promise: "p99 ≤ 15 ms",
        peer: "–",
        measure: customers::board,
    },
    Row {
        name: "lists beside an import : idle",
        promise: "p99 ≤ 2",
        peer: "–",
        measure: customers::beside,
    },
    Row {
        name: "first list after a start",
        promise: "≤ 400 ms, ≤ 60 MB more",
        peer: "–",
        measure: customers::start,
    },
    Row {
        name: "preview of 50,000 rows",
        promise: "≤ 2 s",
        peer: "–",
        measure: customers::preview,
    },
    Row {
        name: "XLSX of 50,000 × 20, read",
        promise: "≤ 4 s, ≤ 200 MB more",
        peer: "–",
        measure: customers::sheet,
    },
    Row {
        name: "cell, over an assignment", promise: "≤ 1.2", peer: "–", measure: customers::cell
    },
    Row {
        name: "form of 10 fields, to a model",
        promise: "≤ ½ of agent-browser",
        peer: "same run",
        measure: browser_rows::form_of_ten,
    },
    Row {
        name: "click by ref",
        promise: "p50 ≤ 25 ms, ≤ 2 ms over CDP",
        peer: "same run",
        measure: browser_rows::click,
    },
    Row {
        name: "browser ready, over bare",
        promise: "≤ 60 ms",
        peer: "same run",
        measure: browser_rows::ready,
    },
    Row {
        name: "look at 1,000 parts",
        promise: "p50 ≤ 30 ms, ≤ 10 KB",
        peer: "–",
        measure: browser_rows::look,
    },
    Row {
        name: "HQ's memory an open browser",
        promise: "≤ 3 MB",
        peer: "–",
        measure: browser_rows::memory,
    },
    Row {
        name: "killed browser, next act",
        promise: "≤ 2 s",
        peer: "–",
        measure: browser_rows::killed,
    },
    Row {
        name: "left after a kill of HQ",
        promise: "0 after 1 s, start ≤ 2 s",
        peer: "–",
        measure: browser_rows::left,
    },
    Row {
        name: "set-up in steps", promise: "≤ 300 ms in all", peer: "–", measure: wizard::steps
    },
    Row { name: "agent made", promise: "p50 ≤ 30 ms", peer: "–", measure: agents::made },
    Row {
        name: "file saved, over git's commit",
        promise: "≤ 1",
        peer: "–",
        measure: agents::saved,
    },
    Row {
        name: "tree of 10,000 files", promise: "p99 ≤ 25 ms", peer: "–", measure: agents::tree
    },
    Row {
        name: "dashboard of 100 agents",
        promise: "p99 ≤ 15, part 4, 18 KB",
        peer: "–",
        measure: agents::dashboard,
    },
    Row {
        name: "100 dashboards, 16 agents work",
        promise: "≤ 0.5 core",
        peer: "–",
        measure: agents::open_dashboards,
    },
    Row {
        name: "offers for 100 agents", promise: "≤ 500 ms", peer: "–", measure: agents::offers
    },
    Row {
        name: "history, over git log", promise: "≤ 1.5", peer: "–", measure: agents::history
    },
    Row {
        name: "verdict among 500 rules",
        promise: "≤ 50 µs more",
        peer: "–",
        measure: agents::verdict,
    },
    Row {
        name: "verdict on ten programs",
        promise: "≤ 50 µs more, p99 ≤ 300",
        peer: "–",
        measure: agents::line,
    },
    Row {
        name: "answer, run goes on",
        promise: "p99 ≤ 50 ms",
        peer: "–",
        measure: trust::answered,
    },
    Row {
        name: "1,000 runs wait for a yes",
        promise: "≤ 5 MB, start ≤ 200 ms",
        peer: "–",
        measure: trust::held,
    },
    Row {
        name: "exec with 20 secrets, over none",
        promise: "≤ 1.05",
        peer: "–",
        measure: trust::secrets,
    },
    Row {
        name: "1,000 secrets masked, over 10",
        promise: "≤ 1.5, one more ≤ 50 ms",
        peer: "–",
        measure: trust::redaction,
    },
    Row {
        name: "key put in, over a tunnel",
        promise: "p50 ≤ 1 ms more",
        peer: "same run",
        measure: credential_proxy::kept_alive,
    },
    Row {
        name: "100 MB past a key : tunnel",
        promise: "≤ 2.5",
        peer: "same run",
        measure: credential_proxy::large,
    },
    Row { name: "turn on a host : at home", promise: "≤ 2", peer: "–", measure: away::turn },
    Row {
        name: "tool call of a host",
        promise: "≤ 2.6 fsync + 2 ms",
        peer: "–",
        measure: away::tool_call,
    },
    Row {
        name: "wake to the model, on a host",
        promise: "p50 ≤ 20 ms",
        peer: "–",
        measure: away::wake,
    },
    Row {
        name: "commit, durable on a host",
        promise: "p99 ≤ 30 ms",
        peer: "–",
        measure: away::durable,
    },
    Row {
        name: "idle host, 10 agents (Pss)",
        promise: "≤ 20 MB, ≤ 0.2 % of a core",
        peer: "1.5 GB",
        measure: away::idle,
    },
    Row {
        name: "channel message, to model",
        promise: "p50 ≤ 15 ms, p99 ≤ 50 ms",
        peer: "–",
        measure: channels::message,
    },
    Row {
        name: "channel answer sent",
        promise: "p50 ≤ 15 ms",
        peer: "–",
        measure: channels::answer,
    },
    Row {
        name: "channel press, run goes on",
        promise: "p99 ≤ 100 ms",
        peer: "–",
        measure: channels::press,
    },
    Row {
        name: "channel, 1,000 messages",
        promise: "durable ≤ 5 s, 0 lost",
        peer: "–",
        measure: channels::burst,
    },
    Row {
        name: "channel, a third refused",
        promise: "all once, in order",
        peer: "–",
        measure: channels::refused,
    },
    Row {
        name: "50 channels, idle",
        promise: "≤ 8 MB, ≤ 1 % of a core",
        peer: "–",
        measure: channels::idle,
    },
    Row {
        name: "script, style, sprite",
        promise: "≤ 85 KB gzip",
        peer: "–",
        measure: rows::assets,
    },
];

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let fsync = load::fsync_of_disk();
    println!("fsync of 4 KiB on this disk: p50 {}, p99 {}\n", ms(fsync.p50), ms(fsync.p99));
    println!("{:<27} {:<25} {:<15} ours", "what", "promise", "peer");
    let mut missed = 0;
    for row in ROWS {
        if !wanted.is_empty() && !wanted.iter().any(|word| row.name.contains(word.as_str())) {
            continue;
        }
        let ours = match runtime.block_on((row.measure)(fsync)) {
            Ok(Figure { text, kept: true }) => text,
            Ok(Figure { text, kept: false }) => {
                missed += 1;
                format!("{text}   MISSED")
            }
            Err(missing) => format!("not measured: {missing}"),
        };
        println!("{:<27} {:<25} {:<15} {ours}", row.name, row.promise, row.peer);
    }
    company::close();
    customers::close();
    knowledge::close();
    if missed > 0 {
        println!("\n{missed} promises missed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Milliseconds with two decimals below 10 ms, none above.
fn ms(time: std::time::Duration) -> String {
    let ms = time.as_secs_f64() * 1_000.0;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}
