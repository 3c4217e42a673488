//! Secret commands of the real program: values come from standard input, and none is printed.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use support::browse::Browser;
use support::hq::everything_in;
use support::program::{Program, command, run, run_json};

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const CANARY: &str = "canary-at-the-terminal-77";

fn piped(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut asked = command(Path::new(BINARY), data, arguments);
    let asked = asked.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = asked.spawn().expect("it begins");
    let mut to = child.stdin.take().expect("its input");
    to.write_all(input.as_bytes()).expect("it reads");
    drop(to);
    child.wait_with_output().expect("it ends")
}

fn said(output: &Output) -> String {
    let all = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_set_replaced_explained_and_removed_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let (binary, data) = (Path::new(BINARY), folder.path());
    let mut program = Program::start(binary, data);
    Browser::new(program.url()).set_up(&program.setup_link()).await;

    let echoed = piped(data, &["secret", "set", "ECHOED"], &format!("{CANARY}\r\n"));
    assert!(said(&echoed).contains("Set ECHOED, version 1."), "{}", said(&echoed));
    let asked = piped(data, &["secret", "set", "SHOP_KEY"], &format!("{CANARY}\n\n"));
    assert!(!asked.status.success() && said(&asked).contains("line break"), "{}", said(&asked));
    let trimmed = ["secret", "set", "SHOP_KEY", "--ends", "trim", "--host", "api.shop.example"];
    let set = piped(data, &trimmed, &format!("{CANARY}\n"));
    assert!(said(&set).contains("Set SHOP_KEY, version 1."), "{}", said(&set));
    let set = piped(data, &["secret", "set", "SHOP_KEY", "--note", "Of the shop"], CANARY);
    assert!(said(&set).contains("version 2."), "{}", said(&set));
    let short = piped(data, &["secret", "set", "PIN"], "123");
    assert!(said(&short).contains("too short to mask"), "{}", said(&short));
    let lines = piped(data, &["secret", "import", "-"], "ONE=1-2-3-4-5\nTWO='canary in lines'\n");
    assert!(lines.status.success() && !said(&lines).contains("canary"), "{}", said(&lines));

    let of_machine = ["secret", "set", "SHOP_KEY", "--gateway", "local"];
    let set = piped(data, &of_machine, "canary-of-this-machine");
    assert!(said(&set).contains("Set SHOP_KEY, version 1."), "{}", said(&set));
    let set = piped(data, &of_machine, "canary-of-it-again");
    assert!(said(&set).contains("version 2."), "one of its own is replaced: {}", said(&set));
    let listed = run(binary, data, &["secret", "list"]);
    assert!(said(&listed).contains("on This machine"), "{}", said(&listed));
    let gone = run(binary, data, &["secret", "remove", "SHOP_KEY", "--gateway", "local"]);
    assert!(gone.status.success(), "{}", said(&gone));

    let all = run_json(binary, data, &["secret", "list"]);
    let one = &all["items"]
        .as_array()
        .expect("items")
        .iter()
        .find(|one| one["key"] == "SHOP_KEY" && one["scope"] == "workspace");
    let one = one.expect("it is listed");
    assert_eq!((&one["way"], &one["note"]), (&"stand_in".into(), &"Of the shop".into()), "{one}");
    assert!(!all.to_string().contains("canary"), "{all}");
    let removed = run(binary, data, &["secret", "remove", "SHOP_KEY"]);
    assert!(removed.status.success(), "{}", said(&removed));
    let id = one["id"].as_str().expect("an id");
    assert!(said(&run(binary, data, &["secret", "restore", id])).starts_with("Restored "));
    let log = program.log();
    program.stop();
    assert!(!log.contains(CANARY), "{log}");
    let all = everything_in(data);
    assert!(!all.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()));
}
